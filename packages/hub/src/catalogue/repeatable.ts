/** Requests that MCP itself defines as changing nothing: they may be sent again when nobody knows whether they arrived. */
const repeatableMethods: ReadonlySet<string> = new Set([
  "completion/complete",
  "ping",
  "prompts/get",
  "prompts/list",
  "resources/list",
  "resources/read",
  "resources/templates/list",
  "server/discover",
  "tasks/get",
  "tasks/list",
  "tasks/result",
  "tools/list",
]);

/** Whether `method` may be sent again. Extensions are not known, so theirs may not. */
export function isRepeatable(method: string): boolean {
  return repeatableMethods.has(method);
}
