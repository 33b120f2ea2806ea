/** The way of an agent's request on its own hub: who asks, what the token allows, which hub, and whether its tools are as they were. */
import type { HubId } from "@fed/core";
import type { Caller, Router } from "@fed/router";
import type { FleetCatalogue } from "./catalogue/fleet-catalogue.js";
import type { ToolWatch } from "./catalogue/tool-watch.js";
import type { HubCallOptions } from "./contract.js";
import type { Operator } from "./operators/operator.js";
import { type AppTarget, sendWithin } from "./operators/within.js";
import { callScope } from "./policy-book.js";
import type { Telemetry } from "./telemetry/telemetry.js";

/** What requests pass through. */
export interface FleetCallsOptions {
  readonly selfId: HubId;
  /** The router of now: founding and joining replace it. */
  readonly router: () => Router;
  readonly catalogue: () => FleetCatalogue;
  readonly tools: () => ToolWatch;
  readonly telemetry: Telemetry;
}

/** See the module header. */
export class FleetCalls {
  readonly #options: FleetCallsOptions;

  constructor(options: FleetCallsOptions) {
    this.#options = options;
  }

  /** The app's MCP result. @throws {FedError} when the request was refused or its fate is unknown. */
  request(
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
