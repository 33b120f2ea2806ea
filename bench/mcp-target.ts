/** An echo tool somewhere behind HTTP, and the bytes that call it, in every revision that is measured. */
import { formatRequest, type HttpAnswer } from "./http-connection.ts";

/** 2024-11-05 stands for its own transport, HTTP+SSE, where answers come on a stream beside the requests. */
export type Revision = "2026-07-28" | "2025-11-25" | "2024-11-05";

/** Where to call it and how. */
export interface McpTarget {
  readonly url: string;
  readonly revision: Revision;
  /** Bearer. */
  readonly token?: string;
  /** The tool's name there. */
  readonly tool: string;
  /** The app that has it, where it is reached through a hub's `app.call`. */
  readonly through?: { readonly hub: string; readonly app: string };
}

/** A call, ready to be sent. */
export interface PreparedCall {
  readonly id: number;
  readonly text: string;
  readonly request: Buffer;
}

const clientInfo = { name: "bench", version: "1.0.0" };

/** The bytes of a call that echoes `text`. `url` and `session` are what opening a session gave, where there are any. */
export function prepareCall(
  target: McpTarget,
  { id, text, url = target.url, session }: { id: number; text: string; url?: string; session?: string | undefined },
): PreparedCall {
  const { revision, tool, through } = target;
  const params = through
    ? { name: "app.call", arguments: { ...through, tool, arguments: { text } } }
    : { name: tool, arguments: { text } };
  const modern = revision === "2026-07-28";
  const body = JSON.stringify({
    jsonrpc: "2.0",
    id,
    method: "tools/call",
    params: modern ? { ...params, _meta: modernMeta } : params,
  });
  const headers = {
    ...headersOf(target, session),
    ...(modern && { "mcp-method": "tools/call", "mcp-name": params.name }),
  };
  return { id, text, request: Buffer.from(formatRequest("POST", new URL(url), headers, body)) };
}

/** The requests that open a session of the older revisions. */
export function prepareInitialize({ revision }: McpTarget): { initialize: string; initialized: string } {
  const params = { protocolVersion: revision, capabilities: {}, clientInfo };
  return {
    initialize: JSON.stringify({ jsonrpc: "2.0", id: 0, method: "initialize", params }),
    initialized: JSON.stringify({ jsonrpc: "2.0", method: "notifications/initialized" }),
  };
}

/** What every request to `target` carries. */
export function headersOf({ revision, token }: McpTarget, session: string | undefined): Record<string, string> {
  return {
    accept: "application/json, text/event-stream",
    "content-type": "application/json",
    ...(revision !== "2024-11-05" && { "mcp-protocol-version": revision }),
    ...(session !== undefined && { "mcp-session-id": session }),
    ...(token !== undefined && { authorization: `Bearer ${token}` }),
  };
}

/** Whether a JSON-RPC message, bare or as an event, is the result that echoes `text`. */
export function isEcho(message: string, text: string): boolean {
  return message.includes(`"text":"${text}"`) && message.includes('"result":') && !message.includes('"isError":true');
}

/** @throws {Error} saying what came instead. */
export function checkAnswer({ status, body }: HttpAnswer, expected: number, holds = true): void {
  if (status !== expected || !holds) throw new Error(`Unexpected answer, status ${status}: ${body.slice(0, 500)}`);
}

const modernMeta = {
  "io.modelcontextprotocol/protocolVersion": "2026-07-28",
  "io.modelcontextprotocol/clientInfo": clientInfo,
  "io.modelcontextprotocol/clientCapabilities": {},
};
