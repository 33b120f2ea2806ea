/** One HTTP exchange with an MCP endpoint. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Holding } from "../operators/memory-shares.js";
import type { Standing } from "../operators/open-exchanges.js";
import type { Operator } from "../operators/operator.js";
import type { McpService } from "./mcp-service.js";

/** See the module header. */
export interface Exchange {
  readonly service: McpService;
  /** Names the endpoint: its path. */
  readonly endpoint: string;
  readonly operator: Operator;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** What the exchange fills of the hub's memory; released when the response has closed. */
  readonly holding: Holding;
  /** Ends with the token that the request carries; closed when the response has. */
  readonly standing: Standing;
  /** Reads the request, if there is room for one more of the operator's. */
  admit<T>(read: () => Promise<T>): Promise<T>;
}
