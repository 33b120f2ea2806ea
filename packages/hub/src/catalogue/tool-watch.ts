/** Watches what tools say of themselves, wherever that passes this hub, and tells its operator when it changes. */
import type { Clock, HubId, Store } from "@fed/core";
import type { RevocationEntry } from "@fed/revocation";
import { type ListedApp, toolHash } from "@fed/router";
import { sha256 } from "@fed/trust";
import type { AppHost } from "../apps/app-host.js";
import type { ToolDefinition } from "../apps/tool-list.js";
import type { AuditTrail } from "../audit-trail.js";
import type { AcceptedTools } from "../consent/guard.js";
import { isObject } from "../mcp/json-rpc.js";
import type { AppTarget } from "../operators/within.js";
import type { Logger } from "../options.js";
import { openToolPins, type SeenTools, type ToolPinning, type ToolPins } from "./tool-pins.js";

/** Options of {@link openToolWatch}. */
export interface ToolWatchOptions {
  readonly selfId: HubId;
  readonly mode: ToolPinning;
  readonly store: Store;
  readonly audit: AuditTrail;
  readonly clock: Clock;
  readonly log: Logger;
  readonly nameOfHub: (hubId: HubId) => string | undefined;
}

/** See the module header. */
export class ToolWatch implements AsyncDisposable {
  readonly pins: ToolPins;
  readonly #selfId: HubId;

  constructor(pins: ToolPins, selfId: HubId) {
    this.pins = pins;
    this.#selfId = selfId;
  }

  /** Looks at this hub's own apps, now and whenever they change; each change is followed by `changed`. */
  follow(apps: Pick<AppHost, "list" | "tools" | "onChange">, changed: () => void): void {
    apps.onChange((app) => {
      if (app !== undefined) this.#own(app, apps.tools(app));
      changed();
    });
    for (const { app } of apps.list()) if (!this.pins.knows(this.#selfId, app)) this.#own(app, apps.tools(app));
  }

  /** Another hub showed its apps. */
  listed(hub: HubId, apps: readonly ListedApp[]): void {
    for (const { app, tools } of apps) if (tools) this.pins.observe(hub, app, { tools, partial: false });
  }

  /** An app answered a request: nobody shows one thing in a list and another where it is used. */
  answered(hub: HubId, { app, method, params }: AppTarget, result: unknown): void {
    if (method !== "tools/list" || !isObject(result) || !Array.isArray(result.tools)) return;
    const partial = params.cursor !== undefined || result.nextCursor !== undefined;
    this.pins.observe(hub, app, seenTools(result.tools, partial));
  }

  /** A request is about to be sent. @throws {HubError} TOOL_CHANGED where what has changed waits for the operator. */
  assertAccepted(hub: HubId, { app, method, params }: AppTarget): void {
    if (method === "tools/call") this.pins.assertAccepted({ hub, app, tool: String(params.name) });
  }

  /** What of this hub's own tools was accepted. */
  get own(): AcceptedTools {
    const hub = this.#selfId;
    return {
      assertAccepted: (app, tool) => this.pins.assertAccepted({ hub, app, tool }),
      isChanged: (app, tool) => this.pins.changedOf(hub, app)?.has(tool) === true,
    };
  }

  /** Hubs that are revoked do not come back. */
  revoked(entries: readonly RevocationEntry[]): void {
    for (const { kind, id } of entries) if (kind === "hub") this.pins.forgetHub(id);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.pins[Symbol.asyncDispose]();
  }

  #own(app: string, tools: readonly ToolDefinition[] | undefined): void {
    if (tools) this.pins.observe(this.#selfId, app, seenTools(tools, false));
  }
}

/** Loads the definitions that were accepted. @throws {HubError} STATE_CORRUPT. */
export async function openToolWatch(options: ToolWatchOptions): Promise<ToolWatch> {
  const { selfId, mode, store, audit, clock, log, nameOfHub } = options;
  const pins = await openToolPins({
    store,
    clock,
    mode,
    onChanged: ({ hub, app, tool, from, to }) => {
      audit.note({ type: "tool.changed", hub, app, tool, from, to });
      log.warn(
        { hub: nameOfHub(hub) ?? hub, app, tool, from, to },
        "a tool's definition has changed: see `fed apps changed`",
      );
    },
    onError: (error) => log.warn({ error }, "the definitions of tools could not be kept in mind"),
  });
  return new ToolWatch(pins, selfId);
}

function seenTools(tools: readonly unknown[], partial: boolean): SeenTools {
  const seen = tools.filter(isDefinition).flatMap((definition) => {
    try {
      return { name: definition.name, hash: toolHash(definition, sha256) };
    } catch {
      // What has no canonical form is in no listing either.
      return [];
    }
  });
  return { tools: seen, partial };
}

function isDefinition(tool: unknown): tool is ToolDefinition {
  return isObject(tool) && typeof tool.name === "string" && tool.name.length <= 256;
}
