/**
 * What a tool can do to the world, from the annotations of the hub's own app. A peer is never believed here: the hub that
 * owns the app rates it.
 *
 * | annotations | risk |
 * |---|---|
 * | `readOnlyHint: true` and not `destructiveHint: true` | `read` |
 * | `destructiveHint: true` | `execute` |
 * | anything else, none among it | `write` |
 */
import type { Risk } from "@fed/router";
import { isObject } from "../mcp/json-rpc.js";

/** The ratings, the least first. */
export const risks = ["read", "write", "execute"] as const satisfies readonly Risk[];

/** The risk of a tool that its app annotates so. Both hints at once contradict each other: the worse counts. */
export function riskOf(annotations: unknown): Risk {
  const { readOnlyHint, destructiveHint } = isObject(annotations) ? annotations : {};
  if (destructiveHint === true) return "execute";
  return readOnlyHint === true ? "read" : "write";
}
