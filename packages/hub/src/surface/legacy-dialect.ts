/** What a client of MCP up to 2025-11-25 expects of results that are spelt as 2026-07-28 spells them. */
import { isObject } from "../mcp/json-rpc.js";
import { metaKeys, withoutMetaKey } from "../mcp/meta.js";

/** Revisions that are served with a handshake, the newest first. */
export const legacyRevisions = ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"];

/** A result without what only the later revision knows. */
export function legacyResult(result: Record<string, unknown>): Record<string, unknown> {
  const { resultType, ttlMs, cacheScope, ...rest } = result;
  return withObjectContent(withoutMetaKey(rest, metaKeys.serverInfo));
}

/** `initialize`, answered from what the service says of itself to `server/discover`. */
export function initializeResult(discovered: Record<string, unknown>, requested: unknown): Record<string, unknown> {
  const { capabilities, instructions, _meta } = discovered;
  const serverInfo = isObject(_meta) ? _meta[metaKeys.serverInfo] : undefined;
  return {
    protocolVersion: legacyRevisions.includes(String(requested)) ? requested : legacyRevisions[0],
    capabilities: isObject(capabilities) ? capabilities : {},
    serverInfo: isObject(serverInfo) ? serverInfo : { name: "app", version: "0" },
    ...(typeof instructions === "string" ? { instructions } : {}),
  };
}

/** Structured content was an object; anything else is given as text, unless the app did so itself. */
function withObjectContent(result: Record<string, unknown>): Record<string, unknown> {
  const { structuredContent, ...rest } = result;
  if (structuredContent === undefined || isObject(structuredContent)) return result;
  const content = Array.isArray(rest.content) ? rest.content : [];
  if (content.some((block) => isObject(block) && block.type === "text")) return rest;
  return { ...rest, content: [...content, { type: "text", text: JSON.stringify(structuredContent) }] };
}
