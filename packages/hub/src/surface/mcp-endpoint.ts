/**
 * MCP over Streamable HTTP in front of any service, in every revision that is served: reads the message, finds out which
 * era it belongs to as the official SDK does, and hands it to whoever speaks that.
 */
import type { IncomingHttpHeaders } from "node:http";
import { type Clock, isFedError, type Store } from "@fed/core";
import { limits } from "@fed/router";
import { isObject, type RpcRequest, rpcCodes } from "../mcp/json-rpc.js";
import { isLogLevel } from "../mcp/log-level.js";
import { metaKeys, modernRevision } from "../mcp/meta.js";
import { isDeeperThan } from "../mcp/nesting.js";
import type { Seal } from "../seal.js";
import type { Exchange } from "./exchange.js";
import { legacyRevisions } from "./legacy-dialect.js";
import { createLegacyRequests } from "./legacy-requests.js";
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
    if (!isJson(headers["content-type"])) {
      return refuse(415, -32000, "Unsupported Media Type: Content-Type must be application/json");
    }
    const text = await exchange.admit(() => readBody(exchange, options.maxBodyBytes));
    // What is left of the body is read past: a connection closed on a client that still sends loses it the answer.
    if (text === undefined) return refuse(413, -32000, `The request has more than ${options.maxBodyBytes} bytes.`);
    if (isDeeperThan(text, limits.jsonDepth)) {
      return refuse(400, rpcCodes.invalidRequest, `The request is nested deeper than ${limits.jsonDepth} levels.`);
    }
    let body: unknown;
    try {
      body = JSON.parse(text);
    } catch {
      return refuse(400, rpcCodes.parseError, "Parse error");
    }
    const revision = revisionOf(body, headers);
    if (revision === modernRevision) return await serveModern(exchange, body as RpcRequest, revision);
    if (revision !== undefined) return legacy.post(exchange, body);
    // Seldom needed, and too much to load for a hub that is idle.
    const { classifyInboundRequest } = await import("@modelcontextprotocol/server");
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

function isJson(contentType = ""): boolean {
  return contentType === "application/json" || /^\s*application\/json\s*(;[^,]*)?$/i.test(contentType);
}

/**
 * The body, or undefined of one with more than `maxBytes`. Rejects when the client goes away.
 * @throws {RouterError} BUSY when there is no room for it.
 */
async function readBody({ request, holding }: Exchange, maxBytes: number): Promise<string | undefined> {
  const declared = Number(request.headers["content-length"] ?? 0);
  if (declared > maxBytes) return undefined;
  holding.take(declared);
  const { promise, resolve, reject } = Promise.withResolvers<string | undefined>();
  const chunks: Buffer[] = [];
  let bytes = 0;
  request.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > maxBytes) return resolve(undefined);
    try {
      if (bytes > declared) holding.take(chunk.length);
      chunks.push(chunk);
    } catch (cause) {
      chunks.length = 0;
      reject(cause);
    }
  });
  request.on("end", () => resolve((chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks)).toString("utf8")));
  request.on("error", reject);
  return promise;
}

/**
 * The revision of a request that is beyond doubt: one that claims, in body and header alike, a revision this hub serves, or
 * that belongs to a session. Whatever else there is goes the SDK's longer way, which ends in the right refusal.
 */
function revisionOf(body: unknown, headers: IncomingHttpHeaders): string | undefined {
  if (!isObject(body) || body.jsonrpc !== "2.0" || typeof body.method !== "string" || !isObject(body.params))
    return undefined;
  if (typeof body.id !== "string" && !Number.isInteger(body.id)) return undefined;
  const revision = headers["mcp-protocol-version"];
  const meta = isObject(body.params._meta) ? body.params._meta : undefined;
  if (revision === modernRevision) {
    return meta && isEnvelope(meta) && headers["mcp-method"] === body.method ? revision : undefined;
  }
  const inSession = headers["mcp-session-id"] !== undefined && meta?.[metaKeys.protocolVersion] === undefined;
  return inSession && legacyRevisions.includes(String(revision)) && body.method !== "initialize"
    ? String(revision)
    : undefined;
}

/** Whether `meta` says everything a request of the later revision must, and says it well. */
function isEnvelope(meta: Record<string, unknown>): boolean {
  const { progressToken } = meta;
  const capabilities = meta[metaKeys.clientCapabilities];
  const info = meta[metaKeys.clientInfo];
  const logLevel = meta[metaKeys.logLevel];
  return (
    meta[metaKeys.protocolVersion] === modernRevision &&
    isObject(capabilities) &&
    Object.values(capabilities).every(isObject) &&
    (info === undefined || (isObject(info) && typeof info.name === "string" && typeof info.version === "string")) &&
    (logLevel === undefined || isLogLevel(logLevel)) &&
    (progressToken === undefined || typeof progressToken === "string" || Number.isInteger(progressToken))
  );
}

function header(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value.join(", ") : value;
}

function idOf(body: unknown): string | number | null {
  const { id } = (body ?? {}) as { id?: unknown };
  return typeof id === "string" || typeof id === "number" ? id : null;
}
