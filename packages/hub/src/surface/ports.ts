/** The hub's HTTP port, put together: who may come in, what agents and operators find there. */
import type { Clock, FedError, Store } from "@fed/core";
import type { Hub } from "../contract.js";
import type { FleetCalls } from "../fleet-calls.js";
import { createAccessTokens } from "../operators/access-tokens.js";
import { createAdmission } from "../operators/admission.js";
import { createAuthenticate } from "../operators/authenticate.js";
import type { OpenExchanges } from "../operators/open-exchanges.js";
import type { OperatorTokens } from "../operators/tokens.js";
import type { HubOptions } from "../options.js";
import type { Seal } from "../seal.js";
import type { Telemetry } from "../telemetry/telemetry.js";
import { createAgentTokens } from "./agent-tokens.js";
import { addApiRoutes } from "./api.js";
import { type HttpServer, maxBodyBytes, startHttpServer } from "./http-server.js";
import { createMcpEndpoint } from "./mcp-endpoint.js";
import { createServices } from "./services.js";
import { addTapRoute } from "./tap-route.js";

/** How long a call of an agent's may run; agents give up, or cancel, by themselves. */
const agentDeadlineMs = 3_600_000;

/** What stands behind the port. */
export interface PortsOptions {
  readonly hub: Hub;
  readonly calls: FleetCalls;
  readonly tokens: OperatorTokens;
  readonly exchanges: OpenExchanges;
  readonly telemetry: Telemetry;
  readonly seal: Seal;
  readonly store: Store;
  readonly clock: Clock;
  readonly options: Pick<HubOptions, "limits" | "metrics" | "oauth">;
  /** @throws {RevocationError} OPERATOR_REVOKED. */
  readonly assertOperator: (principal: string) => void;
  readonly isReady: () => boolean;
  /** Why the hub federates no more, if so. */
  readonly stopped: () => FedError | undefined;
}

/** Listens at `address`. @throws {HubError} HTTP_PORT_IN_USE, OAUTH_CONFIG_INVALID. */
export function openPorts(
  address: { readonly host: string; readonly port: number },
  {
    hub,
    calls,
    tokens,
    exchanges,
    telemetry,
    seal,
    store,
    clock,
    options,
    assertOperator,
    isReady,
    stopped,
  }: PortsOptions,
): Promise<HttpServer> {
  const accessTokens = options.oauth && createAccessTokens(options.oauth, { hubId: hub.hubId, clock });
  const admission = createAdmission(clock, options.limits?.operator);
  const authenticate = createAuthenticate({ tokens, accessTokens, assertOperator });
  return startHttpServer({
    ...address,
    hubName: hub.name,
    accessTokens,
    authenticate,
    admission,
    exchanges,
    mcp: createMcpEndpoint({ seal, store, clock, maxBodyBytes }),
    serviceAt: createServices({
      page: (asked) => admission.call(asked.operator, "apps.list", () => hub.apps.page(asked)),
      search: (asked) => admission.call(asked.operator, "apps.search", () => hub.apps.search(asked)),
      describe: (app, asked) => admission.call(asked.operator, "apps.describe", () => hub.apps.describe(app, asked)),
      launch: (app) => hub.apps.launch(app),
      stop: (app) => hub.apps.stop(app),
      request: (target, { notify, ...asked }) =>
        admission.call(asked.operator, target.method, () =>
          calls.request(target, { ...asked, onNotification: notify, deadlineMs: agentDeadlineMs }),
        ),
    }),
    api: (app) => {
      addApiRoutes(app, hub, createAgentTokens(tokens));
      addTapRoute(app, { tap: hub.tap, exchanges, clock });
    },
    metrics: { render: () => hub.metrics(), open: options.metrics === "open" },
    onRefused: (error) => telemetry.refused("http", error),
    isReady,
    stopped,
  });
}
