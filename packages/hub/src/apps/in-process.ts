/** An MCP server inside this process: two ends of a pipe that is none, which also knows what a message belongs to. */
import type { JSONRPCMessage, Transport } from "@modelcontextprotocol/client";
import type { McpServerFactory } from "@modelcontextprotocol/server";
import { serveStdio } from "@modelcontextprotocol/server/stdio";
import type { RequestId } from "../mcp/json-rpc.js";
import type { Related } from "./rpc-peer.js";

/** Serves `factory` and returns the client's end; the server's end closes with it. */
export function connectInProcess(factory: McpServerFactory): Transport {
  const clientEnd = new InProcessEnd();
  const serverEnd = new InProcessEnd();
  clientEnd.other = serverEnd;
  serverEnd.other = clientEnd;
  serveStdio(factory, { transport: serverEnd });
  return clientEnd;
}

class InProcessEnd implements Transport {
  other: InProcessEnd | undefined;
  onclose?: () => void;
  onerror?: (error: Error) => void;
  onmessage?: (message: JSONRPCMessage, extra?: Related) => void;
  /** What came before this end was ready. */
  #early: (() => void)[] | undefined = [];

  async start(): Promise<void> {
    const early = this.#early ?? [];
    this.#early = undefined;
    for (const deliver of early) deliver();
  }

  async send(message: JSONRPCMessage, options?: { readonly relatedRequestId?: RequestId }): Promise<void> {
    const { other } = this;
    if (!other) return;
    const related = options?.relatedRequestId;
    // Each side works in turns of its own, as it would behind a pipe.
    const deliver = () => other.onmessage?.(message, related === undefined ? undefined : { relatedRequestId: related });
    queueMicrotask(() => (other.#early ? other.#early.push(deliver) : deliver()));
  }

  async close(): Promise<void> {
    const { other } = this;
    if (!other) return;
    this.other = undefined;
    other.other = undefined;
    this.onclose?.();
    other.onclose?.();
  }
}
