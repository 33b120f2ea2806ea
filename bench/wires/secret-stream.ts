/** `@hyperswarm/secret-stream` over TCP: Noise and libsodium's secretstream, one message a call, answered in order. */
import { once } from "node:events";
import { createRequire } from "node:module";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import { askInOrder, type Wire } from "./wire.ts";

type SecretStream = new (isInitiator: boolean, socket: Socket) => Duplex;

export const secretStream: Wire = {
  async serve({ modules }) {
    const SecretStream = loadFrom(modules);
    const server = createServer({ noDelay: true }, (socket) => {
      const stream = new SecretStream(false, socket);
      stream.on("data", (body) => stream.write(body));
      stream.on("error", () => stream.destroy());
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return { address: `${(server.address() as AddressInfo).port}`, close: async () => void server.close() };
  },

  async connect({ modules }, address) {
    const SecretStream = loadFrom(modules);
    const socket = connect({ host: "127.0.0.1", port: Number(address), noDelay: true });
    const stream = new SecretStream(true, socket);
    await new Promise((resolve) => stream.once("connect", resolve));
    stream.on("error", () => stream.destroy());
    const { ask, answered } = askInOrder((body) => stream.write(body));
    stream.on("data", answered);
    return { echo: ask, close: async () => void stream.destroy() };
  },
};

function loadFrom(modules: string): SecretStream {
  return createRequire(join(modules, "x.js"))("@hyperswarm/secret-stream") as SecretStream;
}
