/**
 * MCP over Streamable HTTP in front of any service, in every revision that is served: reads the message, finds out which
 * era it belongs to as the official SDK does, and hands it to whoever speaks that.
 */
import type { IncomingMessage } from "node:http";
import { type Clock, isFedError, type Store } from "@fed/core";
import { classifyInboundRequest, isJsonContentType } from "@modelcontextprotocol/server";
import { type RpcRequest, rpcCodes } from "../mcp/json-rpc.js";
import type { Seal } from "../seal.js";
import { createLegacyRequests, type Exchange } from "./legacy-requests.js";
import { McpResponse } from "./mcp-response.js";
import { serveModern } from "./modern-requests.js";

/** Options of {@link createMcpEndpoint}. */
export interface McpEndpointOptions {
  readonly seal: Seal;
  readonly store: Store;
  readonly clock: Clock;
  /** The largest body that is read. */
  readonly maxBodyBytes: number;
}

/** See the module header. */
export interface McpEndpoint {
  /** Serves one exchange for an operator who has been authenticated. @throws what {@link Exchange.admit} throws. */
  serve(exchange: Exchange): Promise<void>;
  /** Ends open exchanges. */
  close(): void;
}

/** See the module header. */
export function createMcpEndpoint(options: McpEndpointOptions): McpEndpoint {
  const legacy = createLegacyRequests(options);

  async function post(exchange: Exchange): Promise<void> {
    const { request, response } = exchange;
    const { headers } = request;
    const refuse = (status: number, code: number, message: string) =>
      new McpResponse(response).fail(null, { code, message }, status);
    if (!isJsonContentType(headers["content-type"] ?? null)) {
      return refuse(415, -32000, "Unsupported Media Type: Content-Type must be application/json");
    }
    const text = await exchange.admit(() => readBody(request, options.maxBodyBytes));
    if (text === undefined) {
      // The rest of the body is of no use to anybody, and neither is the connection it comes on.
      response.setHeader("connection", "close");
      return refuse(413, -32000, `The request has more than ${options.maxBodyBytes} bytes.`);
    }
    let body: unknown;
    try {
      body = JSON.parse(text);
    } catch {
      return refuse(400, rpcCodes.parseError, "Parse error");
    }
    const route = classifyInboundRequest({
      httpMethod: "POST",
      protocolVersionHeader: header(headers["mcp-protocol-version"]),
      mcpMethodHeader: header(headers["mcp-method"]),
      mcpNameHeader: header(headers["mcp-name"]),
      body,
    });
    if (route.kind === "legacy") return legacy.post(exchange, body);
    if (route.kind === "reject") {
      const { code, message, data } = route;
      return new McpResponse(response).fail(
        idOf(body),
        { code, message, ...(data === undefined ? {} : { data }) },
        route.httpStatus,
      );
    }
    if (route.messageKind === "notification") return void response.writeHead(202).end();
    return serveModern(exchange, route.message as RpcRequest, route.classification.revision);
  }

  return {
    async serve(exchange) {
      const { request, response } = exchange;
      try {
        switch (request.method) {
          case "POST":
            return await post(exchange);
          case "GET":
            return await legacy.get(exchange);
          case "DELETE":
            return await legacy.delete(exchange);
          default:
            response.setHeader("allow", "GET, POST, DELETE");
            return new McpResponse(response).fail(null, { code: -32000, message: "Method not allowed." }, 405);
        }
      } catch (cause) {
        if (isFedError(cause)) throw cause;
        // The client went away while it was read from or written to.
        response.destroy();
      }
    },
    close: () => legacy.close(),
  };
}

/** The body, or undefined of one with more than `maxBytes`. */
async function readBody(request: IncomingMessage, maxBytes: number): Promise<string | undefined> {
  if (Number(request.headers["content-length"]) > maxBytes) return undefined;
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > maxBytes) return undefined;
    chunks.push(chunk);
  }
  return (chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks)).toString("utf8");
}

function header(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value.join(", ") : value;
}

function idOf(body: unknown): string | number | null {
  const { id } = (body ?? {}) as { id?: unknown };
  return typeof id === "string" || typeof id === "number" ? id : null;
}
