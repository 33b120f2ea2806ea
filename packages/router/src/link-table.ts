/**
 * The session with every peer, and its paths. PROTOCOL "Router".
 *
 * Between two hubs one path per transport lives. When both dialled at once, the one whose initiator has the smaller hub
 * id stays; the other is closed, by connection and never by peer, and only after the first has proved to work.
 */
import {
  type Clock,
  type FedError,
  type HubId,
  PeerError,
  type PeerIdentity,
  type Session,
  toFedError,
} from "@fed/core";
import { RouterError } from "./errors.js";
import { limits } from "./limits.js";
import type { Link } from "./link.js";
import { PathHealth } from "./path-health.js";
import { type PathEvent, PathHistories } from "./path-history.js";
import { holdMs, PeerSession } from "./peer-session.js";
import type { PeerEvents } from "./ports.js";

/** What a link table is handed. */
export interface LinkTableOptions {
  readonly clock: Clock;
  readonly events: PeerEvents;
  /** The last path over its transport is over; `healthy` when it had proved itself for 30 s. */
  lost(hubId: HubId, transport: string, healthy: boolean, error: FedError | undefined): void;
  /** The peer says that another process runs with this hub's id, and that it counts. */
  displaced(hubId: HubId, error: FedError): void;
}

/** All sessions and paths of this hub. */
export class LinkTable {
  readonly #options: LinkTableOptions;
  readonly #sessions = new Map<HubId, PeerSession>();
  readonly #histories = new PathHistories();
  readonly #up = new Set<HubId>();
  readonly #waiting = new Map<HubId, Set<() => void>>();
  readonly #health: PathHealth;

