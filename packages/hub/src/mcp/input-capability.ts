/** What an app may ask of an agent, and what an agent must have declared to be asked it. */
import { isObject } from "./json-rpc.js";

const capabilityOf: Readonly<Record<string, string>> = {
  "elicitation/create": "elicitation",
  "roots/list": "roots",
  "sampling/createMessage": "sampling",
};

/** Whether an agent with these capabilities can be asked `method` with `params`. */
export function canAnswer(
  capabilities: Readonly<Record<string, unknown>>,
  method: string,
  params: Readonly<Record<string, unknown>>,
): boolean {
  const name = Object.hasOwn(capabilityOf, method) ? capabilityOf[method]! : undefined;
  const declared = name === undefined ? undefined : capabilities[name];
  if (!isObject(declared)) return false;
  if (name === "sampling") return params.tools === undefined || declared.tools !== undefined;
  if (name !== "elicitation") return true;
  // Before there were two modes, and still where none is named, there is the form.
  return params.mode === "url" ? declared.url !== undefined : declared.form !== undefined || declared.url === undefined;
}
