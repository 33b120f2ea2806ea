/** `node:http2` over mutually authenticated TLS: one request a call, the body both ways. */
import { once } from "node:events";
import { connect, createSecureServer } from "node:http2";
import type { AddressInfo } from "node:net";
import { rawTls } from "../raw-echo.ts";
import type { Wire } from "./wire.ts";

export const http2: Wire = {
  async serve({ credentials }) {
    const server = createSecureServer({ ...rawTls(credentials), requestCert: true, rejectUnauthorized: true });
    server.on("stream", (stream) => {
      const chunks: Buffer[] = [];
      stream.on("data", (chunk: Buffer) => chunks.push(chunk));
      stream.on("end", () => {
        stream.respond({ ":status": 200 });
        stream.end(chunks.length === 1 ? chunks[0] : Buffer.concat(chunks));
      });
      stream.on("error", () => stream.destroy());
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return {
      address: `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
      close: async () => void server.close(),
    };
  },

  async connect({ credentials }, address) {
    const session = connect(address, { ...rawTls(credentials), checkServerIdentity: () => undefined });
    await once(session, "connect");
    return {
      echo: (body) =>
        new Promise((resolve, reject) => {
          const stream = session.request({ ":method": "POST", ":path": "/" });
          const chunks: Buffer[] = [];
          stream.on("data", (chunk: Buffer) => chunks.push(chunk));
          stream.on("end", () => resolve(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks)));
          stream.on("error", reject);
          stream.end(body);
        }),
      close: async () => session.destroy(),
    };
  },
};
