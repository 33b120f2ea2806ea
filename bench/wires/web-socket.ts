/** `ws` over mutually authenticated TLS, without compression: one binary message a call, answered in order. */
import { once } from "node:events";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { WebSocket, WebSocketServer } from "ws";
import { rawTls } from "../raw-echo.ts";
import { askInOrder, type Wire } from "./wire.ts";

export const webSocket: Wire = {
  async serve({ credentials }) {
    const http = createServer({ ...rawTls(credentials), requestCert: true, rejectUnauthorized: true });
    const server = new WebSocketServer({ server: http, perMessageDeflate: false });
    server.on("connection", (socket) => socket.on("message", (body: Buffer) => socket.send(body)));
    http.listen(0, "127.0.0.1");
    await once(http, "listening");
    return {
      address: `wss://127.0.0.1:${(http.address() as AddressInfo).port}`,
      async close() {
        server.close();
        http.close();
      },
    };
  },

  async connect({ credentials }, address) {
    const socket = new WebSocket(address, {
      ...rawTls(credentials),
      perMessageDeflate: false,
      // Typed as in Node, whose answer may also be an error.
      checkServerIdentity: (() => undefined) as never,
    });
    await once(socket, "open");
    const { ask, answered } = askInOrder((body) => socket.send(body));
    socket.on("message", (body: Buffer) => answered(body));
    return { echo: ask, close: async () => socket.terminate() };
  },
};
