/** The apps of the whole fleet for this hub's operators: listed, searched and described. */
import type { Clock, HubId } from "@fed/core";
import { type Caller, type CatalogueEntry, limits, type Place, type Router, RouterError } from "@fed/router";
import type { ToolDefinition } from "../apps/tool-list.js";
import type { AuditTrail } from "../audit-trail.js";
import { isObject } from "../mcp/json-rpc.js";
import { allows, onlyHub } from "../operators/allow.js";
import type { Operator } from "../operators/operator.js";
import type { AppTarget } from "../operators/within.js";
import {
  type AppPage,
  type ChangedOf,
  type ChangedTool,
  type DescribedApp,
  type FoundPage,
  foundApp,
  type ListedApp,
  type ListOptions,
  listedApp,
  type PageOptions,
  type SearchOptions,
} from "./listed-app.js";
import { isRepeatable } from "./repeatable.js";
import type { PinChange, ToolAcceptance, ToolPins } from "./tool-pins.js";

const maxToolPages = 32;

/** An app; without a hub the one that shows it. */
export interface AppAddress {
  /** The hub's name or id. */
  readonly hub?: string | undefined;
  readonly app: string;
}

/** What {@link FleetCatalogue} is made from. */
export interface FleetCatalogueOptions {
  readonly selfId: HubId;
  readonly router: () => Router;
  readonly pins: ToolPins;
  readonly audit: AuditTrail;
  readonly clock: Clock;
  readonly nameOfHub: (hubId: HubId) => string | undefined;
  readonly callerOf: (operator: Operator) => Caller;
  /** Sends one MCP request to an app, as an agent's. */
  readonly request: (target: AppTarget, options: ListOptions) => Promise<unknown>;
}

/** See the module header. */
export class FleetCatalogue {
  readonly #options: FleetCatalogueOptions;
  readonly #changedOf: ChangedOf;

  constructor(options: FleetCatalogueOptions) {
    this.#options = options;
    this.#changedOf = ({ hub, app }) => options.pins.changedOf(hub, app);
  }

