/** What tools an app says it has: all pages of `tools/list`, bounded. */
import { type Clock, CoreError } from "@fed/core";
import { isObject } from "../mcp/json-rpc.js";
import type { AppConnection } from "./app-connection.js";

/** One tool as its app describes it, verbatim. */
export interface ToolDefinition {
  readonly name: string;
  readonly title?: string;
  readonly description?: string;
  readonly inputSchema?: unknown;
  readonly outputSchema?: unknown;
  readonly annotations?: { readonly [hint: string]: unknown };
  readonly [key: string]: unknown;
}

const maxTools = 1024;
const maxBytes = 1024 * 1024;
const maxPages = 64;
const maxNameChars = 256;
const listMs = 10_000;

/**
 * The app's tools; the first 1,024 of them, as far as they have at most 1 MiB of JSON. None for an app that has no tools.
 * @throws {FedError} what the app answered instead; DEADLINE_EXCEEDED after 10 s.
 */
export async function listTools(connection: AppConnection, clock: Clock): Promise<readonly ToolDefinition[]> {
  if (connection.description.capabilities.tools === undefined) return [];
  const controller = new AbortController();
  const timer = clock.setTimer(listMs, () => controller.abort(tooSlow()));
  try {
    const tools = new Map<string, ToolDefinition>();
    let bytes = 0;
    let cursor: string | undefined;
    for (let page = 0; page < maxPages; page++) {
      const params = cursor === undefined ? {} : { cursor };
      const options = { signal: controller.signal, principal: "", notify: () => {} };
      const result = await connection.request("tools/list", params, options);
      for (const tool of toolsIn(result)) {
        bytes += Buffer.byteLength(JSON.stringify(tool));
        if (tools.size >= maxTools || bytes > maxBytes) return [...tools.values()];
        tools.set(tool.name, tool);
      }
      cursor = isObject(result) && typeof result.nextCursor === "string" ? result.nextCursor : undefined;
      if (cursor === undefined) break;
    }
    return [...tools.values()];
  } finally {
    timer.cancel();
  }
}

function toolsIn(result: unknown): ToolDefinition[] {
  const tools = isObject(result) && Array.isArray(result.tools) ? result.tools : [];
  return tools.filter(
    (tool): tool is ToolDefinition =>
      isObject(tool) && typeof tool.name === "string" && tool.name.length <= maxNameChars,
  );
}

function tooSlow(): CoreError {
  return new CoreError({
    code: "DEADLINE_EXCEEDED",
    message: `The app did not list its tools within ${listMs / 1000} s.`,
    retryable: true,
  });
}
