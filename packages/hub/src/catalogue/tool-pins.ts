/**
 * Tools' definitions as they were first seen, by hub, app and tool: whoever changes what a tool says of itself after agents
 * have come to rely on it is found out.
 */
import type { Clock, HubId, Store } from "@fed/core";
import { type Rate, RateLimit } from "@fed/router";
import { HubError } from "../errors.js";
import { type AppPins, PinRecords } from "./pin-records.js";

/** Where a tool is. */
export interface ToolPlace {
  readonly hub: HubId;
  readonly app: string;
  readonly tool: string;
}

/** A tool whose definition is not the one that was accepted. */
export interface PinChange extends ToolPlace {
  /** The hash of the accepted definition; absent for a tool that its app did not have before. */
  readonly from?: string;
  /** The hash of the definition that was seen last. */
  readonly to: string;
  /** When that was first seen, Unix milliseconds. */
  readonly atMs: number;
}

/** What is accepted. */
export interface ToolAcceptance {
  /** The hub's name or id; absent: the one that shows the app. */
  readonly hub?: string | undefined;
  readonly app: string;
  /** Absent: every tool of the app. */
  readonly tool?: string | undefined;
  /** Only this definition. */
  readonly hash?: string | undefined;
}

/** `alert`: a change is told; `approve`: what has changed, or is new in a known app, is not called until it is accepted. */
export type ToolPinning = "alert" | "approve";

/** What of an app's tools was seen. */
export interface SeenTools {
  readonly tools: readonly { readonly name: string; readonly hash: string }[];
  /** One of several pages: the app may have had more tools all the time. */
  readonly partial: boolean;
}

/** Options of {@link openToolPins}. */
export interface ToolPinsOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly mode: ToolPinning;
  /** A definition is not the accepted one. At most 256 at once and six a minute for each hub; `changed()` has them all. */
  readonly onChanged: (changed: PinChange) => void;
  /** Pins could not be written down, or there are too many; the hub runs on. */
  readonly onError: (error: unknown) => void;
}

/** See the module header. */
export interface ToolPins extends AsyncDisposable {
  /** Whether anything of `app` is pinned. */
  knows(hub: HubId, app: string): boolean;
  /** Compares what an app's tools say of themselves now with what was accepted, and pins what is new. */
  observe(hub: HubId, app: string, seen: SeenTools): void;
  /** Those of an app's tools whose definition has changed; undefined when there are none. */
  changedOf(hub: HubId, app: string): ReadonlyMap<string, unknown> | undefined;
  /** Every tool that has changed, by hub, app and tool. */
  changed(): PinChange[];
  /** In mode `approve`, refuses a tool that is not as it was accepted. @throws {HubError} TOOL_CHANGED. */
  assertAccepted(place: ToolPlace): void;
  /**
   * Accepts what has changed of an app, or of one of its tools; durable once resolved.
   * @throws {HubError} TOOL_CHANGED when a definition is not the one with `hash` any more.
   */
  accept(hub: HubId, acceptance: Omit<ToolAcceptance, "hub">): Promise<PinChange[]>;
  /** Forgets a hub that will not come back. */
  forgetHub(hub: HubId): void;
}

/** Apps and tools of one hub and of all; what is beyond is not pinned, and in mode `approve` not called. */
const maxPinsPerHub = 8192;
const maxPins = 131_072;
const alertRate: Rate = { perSecond: 0.1, burst: 256 };

/** Loads the pins kept in the store. @throws {HubError} STATE_CORRUPT. */
export async function openToolPins(options: ToolPinsOptions): Promise<ToolPins> {
  const book = new PinBook(options);
  await book.load();
  return book;
}

class PinBook implements ToolPins {
  readonly #options: ToolPinsOptions;
  readonly #records: PinRecords;
  readonly #hubs = new Map<HubId, Map<string, AppPins>>();
  /** Apps and tools of each hub. */
  readonly #counts = new Map<HubId, number>();
  readonly #alerts: RateLimit;
  #total = 0;
  #toldFull = false;

  constructor(options: ToolPinsOptions) {
    const { store, clock, onError } = options;
    this.#options = options;
    this.#alerts = new RateLimit(alertRate, clock);
    this.#records = new PinRecords({ store, clock, onError, pinsOf: (hub, app) => this.#pins(hub, app) });
  }

  async load(): Promise<void> {
    for (const { hubId, app, pins } of await this.#records.load()) {
      this.#appsOf(hubId).set(app, pins);
      const added = [...pins.changed.keys()].filter((tool) => !pins.accepted.has(tool)).length;
      this.#count(hubId, 1 + pins.accepted.size + added);
    }
  }

  knows(hub: HubId, app: string): boolean {
    return this.#pins(hub, app) !== undefined;
  }

