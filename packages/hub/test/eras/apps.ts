/** The apps of both eras, started in each way an app can be reached. */
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import { getRequestListener } from "@hono/node-server";
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";
import { createMcpHandler } from "@modelcontextprotocol/server";
import type { AppConfig } from "../../src/index.js";
import { createLegacyServer, type Heard } from "./legacy-app.js";
import { createModernFactory, ModernState } from "./modern-app.js";

/** How an app is built and reached. */
export type AppKind = "old-stdio" | "old-sessions" | "old-stateless" | "new-http" | "new-stdio" | "new-in-process";

export const appKinds = [
  "old-stdio",
  "old-sessions",
  "old-stateless",
  "new-http",
  "new-stdio",
  "new-in-process",
] as const satisfies readonly AppKind[];

/** Apps that run; HTTP servers among them end with this. */
export class Apps implements AsyncDisposable {
  readonly #servers: Server[] = [];

  /** The configuration under which a hub reaches an app of that kind. */
  async start(kind: AppKind): Promise<AppConfig> {
    switch (kind) {
      case "old-stdio":
        return program("legacy-app.ts");
      case "new-stdio":
        return program("modern-app.ts");
      case "old-sessions":
        return this.listen(withSessions([]));
      case "old-stateless":
        return this.listen(withoutSessions([]));
      case "new-http": {
        const state = new ModernState();
        const { fetch } = createMcpHandler(createModernFactory(state), { legacy: "reject", bus: state.bus });
        return this.listen(getRequestListener((request) => fetch(request)));
      }
      case "new-in-process":
        return { server: createModernFactory(new ModernState()) };
    }
  }

  /** An app that `serve` answers for. */
  async listen(serve: RequestListener): Promise<AppConfig> {
    const server = createServer(serve);
    this.#servers.push(server);
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp` };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const server of this.#servers) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  }
}

/** A program of this folder as an app. */
export function program(name: string, ...args: string[]): AppConfig {
  return { command: process.execPath, args: [fileURLToPath(new URL(name, import.meta.url)), ...args] };
}

/** One server and one transport for each session. */
function withSessions(heard: Heard): RequestListener {
  const sessions = new Map<string, StreamableHTTPServerTransport>();
  const open = async () => {
    const transport = new StreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      onsessioninitialized: (id) => void sessions.set(id, transport),
    });
    await createLegacyServer(heard).connect(transport);
    return transport;
  };
  return async (request: IncomingMessage, response: ServerResponse) => {
    const id = request.headers["mcp-session-id"];
    const transport = id === undefined ? await open() : sessions.get(String(id));
    if (transport) await transport.handleRequest(request, response);
    else response.writeHead(404).end();
  };
}

/** A server and a transport for each request; it can ask nothing, for the answer would reach another server. */
function withoutSessions(heard: Heard): RequestListener {
  return async (request: IncomingMessage, response: ServerResponse) => {
    const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: undefined });
    const server = createLegacyServer(heard);
    response.once("close", () => void server.close());
    await server.connect(transport);
    await transport.handleRequest(request, response);
  };
}
