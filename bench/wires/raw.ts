/** The limit: length-prefixed frames over mutually authenticated TLS 1.3, or, for a push, nothing but bytes. */
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { connect, createServer, type TLSSocket } from "node:tls";
import { exchangeFrames, rawTls } from "../raw-echo.ts";
import { askInOrder, pushBytes, type Wire, type WireSetUp } from "./wire.ts";

/** How many bytes a push has, as the first message of its connection; then the other side answers one byte. */
const announcementBytes = 8;

export const raw: Wire = {
  async serve({ credentials }) {
    const options = { ...rawTls(credentials), requestCert: true, rejectUnauthorized: true };
    const calls = createServer(options, (socket) => {
      prepare(socket);
      const send = exchangeFrames(socket, (frame) => send(frame));
    });
    const pushes = createServer(options, (socket) => {
      prepare(socket);
      let missing: number | undefined;
      socket.on("data", (chunk: Buffer) => {
        missing ??= Number(chunk.readBigUInt64BE()) + announcementBytes;
        missing -= chunk.length;
        if (missing === 0) socket.write("k");
      });
    });
    const ports: number[] = [];
    for (const server of [calls, pushes]) {
      server.listen(0, "127.0.0.1");
      await once(server, "listening");
      ports.push((server.address() as AddressInfo).port);
    }
    return {
      address: JSON.stringify(ports),
      async close() {
        calls.close();
        pushes.close();
      },
    };
  },

  async connect(setUp, address) {
    const [callPort, pushPort] = JSON.parse(address) as [number, number];
    const socket = await dial(setUp, callPort);
    const { ask, answered } = askInOrder((body) => send(body));
    const send = exchangeFrames(socket, answered);
    return {
      echo: ask,
      async push(bytes) {
        const pushing = await dial(setUp, pushPort);
        const done = once(pushing, "data");
        const announcement = Buffer.alloc(announcementBytes);
        announcement.writeBigUInt64BE(BigInt(bytes));
        pushing.write(announcement);
        const chunk = Buffer.alloc(pushBytes, 7);
        for (let left = bytes; left > 0; left -= chunk.length) {
          if (!pushing.write(chunk.subarray(0, left))) await once(pushing, "drain");
        }
        await done;
        pushing.destroy();
      },
      close: async () => void socket.destroy(),
    };
  },
};

/** A connection to `port`, whose other end has proved itself. */
async function dial({ credentials }: WireSetUp, port: number): Promise<TLSSocket> {
  // The leaf names a hub, not this address.
  const socket = connect({
    ...rawTls(credentials),
    host: "127.0.0.1",
    port,
    checkServerIdentity: () => undefined,
  });
  await once(socket, "secureConnect");
  prepare(socket);
  return socket;
}

function prepare(socket: TLSSocket): void {
  socket.setNoDelay(true);
  socket.on("error", () => socket.destroy());
}
