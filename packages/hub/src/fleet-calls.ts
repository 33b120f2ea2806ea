/** The way of an agent's request on its own hub: who asks, what the token allows, which hub, and whether its tools are as they were. */
import { CoreError, type FedError, type HubId, toFedError } from "@fed/core";
import type { Caller, Router } from "@fed/router";
import type { FleetCatalogue } from "./catalogue/fleet-catalogue.js";
import type { ToolWatch } from "./catalogue/tool-watch.js";
import type { HubCallOptions } from "./contract.js";
import { isObject } from "./mcp/json-rpc.js";
import { givingUp, isGivenUp } from "./mcp/refusal.js";
import type { Operator } from "./operators/operator.js";
import { type AppTarget, sendWithin } from "./operators/within.js";
import { callScope } from "./policy-book.js";
import type { Telemetry } from "./telemetry/telemetry.js";
import type { WaitingCalls } from "./waiting-calls.js";

/** How long telling an app that a call is given up may take. */
const giveUpMs = 30_000;

/** What requests pass through. */
export interface FleetCallsOptions {
  readonly selfId: HubId;
  /** The router of now: founding and joining replace it. */
  readonly router: () => Router;
  readonly catalogue: () => FleetCatalogue;
  readonly tools: () => ToolWatch;
  readonly telemetry: Telemetry;
  readonly waiting: WaitingCalls;
}

/** See the module header. */
export class FleetCalls {
  readonly #options: FleetCallsOptions;

  constructor(options: FleetCallsOptions) {
    this.#options = options;
  }

  /** The app's MCP result. @throws {FedError} when the request was refused or its fate is unknown. */
  async request(target: AppTarget, options: HubCallOptions): Promise<unknown> {
    const { waiting } = this.#options;
    const { operator, signal } = options;
    const { principal } = operator;
    const { requestState } = target.params;
    const continued = typeof requestState === "string" ? requestState : undefined;
    if (isGivenUp(target.params) && !waiting.has(continued!, principal)) {
      throw new CoreError({ code: "ABORTED", message: "The call has been given up already." });
    }
    let result: unknown;
    try {
      result = await this.#send(target, options);
    } catch (cause) {
      // A state that was not taken still continues its call.
      const isWaiting = toFedError(cause).code === "INPUT_STATE_INVALID";
      if (continued !== undefined && !isWaiting) waiting.delete(continued, principal);
      throw cause;
    }
    if (continued !== undefined) waiting.delete(continued, principal);
    if (!isObject(result) || result.resultType !== "input_required" || typeof result.requestState !== "string") {
      return result;
    }
    const giveUp = this.#givingUp(target, result.requestState, operator);
    try {
      signal?.throwIfAborted();
      waiting.add(result.requestState, operator, ({ code }: FedError) => {
        // Whoever owns the app ends the calls of a revoked operator, and takes no further word.
        if (code !== "OPERATOR_REVOKED") giveUp();
      });
    } catch (cause) {
      giveUp();
      throw cause;
    }
    return result;
  }

  /** What gives up a call; of its params it keeps no more than the state is bound to. */
  #givingUp({ hub, app, method, params }: AppTarget, requestState: string, operator: Operator): () => void {
    const { name, uri } = params;
    const last = { ...(name !== undefined && { name }), ...(uri !== undefined && { uri }), requestState };
    const target = { hub, app, method, params: givingUp(last) };
    return () => void this.#send(target, { operator, signal: AbortSignal.timeout(giveUpMs) }).catch(() => {});
  }

  #send(
    target: AppTarget,
    { operator, signal, onNotification, deadlineMs, idempotencyKey }: HubCallOptions,
  ): Promise<unknown> {
    const { telemetry, ...options } = this.#options;
    const { app, method } = target;
    const router = options.router();
    const tools = options.tools();
    const caller = this.callerOf(operator);
    const locate = (wanted: Pick<AppTarget, "hub" | "app">) => router.locate(wanted, { caller, signal });
    return telemetry.calls.agentCall(target, operator.principal, onNotification, (call) =>
      sendWithin(operator, target, {
        locate,
        send: async (wanted) => {
          const hub = await locate({ hub: wanted, app });
          tools.assertAccepted(hub, target);
          const readOnly = options.catalogue().repeatable(caller, hub, target);
          const result = await call.send(hub, (params) =>
            router.call(
              { hub, app, method, params, idempotencyKey, readOnly },
              { caller, signal, deadlineMs, callId: call.callId, onNotification: call.onNotification },
            ),
          );
          tools.answered(hub, target, result);
          return result;
        },
      }),
    );
  }

  /** The operator as hubs know it. */
  callerOf({ principal, roles, scope, token }: Operator): Caller {
    const { selfId } = this.#options;
    return {
      operator: principal,
      homeHub: selfId,
      roles,
      scope: callScope(scope),
      local: true,
      hubs: [selfId],
      token,
    };
  }
}
