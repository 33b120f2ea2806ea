/**
 * MCP up to revision 2025-11-25 over Streamable HTTP, with sessions: `notifications/cancelled` arrives as a request of its
 * own, so the call it means must be held somewhere between the two. Revision 2026-07-28 needs none of this.
 */
import { randomUUID } from "node:crypto";
import type { Clock } from "@fed/core";
import {
  type AuthInfo,
  isInitializeRequest,
  type McpServerFactory,
  WebStandardStreamableHTTPServerTransport,
} from "@modelcontextprotocol/server";

/** Sessions of one operator; the one unused for longest makes room for the next. */
const maxPerOperator = 256;
const maxSessions = 1024;
/** A client that comes back later begins anew. */
const idleMs = 24 * 60 * 60_000;

interface LegacySession {
  readonly transport: WebStandardStreamableHTTPServerTransport;
  /** Only the operator who opened a session may use it. */
  readonly clientId: string;
  readonly scopes: string;
  lastUsedMs: number;
}

/** See the module header. */
export interface LegacySessions {
  /** The answer to a request that opens a session or belongs to one; undefined for one that does neither. */
  handle(request: Request, body: unknown, authInfo: AuthInfo): Promise<Response | undefined>;
  /** Ends all sessions. */
  close(): Promise<void>;
}

/** Sessions whose servers `factory` makes. */
export function createLegacySessions(factory: McpServerFactory, clock: Clock): LegacySessions {
  /** The least recently used first. */
  const sessions = new Map<string, LegacySession>();

  async function drop(id: string): Promise<void> {
    const session = sessions.get(id);
    sessions.delete(id);
    await session?.transport.close();
  }

  async function makeRoom(clientId: string): Promise<boolean> {
    for (const [id, { lastUsedMs }] of sessions) if (clock.monotonicMs() - lastUsedMs > idleMs) await drop(id);
    const own = [...sessions].filter(([, session]) => session.clientId === clientId);
    if (own.length >= maxPerOperator) await drop(own[0]![0]);
    return sessions.size < maxSessions;
  }

  async function open(authInfo: AuthInfo): Promise<WebStandardStreamableHTTPServerTransport | undefined> {
    const { clientId, scopes } = authInfo;
    if (!(await makeRoom(clientId))) return undefined;
    const transport = new WebStandardStreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      onsessioninitialized: (id) => {
        sessions.set(id, { transport, clientId, scopes: scopes.join(" "), lastUsedMs: clock.monotonicMs() });
      },
      onsessionclosed: (id) => void sessions.delete(id),
    });
    const server = await factory({ era: "legacy", authInfo });
    await server.connect(transport);
    return transport;
  }

  /** The session `id` if it is `authInfo`'s; used just now. */
  function use(id: string, { clientId, scopes }: AuthInfo): LegacySession | undefined {
    const session = sessions.get(id);
    const nowMs = clock.monotonicMs();
    if (session?.clientId !== clientId || session.scopes !== scopes.join(" ")) return undefined;
    if (nowMs - session.lastUsedMs > idleMs) return undefined;
    session.lastUsedMs = nowMs;
    sessions.delete(id);
    sessions.set(id, session);
    return session;
  }

  return {
    async handle(request, body, authInfo) {
      const id = request.headers.get("mcp-session-id");
      if (id === null && !isInitializeRequest(body)) return undefined;
      const transport = id === null ? await open(authInfo) : use(id, authInfo)?.transport;
      if (transport) return transport.handleRequest(request, { parsedBody: body, authInfo });
      return id === null
        ? refusal(503, "This hub holds as many sessions as it can.")
        : refusal(404, "Session not found");
    },
    async close() {
      await Promise.all([...sessions.keys()].map(drop));
    },
  };
}

/** As the SDK's own transport refuses: on 404 a client begins a new session. */
function refusal(status: 404 | 503, message: string): Response {
  return Response.json({ jsonrpc: "2.0", error: { code: -32001, message }, id: null }, { status });
}
