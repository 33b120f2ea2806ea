/**
 * The live sessions of every peer, and which of them a call takes. PROTOCOL "Router".
 *
 * Between two hubs one session per transport lives. When both dialled at once, the one whose initiator has the smaller
 * hub id stays; the other is retired, by connection and never by peer, and only after the first has proved to work.
 */
import type { Clock, FedError, HubId, PeerIdentity } from "@fed/core";
import { toFedError } from "@fed/core";
import { RouterError } from "./errors.js";
import { limits } from "./limits.js";
import type { Link } from "./link.js";
import { PathHealth } from "./path-health.js";
import type { PeerEvents } from "./ports.js";

/** What a link table is handed. */
export interface LinkTableOptions {
  readonly clock: Clock;
  readonly events: PeerEvents;
  /** The last session over its transport is over; `healthy` when it had proved itself for 30 s. */
  lost(link: Link, healthy: boolean, error: FedError | undefined): void;
}

/** All links of this hub. */
export class LinkTable {
  readonly #options: LinkTableOptions;
  readonly #links = new Map<HubId, Link[]>();
  readonly #up = new Set<HubId>();
  readonly #waiting = new Map<HubId, Set<() => void>>();
  readonly #health: PathHealth;

  constructor(options: LinkTableOptions) {
    this.#options = options;
    this.#health = new PathHealth(options.clock, {
      changed: (link) => this.#changed(link.peer, undefined),
      hasAlternative: (link) => this.best(link.peer.hubId, link)?.state === "confirmed",
    });
  }

  /** Takes in a new link, settles which of two rivals stays, and probes. */
  install(link: Link): void {
    const { hubId } = link.peer;
    const links = this.#links.get(hubId) ?? [];
    const rivals = links.filter((other) => other.transport === link.transport && other.state !== "retired");
    links.push(link);
    this.#links.set(hubId, links);
    void link.session.closed.then((error) => this.#lost(link, error));
    let rival: Link | undefined;
    for (const other of rivals) {
      // The same hub dialled again, or has restarted: on its side the older session is gone.
      const stale = other.initiator === link.initiator || other.session.peerEpoch !== link.session.peerEpoch;
      if (stale) other.session.close(replaced());
      else rival = other;
    }
    void this.#settle(link, rival);
  }

  /** All links to `hubId`, in the order they came. */
  of(hubId: HubId): readonly Link[] {
    return this.#links.get(hubId) ?? [];
  }

  /** Whether a session over `transport` stands or is on its way to. */
  has(hubId: HubId, transport: string): boolean {
    return this.of(hubId).some((link) => link.transport === transport && link.state !== "retired");
  }

  peers(): PeerIdentity[] {
    return [...this.#links.values()].map((links) => links[0]!.peer);
  }

  /** Confirmed before suspect, then the lowest preference; never `except`. */
  best(hubId: HubId, except?: Link): Link | undefined {
    let best: Link | undefined;
    for (const link of this.of(hubId)) {
      if (link === except || (link.state !== "confirmed" && link.state !== "suspect")) continue;
      if (!best || rank(link) < rank(best)) best = link;
    }
    return best;
  }

  /** Like {@link best}, but waits until there is one; undefined when `signal` aborts first. */
  async reachable(hubId: HubId, except: Link | undefined, signal: AbortSignal): Promise<Link | undefined> {
    for (;;) {
      const link = this.best(hubId, except);
      if (link || signal.aborted) return link;
      const { promise, resolve } = Promise.withResolvers<void>();
      const waiters = this.#waiting.get(hubId) ?? new Set();
      this.#waiting.set(hubId, waiters.add(resolve));
      signal.addEventListener("abort", () => resolve(), { once: true });
      await promise;
      waiters.delete(resolve);
      if (waiters.size === 0) this.#waiting.delete(hubId);
    }
  }

  /** Closes every session of `hubId` at once. */
  closePeer(hubId: HubId, error: FedError): void {
    for (const link of [...this.of(hubId)]) {
      // Out of choice in this very turn; the session tells of its end later.
      link.become("retired", error.message, this.#options.clock.nowMs());
      link.session.close(error);
    }
    const peer = this.of(hubId)[0]?.peer;
    if (peer) this.#changed(peer, error);
  }

  closeAll(error: FedError): void {
    for (const hubId of [...this.#links.keys()]) this.closePeer(hubId, error);
  }

  /** A link is in use: see that it answers. */
  watch(link: Link): void {
    this.#health.watch(link);
  }

  async #settle(link: Link, rival: Link | undefined): Promise<void> {
    const preferred = rival && rival.initiator < link.initiator ? rival : link;
    const other = preferred === link ? rival : link;
    try {
      await this.#health.confirm(preferred);
    } catch (cause) {
      preferred.session.close(toFedError(cause));
      if (other?.state === "probing") await this.#settle(other, undefined);
      return;
    }
    if (other) this.#retire(other);
  }

  /** Takes no new calls; running ones may finish. */
  #retire(link: Link): void {
    const { clock } = this.#options;
    if (link.state === "retired") return;
    link.become("retired", "another session over the same transport stays", clock.nowMs());
    link.session.goAway(replaced());
    clock.setTimer(limits.retireGraceMs, () => {
      if (link.active === 0) link.session.close();
      else link.whenIdle = () => link.session.close();
    });
    clock.setTimer(limits.retireMaxMs, () => link.session.close(replaced()));
    this.#changed(link.peer, undefined);
  }

  #lost(link: Link, error: FedError | undefined): void {
    const { hubId } = link.peer;
    const left = this.of(hubId).filter((other) => other !== link);
    if (left.length > 0) this.#links.set(hubId, left);
    else this.#links.delete(hubId);
    const { confirmedAtMs } = link;
    const ageMs = confirmedAtMs === undefined ? 0 : this.#options.clock.monotonicMs() - confirmedAtMs;
    link.become("retired", "the session is over", this.#options.clock.nowMs());
    // Where a rival stays in its place, nothing is lost.
    if (!this.has(hubId, link.transport)) this.#options.lost(link, ageMs >= limits.healthyAfterMs, error);
    this.#changed(link.peer, error);
  }

  #changed(peer: PeerIdentity, error: FedError | undefined): void {
    const { events } = this.#options;
    const isUp = this.best(peer.hubId) !== undefined;
    if (isUp) for (const wake of this.#waiting.get(peer.hubId) ?? []) wake();
    if (isUp === this.#up.has(peer.hubId)) return;
    try {
      if (isUp) {
        this.#up.add(peer.hubId);
        events.onPeerUp?.(peer);
      } else {
        this.#up.delete(peer.hubId);
        events.onPeerDown?.(peer, error);
      }
    } catch {
      // Whoever listens may fail; that must neither end a session nor, where nothing awaits this, the process.
    }
  }
}

function rank(link: Link): number {
  return link.state === "confirmed" ? link.preference : 1e9 + link.preference;
}

function replaced(): RouterError {
  return new RouterError({
    code: "PATH_REPLACED",
    message: "Another session between the same hubs takes this one's place.",
    retryable: true,
  });
}
