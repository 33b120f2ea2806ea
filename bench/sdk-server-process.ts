/** The echo app served over HTTP by nothing but the SDK, as its documentation shows it. */
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { toNodeHandler } from "@modelcontextprotocol/node";
import { createMcpHandler } from "@modelcontextprotocol/server";
import { serveParent } from "./child.ts";
import { createEchoServer } from "./echo-app.ts";

serveParent(async () => {
  const handler = createMcpHandler(createEchoServer);
  const server = createServer(toNodeHandler(handler));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    ready: { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/` },
    async close() {
      await handler.close();
      server.closeAllConnections();
      server.close();
    },
  };
});