  /** Every app the operator may use, by hub and app. */
  async list({ operator, signal }: ListOptions): Promise<ListedApp[]> {
    const { router, callerOf } = this.#options;
    const entries = await router().list(callerOf(operator), { signal, visible: visibleTo(operator) });
    return entries.map((entry) => listedApp(entry, this.#changedOf));
  }

  /** One page of the same list. @throws {RouterError} HUB_UNKNOWN, REQUEST_MALFORMED. */
  async page({ operator, ...options }: PageOptions): Promise<AppPage> {
    const { router, callerOf } = this.#options;
    const page = await router().page(callerOf(operator), { ...options, visible: visibleTo(operator) });
    return { ...page, apps: page.apps.map((entry) => listedApp(entry, this.#changedOf)) };
  }

  /** Apps and tools that have all words of the query, best first. @throws {RouterError} REQUEST_MALFORMED. */
  async search({ operator, query, ...options }: SearchOptions): Promise<FoundPage> {
    const { router, callerOf } = this.#options;
    const found = await router().search(callerOf(operator), query, { ...options, visible: visibleTo(operator) });
    const { hits, ...page } = found;
    return { matches: hits.map((hit) => foundApp(hit, this.#changedOf)), ...page };
  }

  /**
   * One app with its tools' whole definitions; it is started for that if need be.
   * @throws {FedError} as a call; RESULT_TOO_LARGE where they have more than 4 MiB of JSON together.
   */
  async describe({ hub, app }: AppAddress, options: ListOptions): Promise<DescribedApp> {
    const { callerOf } = this.#options;
    const { operator, signal } = options;
    const router = this.#options.router();
    const caller = callerOf(operator);
    const hubId = await router.locate({ hub: hub ?? onlyHub(operator, app), app }, { caller, signal });
    const definitions = await this.#definitions({ hub: hubId, app }, options);
    const { apps } = await router.page(caller, { hub: hubId, limit: 1, signal, visible: (place) => place.app === app });
    const { tools, more: _more, ...listed } = listedApp(apps[0] ?? this.#unlisted(hubId, app), this.#changedOf);
    const changed = this.#changedOf({ hub: hubId, app });
    const risks = new Map(tools?.map(({ name, risk }) => [name, risk]));
    return {
      ...listed,
      tools: definitions.map((definition) => ({
        ...definition,
        risk: risks.get(definition.name),
        changed: changed?.has(definition.name) ? true : undefined,
      })),
    };
  }

  /** Whether a request that may have arrived may be sent again. The owner who says so of a tool risks its own app alone. */
  repeatable(caller: Caller, hub: HubId, { app, method, params }: AppTarget): boolean {
    if (method !== "tools/call") return isRepeatable(method);
    const { selfId, router } = this.#options;
    if (hub === selfId) return false;
    const tool = router().tool(caller, { hub, app, tool: String(params.name) });
    return tool?.risk === "read" || tool?.idempotent === true;
  }

  /** Every tool that has changed, by hub, app and tool. */
  changed(): ChangedTool[] {
    return this.#options.pins.changed().map((change) => this.#named(change));
  }

  /** Accepts what has changed of an app; durable, and in the audit log, once resolved. @throws {HubError} TOOL_CHANGED. */
  async accept({ hub, ...acceptance }: ToolAcceptance, { operator, signal }: ListOptions): Promise<ChangedTool[]> {
    const { router, callerOf, pins, audit } = this.#options;
    const { app } = acceptance;
    const hubId = await router().locate({ hub, app }, { caller: callerOf(operator), signal });
    const accepted = await pins.accept(hubId, acceptance);
    for (const { tool, from, to } of accepted) {
      await audit.record({ type: "tool.accepted", hub: hubId, app, tool, from, to, by: operator.principal });
    }
    return accepted.map((change) => this.#named(change));
  }

  #named({ hub, ...change }: PinChange): ChangedTool {
    return { hub: this.#options.nameOfHub(hub) ?? hub, hubId: hub, ...change };
  }

  /** An app that has just answered, of a hub whose listing is late. */
  #unlisted(hubId: HubId, app: string): CatalogueEntry {
    const { selfId, router, nameOfHub, clock } = this.#options;
    const path = hubId === selfId ? "local" : (router().session(hubId)?.transport ?? "none");
    const hub = { id: hubId, name: nameOfHub(hubId) ?? hubId };
    return { hub, app, path, status: "ready", stale: true, asOfMs: clock.nowMs() };
  }

  async #definitions(target: AppAddress, options: ListOptions): Promise<ToolDefinition[]> {
    const definitions: ToolDefinition[] = [];
    let bytes = 0;
    let cursor: unknown;
    for (let page = 0; page < maxToolPages; page++) {
      const params = cursor === undefined ? {} : { cursor };
      const result = await this.#options.request({ ...target, method: "tools/list", params }, options);
      if (!isObject(result) || !Array.isArray(result.tools)) break;
      bytes += Buffer.byteLength(JSON.stringify(result.tools));
      if (bytes > limits.bodyBytes) throw tooLarge(target.app);
      definitions.push(...result.tools.filter(isDefinition));
      cursor = result.nextCursor;
      if (cursor === undefined) break;
    }
    return definitions;
  }
}

/** What a narrowed token is for; undefined: not narrowed. */
function visibleTo(operator: Operator): ((place: Place) => boolean) | undefined {
  return operator.allow && ((place) => allows(operator, { action: "list", ...place }));
}

function tooLarge(app: string): RouterError {
  return new RouterError({
    code: "RESULT_TOO_LARGE",
    message: `The tools of the app ${app} say more than ${limits.bodyBytes} bytes of themselves.`,
    hint: "Its own endpoint /apps/HUB/APP/mcp shows them in pages.",
  });
}

function isDefinition(tool: unknown): tool is ToolDefinition {
  return isObject(tool) && typeof tool.name === "string";
}
