/** Which apps there are: every hub is asked at once, and what is known by the deadline is returned. */
import { type Clock, type HubId, isAppName, type Json, oneLine } from "@fed/core";
import type { Client } from "./call.js";
import { createDeadline } from "./deadline.js";
import { RemoteError } from "./errors.js";
import { limits } from "./limits.js";
import type { Link } from "./link.js";
import type { PeerPaths } from "./peer-paths.js";
import { type AppStatus, appStatuses, type Caller, type LocalApp } from "./ports.js";
import { isObject, newCallId, remoteProtocol } from "./wire.js";

/** An app that the caller may call something of. */
export interface CatalogueEntry {
  readonly hub: { readonly id: HubId; readonly name: string };
  readonly app: string;
  readonly title?: string;
  readonly description?: string;
  /** The transport that reaches it now, `local`, or `none`. */
  readonly path: string;
  readonly status: AppStatus | "offline";
  /** Whether this is the last known state and not an answer to this question. */
  readonly stale: boolean;
  /** When its hub said so, Unix milliseconds. */
  readonly asOfMs: number;
}

/** Options of a listing. */
export interface ListOptions {
  /** When to return with what is known. Default 1000. */
  readonly deadlineMs?: number;
  readonly signal?: AbortSignal;
}

type ListedApp = Pick<LocalApp, "app" | "title" | "description" | "status">;

interface Hub {
  readonly hubId: HubId;
  readonly name: string;
}

interface Listing {
  readonly hubId: HubId;
  readonly operator: string;
  readonly apps: readonly ListedApp[];
  readonly asOfMs: number;
}

/** What a catalogue is handed. */
export interface CatalogueOptions {
  readonly self: Hub;
  readonly paths: PeerPaths;
  readonly client: Client;
  readonly clock: Clock;
  /** This hub's apps, as the policy shows them to `caller`. */
  local(caller: Caller): readonly ListedApp[];
  /** Every other hub that may have apps. */
  hubs(): readonly Hub[];
}

/** Asks hubs for their apps and remembers the answers. */
export class Catalogue {
  readonly #options: CatalogueOptions;
  /** By hub and authority; the least recently answered first. */
  readonly #known = new Map<string, Listing>();
  /** Questions under way, shared by those who ask the same. */
  readonly #asking = new Map<string, Promise<Listing | undefined>>();

  constructor(options: CatalogueOptions) {
    this.#options = options;
  }

