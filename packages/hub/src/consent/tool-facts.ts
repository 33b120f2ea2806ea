/** What a tool's definition says to its owner: its risk, and which fields are secret. */
import type { Risk } from "@fed/router";
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

const known = new WeakMap<object, ToolFacts>();

/** The facts of a tool as its app defines it; made once of each definition. */
export function factsOf(definition: {
  readonly annotations?: unknown;
  readonly inputSchema?: unknown;
  readonly outputSchema?: unknown;
}): ToolFacts {
  const before = known.get(definition);
  if (before) return before;
  const { annotations, inputSchema, outputSchema } = definition;
  const facts = { risk: riskOf(annotations), input: secretSchema(inputSchema), output: secretSchema(outputSchema) };
  known.set(definition, facts);
  return facts;
}
