/** MCP `_meta` at a trust boundary: what belongs to one hop alone does not cross it. */

const reserved = "io.modelcontextprotocol/";

/** `{ _meta }` without the progress token and the protocol's reserved keys, or nothing where nothing is left. */
export function passedMeta(meta: unknown): { _meta?: Record<string, unknown> } {
  if (typeof meta !== "object" || meta === null) return {};
  const kept = Object.entries(meta).filter(([key]) => key !== "progressToken" && !key.startsWith(reserved));
  return kept.length > 0 ? { _meta: Object.fromEntries(kept) } : {};
}
