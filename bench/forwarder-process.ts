/** The least that can stand between two WebSockets: each message goes to the other one of the same path, without any protocol. */
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { type WebSocket, WebSocketServer } from "ws";
import { serveParent } from "./child.ts";

serveParent(async () => {
  const server = new WebSocketServer({ host: "127.0.0.1", port: 0, perMessageDeflate: false });
  const lone = new Map<string, WebSocket>();
  server.on("connection", (socket, { url = "" }) => {
    const other = lone.get(url);
    if (other === undefined) {
      lone.set(url, socket);
      return;
    }
    lone.delete(url);
    socket.on("message", (body: Buffer) => other.send(body));
    other.on("message", (body: Buffer) => socket.send(body));
  });
  await once(server, "listening");
  return {
    ready: { url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}` },
    close: async () => {
      for (const socket of server.clients) socket.terminate();
      server.close();
    },
  };
});
