/** How a call ended, in one word. */
import { toFedError } from "@fed/core";
import { isObject } from "../mcp/json-rpc.js";

/** `tool_error` for a result that says `isError`, else `ok`. */
export function resultCode(result: unknown): "ok" | "tool_error" {
  return isObject(result) && result.isError === true ? "tool_error" : "ok";
}

/** The error's code; `INTERNAL` for one that has none. */
export function errorCode(error: unknown): string {
  return toFedError(error).code;
}
