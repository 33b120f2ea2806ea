/** Which apps there are: what hubs have shown is remembered, and they are asked again when it may be out of date. */
import { type Clock, encodeUtf8, type HubId } from "@fed/core";
import type { Client } from "./call.js";
import {
  type AppPage,
  type CatalogueEntry,
  collectApps,
  type HubView,
  type PageOptions,
  type ShowOptions,
} from "./catalogue-page.js";
import { type SearchOptions, type SearchPage, searchViews } from "./catalogue-search.js";
import { pageLimit } from "./cursor.js";
import { createDeadline } from "./deadline.js";
import { RemoteError } from "./errors.js";
import { limits } from "./limits.js";
import { compare, type ListedApp, parseListing, type ToolSummary } from "./listing.js";
import { authorityOf, type Listing, Listings, Shown } from "./listings.js";
import type { PeerPaths } from "./peer-paths.js";
import type { PeerSession } from "./peer-session.js";
import type { Caller, Digest } from "./ports.js";
import { RateLimit } from "./rate-limit.js";
import { newCallId } from "./wire.js";

interface Hub {
  readonly hubId: HubId;
  readonly name: string;
}

interface Question {
  readonly answered: Promise<void>;
  /** Monotonic. */
  readonly startedMs: number;
}

/** What a catalogue is handed. */
export interface CatalogueOptions {
  readonly self: Hub;
  readonly paths: PeerPaths;
  readonly client: Client;
  readonly clock: Clock;
  readonly digest: Digest;
  /** This hub's apps, as the policy shows them to `caller`. */
  local(caller: Caller): Shown;
  /** Every other hub that may have apps. */
  hubs(): readonly Hub[];
  /** A hub showed somebody something that is not remembered of it yet. */
  readonly onListing: ((hubId: HubId, apps: readonly ListedApp[]) => void) | undefined;
}

/** Asks hubs for their apps and remembers the answers. */
export class Catalogue {
  readonly #options: CatalogueOptions;
  readonly #known = new Listings();
  /** Questions under way, by hub and authority, shared by those who ask the same. */
  readonly #asking = new Map<string, Question>();
  readonly #rate: RateLimit;
  /** Hubs that kept the last question waiting for longer than a listing does. */
  readonly #slow = new Set<HubId>();
  /** How often each hub has said that something changed. */
  readonly #changes = new Map<HubId, number>();
  /** How often an operator was forgotten: what was asked before is not remembered after. */
  #purges = 0;

  constructor(options: CatalogueOptions) {
    this.#options = options;
    this.#rate = new RateLimit(limits.listRate, options.clock);
  }

  /** Every app `caller` may call something of, by hub name and app. A slow or dead hub delays it to the deadline at most. */
  async list(caller: Caller, options: ShowOptions = {}): Promise<CatalogueEntry[]> {
    const views = await this.#views(caller, this.#everybody(), options);
    return collectApps(views, options, Number.POSITIVE_INFINITY).apps;
  }

  /** One page of the same list. @throws {RouterError} REQUEST_MALFORMED for a cursor that is none. */
  async page(caller: Caller, hubId: HubId | undefined, options: PageOptions): Promise<AppPage> {
    const limit = pageLimit(options.limit, limits.pageApps);
    const hubs = this.#everybody().filter((hub) => hubId === undefined || hub.hubId === hubId);
    const views = await this.#views(caller, hubs, options);
    return collectApps(views, options, limit);
  }

  /** Apps and tools that fit a query, best first. @throws {RouterError} REQUEST_MALFORMED. */
  async search(caller: Caller, query: string, options: SearchOptions): Promise<SearchPage> {
    const views = await this.#views(caller, this.#everybody(), options);
    return searchViews(views, query, options);
  }

  /** What `hubId` last told `caller` about a tool. */
  tool(caller: Caller, hubId: HubId, app: string, tool: string): ToolSummary | undefined {
    const listing = this.#known.get(hubId, authorityOf(caller));
    return listing?.shown.apps.find((entry) => entry.app === app)?.tools?.find(({ name }) => name === tool);
  }

  /** Hubs known to have shown `app` to `operator`. */
  hubsWith(operator: string, app: string): HubId[] {
    const hubs = new Set<HubId>();
    for (const listing of this.#known.all()) {
      if (listing.caller.operator === operator && listing.shown.apps.some((known) => known.app === app)) {
        hubs.add(listing.hubId);
      }
    }
    return [...hubs];
  }

  /** `hubId` says that what it shows has changed, or was out of reach until now. */
  changed(hubId: HubId): void {
    this.#changes.set(hubId, this.#changesOf(hubId) + 1);
    const there = this.#options.paths.reach(hubId);
    const sinceMs = this.#options.clock.monotonicMs() - limits.listWatchedMs;
    for (const listing of this.#known.of(hubId)) {
      listing.changed = true;
      if (there && listing.readAtMs >= sinceMs) this.#ask(there, listing.caller, listing.authority);
    }
  }

  /** Forgets what `hubId` said. */
  purgeHub(hubId: HubId): void {
    this.#known.deleteHub(hubId);
    this.#slow.delete(hubId);
    this.#changes.delete(hubId);
  }

  /** Forgets what was said to `operator`. */
  purgeOperator(operator: string): void {
    this.#purges++;
    this.#known.deleteOperator(operator);
  }

