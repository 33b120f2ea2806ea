/** MCP of revision 2026-07-28 over Streamable HTTP: every POST is a request that stands for itself. */
import { CoreError } from "@fed/core";
import { failureOf, isObject, type RpcFailure, type RpcRequest, rpcCodes } from "../mcp/json-rpc.js";
import { agentFacts, metaKeys, modernRevision, stampFacts } from "../mcp/meta.js";
import { findParamMismatch } from "../mcp/param-headers.js";
import type { Exchange } from "./exchange.js";
import { McpResponse } from "./mcp-response.js";

/** Which member of the params `Mcp-Name` repeats. */
const nameSources: Readonly<Record<string, string>> = {
  "prompts/get": "name",
  "resources/read": "uri",
  "tasks/cancel": "taskId",
  "tasks/get": "taskId",
  "tasks/update": "taskId",
  "tools/call": "name",
};

/** What an app of the older era might still answer, and this revision does not know any more. */
const removed = new Set(["initialize", "logging/setLevel", "ping", "resources/subscribe", "resources/unsubscribe"]);

/** What travels between hubs and is written down. */
const maxMethodChars = 128;

/** Serves one request. `revision` is the one the message claims. */
export async function serveModern(
  exchange: Exchange,
  message: RpcRequest,
  revision: string | undefined,
): Promise<void> {
  const { id, method, params = {} } = message;
  const lasts = method === "subscriptions/listen";
  const controller = new AbortController();
  const reply = new McpResponse(exchange.response, {
    holding: exchange.holding,
    // Closing the response's stream is how a client cancels.
    onGone: () => controller.abort(new CoreError({ code: "ABORTED", message: "The agent is gone." })),
  });
  exchange.standing.onEnd((error) => controller.abort(error));
  const refusal = refusalOf(exchange, message, revision);
  if (refusal) return reply.fail(id, refusal, 400);
  if (removed.has(method) || method.length > maxMethodChars) {
    const message = `MCP ${modernRevision} has no ${method.slice(0, maxMethodChars)}.`;
    return reply.fail(id, { code: rpcCodes.methodNotFound, message }, 404);
  }
  const facts = agentFacts(params);
  const progressToken = isObject(params._meta) ? params._meta.progressToken : undefined;
  try {
    const result = await exchange.service.request(method, stampFacts(params, facts), {
      operator: exchange.operator,
      signal: controller.signal,
      notify: (notification) => {
        const body = isObject(notification.params) ? notification.params : {};
        if (lasts) reply.notify(notification.method, ofSubscription(body, id));
        else if (notification.method === "notifications/progress")
          reply.notify(notification.method, { ...body, progressToken });
        else reply.notify(notification.method, body);
      },
    });
    reply.result(id, lasts ? ofSubscription(result, id) : result);
  } catch (cause) {
    const failure = failureOf(cause);
    reply.fail(id, failure, failure.code === rpcCodes.methodNotFound ? 404 : failure.code === -32021 ? 400 : 200);
  }
}

/** Marks what belongs to a subscription. */
function ofSubscription(body: Record<string, unknown>, id: RpcRequest["id"]): Record<string, unknown> {
  return { ...body, _meta: { ...(isObject(body._meta) ? body._meta : {}), [metaKeys.subscriptionId]: id } };
}

/** What is wrong with a request before anybody looks at what it asks. */
function refusalOf(
  { request, service }: Exchange,
  { method, params = {} }: RpcRequest,
  revision: string | undefined,
): RpcFailure | undefined {
  if (revision !== modernRevision) {
    return {
      code: rpcCodes.unsupportedProtocolVersion,
      message: `Unsupported protocol version: ${revision ?? "unknown"}`,
      data: { supported: [modernRevision], requested: revision ?? "unknown" },
    };
  }
  const { headers } = request;
  if (headers["mcp-protocol-version"] === undefined) return mismatch("MCP-Protocol-Version", "(missing)", revision);
  if (headers["mcp-method"] === undefined) return mismatch("Mcp-Method", "(missing)", method);
  const source = Object.hasOwn(nameSources, method) ? nameSources[method]! : undefined;
  const named = source === undefined ? undefined : params[source];
  if (typeof named !== "string") return undefined;
  const header = headers["mcp-name"];
  if (header === undefined) return mismatch("Mcp-Name", "(missing)", named);
  const decoded = decodeHeader(String(header).trim());
  if (decoded !== named) return mismatch("Mcp-Name", String(header), named);
  if (method !== "tools/call") return undefined;
  const wrong = findParamMismatch(service.headersOf?.(named) ?? [], params.arguments, headers);
  return wrong && mismatch(wrong.header, wrong.sent ?? "(missing)", wrong.argument);
}

/** A header's value; text that no header can carry comes as `=?base64?…?=`. Undefined of one that is spelt badly. */
function decodeHeader(value: string): string | undefined {
  const encoded = /^=\?base64\?([A-Za-z0-9+/]*={0,2})\?=$/i.exec(value)?.[1];
  if (encoded === undefined) return value;
  const bytes = Buffer.from(encoded, "base64");
  return bytes.toString("base64") === encoded ? bytes.toString("utf8") : undefined;
}

function mismatch(header: string, sent: string, body: string): RpcFailure {
  return {
    code: rpcCodes.headerMismatch,
    message: `The header ${header} and the body disagree: the body says ${body.slice(0, 200)}.`,
    data: { mismatch: { header: sent.slice(0, 200), body: body.slice(0, 200) } },
  };
}
