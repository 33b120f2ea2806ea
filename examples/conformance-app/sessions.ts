/** Revisions up to 2025-11-25 over HTTP: a session holds a server, so that it can ask the client something meanwhile. */
import { randomUUID } from "node:crypto";
import { type McpServerFactory, WebStandardStreamableHTTPServerTransport } from "@modelcontextprotocol/server";
import { createEventStore } from "./event-store.ts";

const maxSessions = 256;

/** See the module header. */
export interface Sessions {
  /** The answer to one request, which opens a session or belongs to one. */
  fetch(request: Request): Promise<Response>;
  close(): Promise<void>;
}

/** Sessions whose servers `factory` makes; at most 256, then the oldest ends. */
export function createSessions(factory: McpServerFactory): Sessions {
  const sessions = new Map<string, WebStandardStreamableHTTPServerTransport>();

  async function open(request: Request): Promise<Response> {
    const transport = new WebStandardStreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      eventStore: createEventStore(),
      retryInterval: 100,
      onsessioninitialized: (id) => void sessions.set(id, transport),
      onsessionclosed: (id) => void sessions.delete(id),
    });
    const server = await factory({ era: "legacy" });
    await server.connect(transport);
    const response = await transport.handleRequest(request);
    // Anything but a proper `initialize` was refused.
    if (transport.sessionId === undefined) await server.close();
    const [oldest] = sessions;
    if (oldest && sessions.size > maxSessions) {
      sessions.delete(oldest[0]);
      await oldest[1].close();
    }
    return response;
  }

  return {
    async fetch(request) {
      const id = request.headers.get("mcp-session-id");
      if (id === null) return open(request);
      const error = { code: -32001, message: "Session not found" };
      const unknown = () => Response.json({ jsonrpc: "2.0", error, id: null }, { status: 404 });
      return sessions.get(id)?.handleRequest(request) ?? unknown();
    },
    async close() {
      await Promise.all([...sessions.values()].map((transport) => transport.close()));
    },
  };
}