  observe(hub: HubId, app: string, { tools, partial }: SeenTools): void {
    const known = this.#pins(hub, app);
    const pins = known ?? { accepted: new Map(), changed: new Map(), partial };
    if (!known) {
      if (!this.#hasRoom(hub)) return;
      this.#appsOf(hub).set(app, pins);
      this.#count(hub, 1);
    }
    const trusting = !known || pins.partial || this.#options.mode === "alert";
    let written = known !== undefined;
    for (const tool of tools) if (this.#compare(hub, app, pins, tool, trusting)) written = false;
    if (pins.partial && !partial) {
      pins.partial = false;
      written = false;
    }
    if (!written) this.#records.write(hub, app);
  }

  changedOf(hub: HubId, app: string): ReadonlyMap<string, unknown> | undefined {
    const changed = this.#pins(hub, app)?.changed;
    return changed && changed.size > 0 ? changed : undefined;
  }

  changed(): PinChange[] {
    const all = [...this.#hubs].flatMap(([hub, apps]) =>
      [...apps].flatMap(([app, pins]) => [...pins.changed.keys()].map((tool) => pinChange({ hub, app, tool }, pins))),
    );
    const keyOf = ({ hub, app, tool }: ToolPlace) => `${hub} ${app} ${tool}`;
    return all.sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
  }

  assertAccepted({ hub, app, tool }: ToolPlace): void {
    if (this.#options.mode === "alert") return;
    const pins = this.#pins(hub, app);
    if (pins ? isAccepted(pins, tool) : this.#hasRoom(hub)) return;
    const from = pins?.accepted.get(tool);
    throw new HubError({
      code: "TOOL_CHANGED",
      message:
        from === undefined
          ? `This tool is new in the app ${app}, and nobody has accepted it.`
          : `What this tool of the app ${app} says of itself has changed, and nobody has accepted that.`,
      hint: "Look at it with apps.describe; its operator accepts it with: fed apps accept HUB/APP TOOL",
      details: { hub, app, tool },
    });
  }

  async accept(hub: HubId, { app, tool: only, hash }: Omit<ToolAcceptance, "hub">): Promise<PinChange[]> {
    const pins = this.#pins(hub, app);
    if (!pins) return [];
    const tools = [...pins.changed.keys()].filter((tool) => only === undefined || tool === only);
    const done = tools.map((tool) => pinChange({ hub, app, tool }, pins));
    if (hash !== undefined && done.some(({ to }) => to !== hash)) {
      throw new HubError({
        code: "TOOL_CHANGED",
        message: "The tool's definition is not the one that was looked at.",
        hint: "Look again: fed apps changed",
      });
    }
    for (const { tool, to } of done) {
      pins.accepted.set(tool, to);
      pins.changed.delete(tool);
    }
    if (done.length === 0) return done;
    try {
      this.#records.write(hub, app);
      await this.#records.flush();
    } catch (cause) {
      for (const { tool, from, to, atMs } of done) {
        if (from === undefined) pins.accepted.delete(tool);
        else pins.accepted.set(tool, from);
        if (!pins.changed.has(tool)) pins.changed.set(tool, { hash: to, atMs });
      }
      throw cause;
    }
    return done;
  }

  forgetHub(hub: HubId): void {
    const apps = this.#hubs.get(hub);
    if (!apps) return;
    this.#hubs.delete(hub);
    this.#count(hub, -this.#counts.get(hub)!);
    this.#counts.delete(hub);
    for (const app of apps.keys()) this.#records.write(hub, app);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#records.flush().catch(this.#options.onError);
  }

  /** Whether there is something to write down. */
  #compare(
    hub: HubId,
    app: string,
    pins: AppPins,
    { name: tool, hash }: { readonly name: string; readonly hash: string },
    trusting: boolean,
  ): boolean {
    const { accepted, changed } = pins;
    if (accepted.get(tool) === hash) return changed.delete(tool);
    if (changed.get(tool)?.hash === hash && !(trusting && !accepted.has(tool))) return false;
    if (!accepted.has(tool) && !changed.has(tool)) {
      if (!this.#hasRoom(hub)) return false;
      this.#count(hub, 1);
    }
    if (trusting && !accepted.has(tool)) {
      accepted.set(tool, hash);
      changed.delete(tool);
      return true;
    }
    changed.set(tool, { hash, atMs: this.#options.clock.nowMs() });
    if (this.#alerts.tryTake(hub)) this.#options.onChanged(pinChange({ hub, app, tool }, pins));
    return true;
  }

  #pins(hub: HubId, app: string): AppPins | undefined {
    return this.#hubs.get(hub)?.get(app);
  }

  #appsOf(hub: HubId): Map<string, AppPins> {
    let apps = this.#hubs.get(hub);
    if (!apps) {
      apps = new Map();
      this.#hubs.set(hub, apps);
    }
    return apps;
  }

  #count(hub: HubId, more: number): void {
    this.#counts.set(hub, (this.#counts.get(hub) ?? 0) + more);
    this.#total += more;
  }

  #hasRoom(hub: HubId): boolean {
    if ((this.#counts.get(hub) ?? 0) < maxPinsPerHub && this.#total < maxPins) return true;
    if (!this.#toldFull) {
      this.#toldFull = true;
      const message = `Hub ${hub} shows more tools than are kept in mind; changes of the others go unnoticed.`;
      this.#options.onError(new HubError({ code: "TOOL_PINS_FULL", message }));
    }
    return false;
  }
}

function isAccepted({ accepted, changed, partial }: AppPins, tool: string): boolean {
  return !changed.has(tool) && (accepted.has(tool) || partial);
}

function pinChange(place: ToolPlace, { accepted, changed }: AppPins): PinChange {
  const from = accepted.get(place.tool);
  const { hash, atMs } = changed.get(place.tool)!;
  return { ...place, ...(from !== undefined && { from }), to: hash, atMs };
}
