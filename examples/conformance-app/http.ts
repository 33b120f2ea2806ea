/** The app over Streamable HTTP, on loopback: `node http.ts --port 3000`. Without `--port` any free one; it says which. */
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { parseArgs } from "node:util";
import { localhostHostValidation, localhostOriginValidation, toNodeHandler } from "@modelcontextprotocol/node";
import { createMcpHandler, isLegacyRequest } from "@modelcontextprotocol/server";
import { createFactory } from "./app.ts";
import { createSessions } from "./sessions.ts";
import { AppState } from "./state.ts";

const { values } = parseArgs({ options: { port: { type: "string", default: "0" } } });

const state = new AppState();
const factory = createFactory(state);
const modern = createMcpHandler(factory, { legacy: "reject", bus: state.changes });
const sessions = createSessions(factory);
const handle = toNodeHandler({
  fetch: async (request) => ((await isLegacyRequest(request)) ? sessions : modern).fetch(request),
});

// A page in a browser can reach loopback too; it cannot choose these two headers.
const isOwnHost = localhostHostValidation();
const isOwnOrigin = localhostOriginValidation();
const server = createServer((request, response) => {
  if (!isOwnHost(request, response) || !isOwnOrigin(request, response)) return;
  if (request.url === "/mcp") void handle(request, response);
  else response.writeHead(404).end();
});
server.listen(Number(values.port), "127.0.0.1");
await once(server, "listening");
console.log(`http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`);

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, async () => {
    await Promise.all([modern.close(), sessions.close()]);
    server.closeAllConnections();
    server.close();
  });
}
