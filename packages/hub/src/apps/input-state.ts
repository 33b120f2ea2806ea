/**
 * `requestState` on its way through an agent's hands: what the app gave is sealed and bound to the principal, the app and
 * the request it was given for, so that nobody else can continue a call, nor continue it as another.
 */
import type { Clock } from "@fed/core";
import { HubError } from "../errors.js";
import { isObject } from "../mcp/json-rpc.js";
import type { Seal } from "../seal.js";
import { heldMs } from "./held-call.js";

/** What a request is about, and on whose behalf. */
export interface InputContext {
  readonly principal: string;
  readonly app: string;
  readonly method: string;
  readonly params: Record<string, unknown>;
}

/** See the module header. */
export interface InputStates {
  /** The params with the app's own state in them. @throws {HubError} INPUT_STATE_INVALID. */
  open(context: InputContext): Record<string, unknown>;
  /** The result with its state sealed, if it asks for input. */
  close(context: InputContext, result: unknown): unknown;
}

/** States sealed by `seal`, good for ten minutes. */
export function createInputStates(seal: Seal, clock: Clock): InputStates {
  return {
    open(context) {
      const { params } = context;
      if (params.requestState === undefined) return params;
      const state =
        typeof params.requestState === "string"
          ? seal.open(params.requestState, boundTo(context), clock.nowMs())
          : undefined;
      if (typeof state !== "string") {
        throw new HubError({
          code: "INPUT_STATE_INVALID",
          message: "The request's state was changed, was given for another request, or has expired.",
          hint: "Begin the call anew.",
        });
      }
      return { ...params, requestState: state };
    },
    close(context, result) {
      if (!isObject(result) || result.resultType !== "input_required" || typeof result.requestState !== "string") {
        return result;
      }
      const requestState = seal.close(result.requestState, boundTo(context), clock.nowMs() + heldMs);
      return { ...result, requestState };
    },
  };
}

function boundTo({ principal, app, method, params }: InputContext): string {
  return JSON.stringify(["input", principal, app, method, params.name ?? params.uri ?? null]);
}
