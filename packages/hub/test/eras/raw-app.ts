/** An app over HTTP that answers what a test says, to the letter: for what no SDK would send. */
import type { IncomingHttpHeaders, IncomingMessage, RequestListener, ServerResponse } from "node:http";
import { json } from "node:stream/consumers";

/** A message as it came. */
export interface RawMessage {
  readonly id?: number | string;
  readonly method: string;
  readonly params?: Record<string, unknown>;
}

/** `result` or `error`, or undefined for a request that waits until its response is closed. */
export type RawAnswer =
  | { readonly result?: unknown; readonly error?: unknown; readonly status?: number }
  | { readonly events: readonly object[] }
  | undefined;

const serverInfo = { name: "raw", version: "1" };

/** An app of either era that declares `capabilities`; `answer` answers everything else. */
export function rawApp(
  era: "old" | "new",
  answer: (message: RawMessage, headers: IncomingHttpHeaders) => RawAnswer,
  capabilities: object = { tools: {} },
): RequestListener {
  const greet = ({ method, params }: RawMessage): RawAnswer => {
    if (era === "new" && method === "server/discover") {
      const _meta = { "io.modelcontextprotocol/serverInfo": serverInfo };
      const result = { resultType: "complete", supportedVersions: ["2026-07-28"], capabilities, _meta };
      return { result: { ...result, ttlMs: 0, cacheScope: "private" } };
    }
    if (era === "old" && method === "initialize") {
      return { result: { protocolVersion: params?.protocolVersion, capabilities, serverInfo } };
    }
    return method === "server/discover" || method === "initialize"
      ? { error: { code: -32601, message: "Method not found" } }
      : undefined;
  };
  return async (request: IncomingMessage, response: ServerResponse) => {
    if (request.method !== "POST") return void response.writeHead(405).end();
    const message = (await json(request)) as RawMessage;
    const said = greet(message) ?? answer(message, request.headers);
    if (message.id === undefined) return void response.writeHead(202).end();
    if (said === undefined) return;
    if ("events" in said) {
      response.writeHead(200, { "content-type": "text/event-stream" });
      for (const event of said.events) response.write(`data: ${JSON.stringify({ jsonrpc: "2.0", ...event })}\n\n`);
      return void response.end();
    }
    const { status = 200, ...outcome } = said;
    response.writeHead(status, { "content-type": "application/json" });
    response.end(JSON.stringify({ jsonrpc: "2.0", id: message.id, ...outcome }));
  };
}
