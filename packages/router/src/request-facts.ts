/** What a request to an app is, as far as it matters to whoever decides on it. */
import type { Json } from "@fed/core";
import { RouterError } from "./errors.js";
import { limits } from "./limits.js";
import type { AppRequest, SharingRequest } from "./ports.js";
import { isObject } from "./wire.js";

/** Requests that MCP itself defines as looking at something. */
const readMethods: ReadonlySet<string> = new Set([
  "completion/complete",
  "prompts/get",
  "prompts/list",
  "resources/list",
  "resources/read",
  "resources/subscribe",
  "resources/templates/list",
  "resources/unsubscribe",
  "subscriptions/listen",
  "tasks/get",
  "tasks/list",
  "tasks/result",
]);

/** The risk of a request that is of no tool, where it is known. */
export function methodFacts(action: SharingRequest["action"], method: string): Pick<SharingRequest, "risk"> {
  return action === "call" && readMethods.has(method) ? { risk: "read" } : {};
}

/** Whoever may call one tool may ask which: what is not for the caller is taken out of the answer. */
export function actionOf({ method, params }: AppRequest): SharingRequest["action"] {
  if (method === "tools/list" || method === "server/discover" || method === "ping") return "list";
  return method === "subscriptions/listen" && followsListsAlone(params) ? "list" : "call";
}

/** That a list has changed says no more than the list; what happens to a resource does, and whatever an extension follows may. */
const listChanges: ReadonlySet<string> = new Set(["promptsListChanged", "resourcesListChanged", "toolsListChanged"]);

function followsListsAlone(params: unknown): boolean {
  const filter = isObject(params as Json) ? (params as { readonly notifications?: Json }).notifications : undefined;
  return !isObject(filter) || Object.keys(filter).every((name) => listChanges.has(name));
}

/** The tool that is called; undefined for any other request. @throws {RouterError} REQUEST_MALFORMED. */
export function toolOf(request: AppRequest): string | undefined {
  if (request.method !== "tools/call") return undefined;
  const { params } = request;
  const { name } = (params ?? {}) as { readonly name?: unknown };
  // No app has one with a longer name, and it is written down whatever becomes of the call.
  if (typeof name === "string" && name.length <= limits.toolNameChars) return name;
  throw new RouterError({ code: "REQUEST_MALFORMED", message: "tools/call names no tool." });
}
