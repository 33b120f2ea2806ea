/** What the hub knows of its own apps' tools, from the tools' definitions: their risk, and which fields are secret. */
import type { Risk } from "@fed/router";
import { isObject } from "../mcp/json-rpc.js";
import { riskOf } from "./risk.js";
import { type SecretSchema, secretSchema } from "./secret-fields.js";

/** One tool. */
export interface ToolFacts {
  readonly risk: Risk;
  /** Its `inputSchema`, if that marks secrets. */
  readonly input: SecretSchema | undefined;
  /** Its `outputSchema`, if that marks secrets. */
  readonly output: SecretSchema | undefined;
}

/** Of one app; further tools are unknown, and an unknown tool counts as the worst. */
const maxTools = 4096;

/** The tools of all apps of this hub. */
export class ToolFactsTable {
  readonly #apps = new Map<string, Map<string, ToolFacts>>();

  of(app: string, tool: string): ToolFacts | undefined {
    return this.#apps.get(app)?.get(tool);
  }

  all(app: string): Iterable<readonly [string, ToolFacts]> {
    return this.#apps.get(app) ?? [];
  }

  /** Takes over what a `tools/list` result of the app says. */
  learn(app: string, result: unknown): void {
    const tools = isObject(result) && Array.isArray(result.tools) ? (result.tools as unknown[]) : [];
    const known = this.#apps.get(app) ?? new Map<string, ToolFacts>();
    this.#apps.set(app, known);
    for (const tool of tools) {
      if (!isObject(tool) || typeof tool.name !== "string") continue;
      if (known.size >= maxTools && !known.has(tool.name)) continue;
      known.set(tool.name, {
        risk: riskOf(tool.annotations),
        input: secretSchema(tool.inputSchema),
        output: secretSchema(tool.outputSchema),
      });
    }
  }
}
