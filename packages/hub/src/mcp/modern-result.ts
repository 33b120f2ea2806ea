/** Results as MCP revision 2026-07-28 spells them, for apps that do not. */
import { modernRevision } from "./meta.js";

/** Methods whose result says in the later revision how long it may be kept. */
const cacheable = /^(tools|prompts|resources|resources\/templates)\/list$|^resources\/read$/;

/** What a client of revision 2026-07-28 expects to find in a result. */
export function complete(method: string, result: Record<string, unknown>): Record<string, unknown> {
  const marked = { resultType: "complete", ...result };
  return cacheable.test(method) ? { ttlMs: 0, cacheScope: "private", ...marked } : marked;
}

/** The answer to `server/discover` of an app that says `description` of itself. */
export function discoverResult(description: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return {
    resultType: "complete",
    ttlMs: 0,
    cacheScope: "private",
    ...description,
    supportedVersions: [modernRevision],
  };
}
