/** The server of the raw limit: sends every frame back. */
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { createServer } from "node:tls";
import { serveParent } from "./child.ts";
import { exchangeFrames, type RawCredentials, rawTls } from "./raw-echo.ts";

serveParent(async (credentials: RawCredentials) => {
  const server = createServer({ ...rawTls(credentials), requestCert: true, rejectUnauthorized: true }, (socket) => {
    socket.setNoDelay(true);
    socket.on("error", () => socket.destroy());
    const send = exchangeFrames(socket, (frame) => send(frame));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    ready: { port: (server.address() as AddressInfo).port },
    close: async () => void server.close(),
  };
});
