/** One request of a bearer whose token is for some apps only. The hub that issued the token is the one that narrows it. */
import type { HubId } from "@fed/core";
import { actionOf } from "@fed/router";
import { HubError } from "../errors.js";
import { allows, onlyHub } from "./allow.js";
import type { Operator } from "./operator.js";

/** An MCP request to an app. */
export interface AppTarget {
  readonly hub?: string | undefined;
  readonly app: string;
  readonly method: string;
  readonly params: Readonly<Record<string, unknown>>;
}

/** The request's way to the app. */
export interface Way {
  /** The hub it would go to. */
  locate(target: { readonly hub?: string; readonly app: string }): Promise<HubId>;
  send(hub: string | undefined): Promise<unknown>;
}

/**
 * Sends what `operator` may send; of a listing of tools it sees those that it may call.
 * @throws {HubError} APP_NOT_ALLOWED.
 */
export function sendWithin(operator: Operator, target: AppTarget, way: Way): Promise<unknown> {
  return operator.allow ? sendAllowed(operator, target, way) : way.send(target.hub);
}

async function sendAllowed(operator: Operator, target: AppTarget, { locate, send }: Way): Promise<unknown> {
  const { app, method, params } = target;
  const named = target.hub ?? onlyHub(operator, app);
  const hub = await locate({ app, ...(named === undefined ? {} : { hub: named }) });
  const tool = method === "tools/call" ? String(params.name) : undefined;
  if (!allows(operator, { action: actionOf({ method, params }), hub, app, tool })) {
    throw new HubError({
      code: "APP_NOT_ALLOWED",
      message: `The token is not for ${tool === undefined ? "this request" : "this tool"} of the app ${app} on that hub.`,
      hint: "apps.list shows what it is for.",
    });
  }
  const result = await send(hub);
  const { tools } = result as { readonly tools?: unknown };
  if (method !== "tools/list" || !Array.isArray(tools)) return result;
  const shown = tools.filter(
    (entry: { readonly name?: unknown } | null) =>
      typeof entry?.name === "string" && allows(operator, { action: "list", hub, app, tool: entry.name }),
  );
  return { ...(result as object), tools: shown };
}