  constructor(options: LinkTableOptions) {
    this.#options = options;
    this.#health = new PathHealth(options.clock, {
      changed: (session, link, event) => {
        this.#note(session, link, event, link.why);
        if (event === "suspect") this.#health.watch(session, link);
        else this.#hold(session, link);
        session.choose();
      },
    });
  }

  /** The entry of `session`, which takes the place of any other with the same peer. */
  sessionOf(session: Session): PeerSession {
    const { hubId } = session.peer;
    const known = this.#sessions.get(hubId);
    if (known?.session === session) return known;
    let chosen: string | undefined;
    const made = new PeerSession({
      session,
      clock: this.#options.clock,
      onActive: ({ best }) => {
        if (best) this.#health.watch(made, best);
      },
      onChosen: ({ best }) => {
        const before = chosen;
        chosen = best?.transport;
        if (!best) return;
        if (chosen !== before) {
          this.#note(made, best, "chosen", `preference ${best.preference}, lowest of those that work`);
        }
        this.#changed(made.peer, undefined);
      },
    });
    this.#sessions.set(hubId, made);
    known?.session.close(replaced());
    void session.closed.then((error) => this.#ended(made, error));
    return made;
  }

  /** The entry of a session that begins on its only path before the peer has answered: calls may be made on it, no more. */
  begin(session: Session): PeerSession {
    const made = this.sessionOf(session);
    for (const path of session.paths) made.beginOn(path);
    this.wake(made.hubId);
    return made;
  }

  /** Takes in a new path, settles which of two rivals stays, and probes. */
  install(session: PeerSession, link: Link): void {
    const rivals = session.links.filter((other) => other.transport === link.transport);
    session.add(link);
    void link.path.closed.then((error) => this.#lost(session, link, error));
    let rival: Link | undefined;
    for (const other of rivals) {
      // The same hub dialled again: on its side the older connection is gone.
      if (other.initiator === link.initiator) other.path.close(replaced());
      else rival = other;
    }
    void this.#settle(session, link, rival);
  }

  /** The session with `hubId`, with a path or waiting for one. */
  get(hubId: HubId): PeerSession | undefined {
    return this.#sessions.get(hubId);
  }

  /** The session with `hubId` that has a path which works. */
  reach(hubId: HubId): PeerSession | undefined {
    const session = this.#sessions.get(hubId);
    return session?.best ? session : undefined;
  }

  /** The session with `hubId` that calls can be made on now, never `except`. */
  callable(hubId: HubId, except?: PeerSession): PeerSession | undefined {
    const session = this.#sessions.get(hubId);
    return session?.callable && session !== except ? session : undefined;
  }

  /** Like {@link callable}, but waits until there is one; undefined once `signal` aborts or, upon {@link wake}, `hope` is gone. */
  async untilCallable(
    hubId: HubId,
    except: PeerSession | undefined,
    hope: () => boolean,
    signal: AbortSignal,
  ): Promise<PeerSession | undefined> {
    for (;;) {
      const session = this.callable(hubId, except);
      if (session || signal.aborted || !hope()) return session;
      const { promise, resolve } = Promise.withResolvers<void>();
      const waiters = this.#waiting.get(hubId) ?? new Set();
      this.#waiting.set(hubId, waiters.add(resolve));
      signal.addEventListener("abort", () => resolve(), { once: true });
      await promise;
      waiters.delete(resolve);
      if (waiters.size === 0) this.#waiting.delete(hubId);
    }
  }

  /** Whoever waits for a session with `hubId` looks again. */
  wake(hubId: HubId): void {
    for (const wake of this.#waiting.get(hubId) ?? []) wake();
  }

  peers(): PeerIdentity[] {
    return [...this.#sessions.values()].filter(({ links }) => links.length > 0).map(({ peer }) => peer);
  }

  /** What became of the paths to `hubId` lately, oldest first. */
  history(hubId: HubId): readonly PathEvent[] {
    return this.#histories.events(hubId);
  }

  /** Destroys the session with `hubId` at once. */
  closePeer(hubId: HubId, error: FedError): void {
    const session = this.#sessions.get(hubId);
    if (!session) return;
    session.session.close(error);
    this.#ended(session, error);
  }

  closeAll(error: FedError): void {
    for (const hubId of [...this.#sessions.keys()]) this.closePeer(hubId, error);
    for (const hubId of [...this.#waiting.keys()]) this.wake(hubId);
  }

  async #settle(session: PeerSession, link: Link, rival: Link | undefined): Promise<void> {
    const preferred = rival && rival.initiator < link.initiator ? rival : link;
    const other = preferred === link ? rival : link;
    try {
      await this.#health.confirm(session, preferred);
    } catch (cause) {
      preferred.path.close(toFedError(cause));
      if (other?.state === "probing") await this.#settle(session, other, undefined);
      return;
    }
    // Nothing is lost with it: what it carried comes again over the one that stays.
    other?.path.close();
  }

  /** A path that failed lately has to work for a while before it is preferred again. */
  #hold(session: PeerSession, link: Link): void {
    const { clock } = this.#options;
    const failures = this.#histories.of(session.hubId).failures(link.transport, clock.nowMs());
    link.heldUntilMs = clock.monotonicMs() + holdMs(failures);
  }

  #lost(session: PeerSession, link: Link, error: FedError | undefined): void {
    if (link.state === "closed") return;
    const { clock, lost } = this.#options;
    const { confirmedAtMs } = link;
    const ageMs = confirmedAtMs === undefined ? 0 : clock.monotonicMs() - confirmedAtMs;
    link.become("closed", "the connection is over", clock.nowMs());
    // Where a rival stays in its place, nothing is lost.
    const rival = session.links.find((other) => other !== link && other.transport === link.transport);
    const isLast = rival === undefined;
    // The other side closes one of two only after the other has worked there and back.
    if (rival?.state === "probing" && !error) this.#health.trust(session, rival);
    if (isLast) this.#note(session, link, "lost", error ? `${error.code}: ${error.message}` : "it was closed");
    session.remove(link);
    this.#changed(session.peer, error);
    if (isLast) lost(session.hubId, link.transport, ageMs >= limits.healthyAfterMs, error);
  }

  #ended(session: PeerSession, error: FedError | undefined): void {
    if (error instanceof PeerError && error.code === "HUB_DUPLICATE") this.#options.displaced(session.hubId, error);
    if (this.#sessions.get(session.hubId) === session) this.#sessions.delete(session.hubId);
    for (const link of session.links) this.#lost(session, link, error);
    session.end();
    this.#changed(session.peer, error);
    this.wake(session.hubId);
  }

  #note(session: PeerSession, { transport }: Link, event: PathEvent["event"], why: string): void {
    this.#histories.of(session.hubId).add({ atMs: this.#options.clock.nowMs(), transport, event, why });
  }

  #changed(peer: PeerIdentity, error: FedError | undefined): void {
    const { events } = this.#options;
    const isUp = this.reach(peer.hubId) !== undefined;
    if (isUp) this.wake(peer.hubId);
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

function replaced(): RouterError {
  return new RouterError({
    code: "PATH_REPLACED",
    message: "Another connection between the same hubs takes this one's place.",
    retryable: true,
  });
}
