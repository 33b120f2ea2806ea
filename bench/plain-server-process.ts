/** The least that an HTTP server in Node can do for a call: parse its JSON, answer with its text. */
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { serveParent } from "./child.ts";

serveParent(async () => {
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const { id, params } = JSON.parse(Buffer.concat(chunks).toString("utf8"));
      const result = { content: [{ type: "text", text: params.arguments.text }] };
      const body = Buffer.from(JSON.stringify({ jsonrpc: "2.0", id, result }), "utf8");
      response.writeHead(200, { "content-type": "application/json", "content-length": body.length }).end(body);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    ready: { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/` },
    async close() {
      server.closeAllConnections();
      server.close();
    },
  };
});