  /** Every app `caller` may call something of, by hub name and app. A slow or dead hub delays it to the deadline at most. */
  async list(caller: Caller, { deadlineMs = 1000, signal }: ListOptions = {}): Promise<CatalogueEntry[]> {
    const { self, clock, paths, local, hubs } = this.#options;
    const deadline = createDeadline(clock, deadlineMs, signal);
    try {
      const answers = await Promise.all(
        hubs().map(async (hub) => {
          const link = paths.best(hub.hubId);
          const answer = link && (await Promise.race([this.#ask(link, caller), deadline.ended]).catch(() => undefined));
          return answer ? this.#fresh(hub, link, answer) : this.#stale(hub, caller);
        }),
      );
      if (signal?.aborted) throw deadline.signal.reason;
      const own = local(caller).map((app) => ({
        ...this.#entry({ hubId: self.hubId, name: self.name }, app, clock.nowMs()),
        path: "local",
        stale: false,
      }));
      return [...own, ...answers.flat()].sort(byName);
    } finally {
      deadline.done();
    }
  }

  /** Hubs known to have shown `app` to `operator`. */
  hubsWith(operator: string, app: string): HubId[] {
    const shown = [...this.#known.values()].filter(
      (listing) => listing.operator === operator && listing.apps.some((known) => known.app === app),
    );
    return [...new Set(shown.map(({ hubId }) => hubId))];
  }

  /** Forgets what `hubId` said. */
  purgeHub(hubId: HubId): void {
    for (const [key, listing] of this.#known) if (listing.hubId === hubId) this.#known.delete(key);
  }

  /** Forgets what was said to `operator`. */
  purgeOperator(operator: string): void {
    for (const [key, listing] of this.#known) if (listing.operator === operator) this.#known.delete(key);
  }

  /** The hub's answer; undefined when it gave none. Never rejects. */
  #ask(link: Link, caller: Caller): Promise<Listing | undefined> {
    const key = keyOf(link.peer.hubId, caller);
    let asking = this.#asking.get(key);
    if (!asking) {
      asking = this.#question(link, caller, key).finally(() => this.#asking.delete(key));
      this.#asking.set(key, asking);
    }
    return asking;
  }

  async #question(link: Link, caller: Caller, key: string): Promise<Listing | undefined> {
    const { client, clock, paths } = this.#options;
    const { hubId } = link.peer;
    // Longer than any listing waits: a late answer is still worth remembering.
    const deadline = createDeadline(clock, limits.listTimeoutMs, undefined);
    try {
      const apps = parseListing(await client.list(link, caller, newCallId(), deadline));
      if (paths.cutError(hubId)) return undefined;
      const listing = { hubId, operator: caller.operator, apps, asOfMs: clock.nowMs() };
      this.#known.delete(key);
      this.#known.set(key, listing);
      const oldest = this.#known.size > limits.listings ? this.#known.keys().next().value : undefined;
      if (oldest !== undefined) this.#known.delete(oldest);
      return listing;
    } catch (cause) {
      // A refusal is an answer: what was shown before is not to be shown any more.
      if (cause instanceof RemoteError && !cause.retryable) this.#known.delete(key);
      return undefined;
    } finally {
      deadline.done();
    }
  }

  #fresh(hub: Hub, link: Link, listing: Listing): CatalogueEntry[] {
    return listing.apps.map((app) => ({
      ...this.#entry(hub, app, listing.asOfMs),
      path: link.transport,
      stale: false,
    }));
  }

  #stale(hub: Hub, caller: Caller): CatalogueEntry[] {
    const listing = this.#known.get(keyOf(hub.hubId, caller));
    const path = this.#options.paths.best(hub.hubId)?.transport;
    const now = path === undefined ? ({ path: "none", status: "offline" } as const) : { path };
    return (listing?.apps ?? []).map((app) => ({
      ...this.#entry(hub, app, listing!.asOfMs),
      ...now,
      stale: true,
    }));
  }

  #entry(hub: Hub, app: ListedApp, asOfMs: number) {
    return { hub: { id: hub.hubId, name: hub.name }, ...app, asOfMs };
  }
}

/** Strict about shape, lenient about additions: a newer hub may say more. */
function parseListing(value: unknown): ListedApp[] {
  const apps = isObject(value as Json) ? (value as { readonly apps?: Json }).apps : undefined;
  if (!Array.isArray(apps) || apps.length > limits.listApps) throw remoteProtocol("Not a listing.");
  const seen = new Set<string>();
  return (apps as readonly Json[]).map((entry) => {
    if (!isObject(entry) || typeof entry.app !== "string" || !isAppName(entry.app) || seen.has(entry.app)) {
      throw remoteProtocol("The listing names an app badly.");
    }
    const { app, status } = entry;
    if (!isAppStatus(status)) {
      throw remoteProtocol("The listing gives an app no known status.");
    }
    seen.add(app);
    const { title, description } = entry;
    return {
      app,
      ...(typeof title === "string" && { title: oneLine(title, limits.titleChars) }),
      ...(typeof description === "string" && { description: oneLine(description, limits.descriptionChars) }),
      status,
    };
  });
}

function isAppStatus(value: unknown): value is AppStatus {
  return (appStatuses as readonly unknown[]).includes(value);
}

/** Roles and scope shape what a hub shows, so they are part of who asks. */
function keyOf(hubId: HubId, { operator, roles, scope }: Caller): string {
  return JSON.stringify([hubId, operator, roles, scope]);
}

function byName(a: CatalogueEntry, b: CatalogueEntry): number {
  return compare(a.hub.name, b.hub.name) || compare(a.app, b.app);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
