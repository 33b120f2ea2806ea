/** A failure of the federation itself as the result of a tool, which an agent reads and acts on. */
import { toFedError } from "@fed/core";
import { failureOf, rpcCodes } from "../mcp/json-rpc.js";

/**
 * The result that says what went wrong.
 * @throws `cause` itself where the app, or the protocol, has an error of its own for it.
 */
export function toolFailure(
  cause: unknown,
  where: { readonly hub?: string | undefined; readonly app?: string | undefined },
): Record<string, unknown> {
  if (failureOf(cause).code !== rpcCodes.federation) throw cause;
  return failure(cause, where);
}

/** The result that says what went wrong, whatever it was. */
export function failure(
  cause: unknown,
  where: { readonly hub?: string | undefined; readonly app?: string | undefined },
): Record<string, unknown> {
  const { code, message, hint, retryable } = toFedError(cause);
  return {
    resultType: "complete",
    isError: true,
    content: [{ type: "text", text: `${code}: ${message}${hint ? ` ${hint}` : ""}` }],
    structuredContent: { error: { code, message, ...(hint ? { hint } : {}), ...where, retryable } },
  };
}
