/** Something that answers MCP requests, in the terms of revision 2026-07-28; the endpoint speaks every revision for it. */
import type { Notification } from "@fed/router";
import type { ParamHeader } from "../mcp/param-headers.js";
import type { Operator } from "../operators/operator.js";

/** Who asks, and how to reach them until the result. */
export interface McpRequestOptions {
  readonly operator: Operator;
  readonly signal: AbortSignal;
  /** Passes on a notification that belongs to the request. */
  notify(notification: Notification): void;
}

/** See the module header. */
export interface McpService {
  /** The result. @throws {FedError} an app's own JSON-RPC error among them. */
  request(
    method: string,
    params: Record<string, unknown>,
    options: McpRequestOptions,
  ): Promise<Record<string, unknown>>;
  /** Arguments of a tool that its definition, as shown here, wants repeated in HTTP headers. */
  headersOf?(tool: unknown): readonly ParamHeader[];
}
