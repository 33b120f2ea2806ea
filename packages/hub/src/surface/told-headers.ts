/**
 * Which arguments clients were told to repeat in headers, by the tool definitions that they were given here: an app behind
 * this endpoint is called with headers of the hub's own, so it is here that a client's have to agree with its body.
 */
import { isObject } from "../mcp/json-rpc.js";
import { type ParamHeader, paramHeadersOf } from "../mcp/param-headers.js";

/** Apps that are remembered; the one listed longest ago makes room. */
const maxApps = 1024;
const maxTools = 1024;
const none: readonly ParamHeader[] = [];

/** See the module header. */
export class ToldHeaders {
  readonly #apps = new Map<string, Map<string, readonly ParamHeader[]>>();

  /** What the tool's definition wanted when it was last shown. */
  of(app: string, tool: unknown): readonly ParamHeader[] {
    return this.#apps.get(app)?.get(String(tool)) ?? none;
  }

  /** Takes up a result of `tools/list`. */
  learn(app: string, result: unknown): void {
    const listed = isObject(result) && Array.isArray(result.tools) ? result.tools : [];
    const tools = this.#apps.get(app) ?? new Map<string, readonly ParamHeader[]>();
    for (const tool of listed) {
      if (!isObject(tool) || typeof tool.name !== "string") continue;
      const headers = paramHeadersOf(tool.inputSchema);
      if (headers.length === 0) tools.delete(tool.name);
      else if (tools.size < maxTools) tools.set(tool.name, headers);
    }
    this.#apps.delete(app);
    if (tools.size === 0) return;
    this.#apps.set(app, tools);
    for (const oldest of this.#apps.keys()) {
      if (this.#apps.size <= maxApps) break;
      this.#apps.delete(oldest);
    }
  }
}