  #everybody(): Hub[] {
    const { self, hubs } = this.#options;
    return [self, ...hubs()].sort((a, b) => compare(a.name, b.name) || compare(a.hubId, b.hubId));
  }

  /** What is known of `hubs` now, or by the deadline where it has to be asked for. */
  async #views(caller: Caller, hubs: readonly Hub[], options: ShowOptions): Promise<HubView[]> {
    const { self, clock, paths, local } = this.#options;
    const authority = authorityOf(caller);
    await this.#refresh(caller, authority, hubs, options);
    const nowMs = clock.monotonicMs();
    return hubs.map((hub): HubView => {
      if (hub.hubId === self.hubId) {
        const shown = local(caller);
        return { id: hub.hubId, name: hub.name, path: "local", shown, stale: false, asOfMs: clock.nowMs() };
      }
      const path = paths.best(hub.hubId)?.transport;
      const listing = this.#known.get(hub.hubId, authority);
      const stale = path === undefined || !listing || isStale(listing, nowMs);
      return { id: hub.hubId, name: hub.name, path, shown: listing?.shown, stale, asOfMs: listing?.asOfMs ?? 0 };
    });
  }

  /**
   * Asks the hubs whose listing is missing or may be out of date. Only a listing that is missing or stale is waited for,
   * and no hub that is known to be slow.
   */
  async #refresh(
    caller: Caller,
    authority: string,
    hubs: readonly Hub[],
    { deadlineMs = limits.listDeadlineMs, signal }: ShowOptions,
  ): Promise<void> {
    const { self, clock, paths } = this.#options;
    const deadline = createDeadline(clock, deadlineMs, signal);
    try {
      const waiting: Promise<void>[] = [];
      let asked = 0;
      for (const { hubId } of hubs) {
        const there = hubId === self.hubId ? undefined : paths.reach(hubId);
        const nowMs = clock.monotonicMs();
        const listing = this.#known.read(hubId, authority, nowMs);
        if (!there || (listing && isFresh(listing, nowMs))) continue;
        // Each is signed: the others of this process get their turn in between.
        if (++asked % limits.listQuestions === 0) await deadline.during(turn(clock));
        const question = this.#ask(there, caller, authority);
        if (!question || (listing && !isStale(listing, nowMs))) continue;
        const late = this.#slow.has(hubId) || clock.monotonicMs() - question.startedMs >= limits.listDeadlineMs;
        if (!late) waiting.push(question.answered);
      }
      await deadline.during(Promise.all(waiting));
    } catch (cause) {
      // Missing the deadline is no failure of a list; that somebody does not want it any more is.
      if (signal?.aborted) throw deadline.signal.reason;
      if (!deadline.signal.aborted) throw cause;
    } finally {
      deadline.done();
    }
  }

  /** The question to a hub; undefined when it was asked so often lately that what is known must do. */
  #ask(there: PeerSession, caller: Caller, authority: string): Question | undefined {
    const { hubId } = there.peer;
    const key = `${hubId} ${authority}`;
    const asking = this.#asking.get(key);
    if (asking) return asking;
    if (!this.#rate.tryTake(key)) return undefined;
    const answered = this.#question(there, caller, authority).finally(() => this.#asking.delete(key));
    const question = { answered, startedMs: this.#options.clock.monotonicMs() };
    this.#asking.set(key, question);
    return question;
  }

  /** Never rejects. */
  async #question(there: PeerSession, caller: Caller, authority: string): Promise<void> {
    const { client, clock, paths } = this.#options;
    const { hubId } = there.peer;
    const changes = this.#changesOf(hubId);
    const purges = this.#purges;
    const startedMs = clock.monotonicMs();
    // Longer than any listing waits: a late answer is still worth remembering.
    const deadline = createDeadline(clock, limits.listTimeoutMs, undefined);
    try {
      const apps = parseListing(await client.list(there, caller, newCallId(), deadline));
      if (paths.cutError(hubId) || purges !== this.#purges) return;
      this.#known.set({
        hubId,
        authority,
        caller,
        shown: this.#shown(hubId, apps),
        asOfMs: clock.nowMs(),
        atMs: clock.monotonicMs(),
        changed: changes !== this.#changesOf(hubId),
        readAtMs: this.#known.get(hubId, authority)?.readAtMs ?? startedMs,
      });
    } catch (cause) {
      // A refusal is an answer: what was shown before is not to be shown any more.
      const known = this.#known.get(hubId, authority);
      if (known && cause instanceof RemoteError && !cause.retryable) this.#known.delete(known);
    } finally {
      deadline.done();
      const slow = clock.monotonicMs() - startedMs >= limits.listDeadlineMs;
      if (slow && !paths.cutError(hubId)) this.#slow.add(hubId);
      else this.#slow.delete(hubId);
    }
  }

  /** What is the same, word for word, is kept once, however many ask and however often. */
  #shown(hubId: HubId, apps: readonly ListedApp[]): Shown {
    const json = encodeUtf8(JSON.stringify(apps));
    const digest = String.fromCharCode(...this.#options.digest(json));
    const same = this.#known.same(hubId, digest);
    if (same) return same;
    this.#options.onListing?.(hubId, apps);
    return new Shown(apps, json.length, digest);
  }

  #changesOf(hubId: HubId): number {
    return this.#changes.get(hubId) ?? 0;
  }
}

function isFresh({ changed, atMs }: Listing, nowMs: number): boolean {
  return !changed && nowMs - atMs < limits.listFreshMs;
}

function isStale({ changed, atMs }: Listing, nowMs: number): boolean {
  return changed || nowMs - atMs >= limits.listStaleMs;
}

function turn(clock: Clock): Promise<void> {
  return new Promise((resolve) => {
    clock.setTimer(0, resolve);
  });
}
