/** The session with one peer, its paths, and which of them it sends over. PROTOCOL "Router". */
import type { Clock, HubId, PeerIdentity, Session, SessionPath, Timer } from "@fed/core";
import { limits } from "./limits.js";
import type { Link } from "./link.js";

/** What a {@link PeerSession} is made from. */
export interface PeerSessionInit {
  readonly session: Session;
  readonly clock: Clock;
  /** The first of several calls begins, or another path is taken while some are in flight. */
  onActive(session: PeerSession): void;
  /** Another path is taken, or none works. */
  onChosen(session: PeerSession): void;
}

/** A live session with a peer. Between two hubs there is one at a time. */
export class PeerSession {
  readonly session: Session;
  readonly hubId: HubId;
  /** Calls in flight, both directions. */
  active = 0;
  readonly #init: PeerSessionInit;
  #links: Link[] = [];
  #best: Link | undefined;
  #holding: Timer | undefined;
  /** The path that it began on, before the peer had answered there; undefined once any path is known to work. */
  #early: SessionPath | undefined;

  constructor(init: PeerSessionInit) {
    this.#init = init;
    this.session = init.session;
    this.hubId = init.session.peer.hubId;
  }

  /** As its newest connection proved it. */
  get peer(): PeerIdentity {
    return this.session.peer;
  }

  /** In the order they came. */
  get links(): readonly Link[] {
    return this.#links;
  }

  /** The path that calls take now; undefined while none works. */
  get best(): Link | undefined {
    return this.#best;
  }

  /** Whether a call can be made on it now. One that begins takes calls before any path of it is known to work. */
  get callable(): boolean {
    return this.#best !== undefined || this.#early !== undefined;
  }

  /** It begins on `path`, before the peer has answered there. */
  beginOn(path: SessionPath): void {
    this.#early = path;
    void path.closed.then(() => {
      this.#early = undefined;
    });
  }

  /** Whether a path over `transport` stands or is on its way to. */
  has(transport: string): boolean {
    return this.#links.some((link) => link.transport === transport);
  }

  /** A call begins. */
  begin(): void {
    if (++this.active === 1) this.#init.onActive(this);
  }

  /** A call has ended. */
  finish(): void {
    this.active--;
  }

  add(link: Link): void {
    this.#links = [...this.#links, link];
    this.choose();
  }

  remove(link: Link): void {
    this.#links = this.#links.filter((other) => other !== link);
    this.choose();
  }

  /** The session is over. */
  end(): void {
    this.#holding?.cancel();
    this.#links = [];
    this.#best = this.#early = undefined;
  }

  /**
   * Takes the best path there is, after anything has changed. One that was in doubt lately is held off for a while, so
   * that a path which comes and goes does not take the traffic with it each time.
   */
  choose(): void {
    const { clock } = this.#init;
    const nowMs = clock.monotonicMs();
    this.#holding?.cancel();
    const confirmed = this.#links.filter((link) => link.state === "confirmed");
    const free = confirmed.filter((link) => link === this.#best || link.heldUntilMs <= nowMs);
    const doubtful = this.#links.filter((link) => link.state === "suspect");
    // Where all are in doubt another one is no better; and it is sent over them all.
    const kept = doubtful.find((link) => link === this.#best);
    const best = lowest(free) ?? lowest(confirmed) ?? kept ?? lowest(doubtful);
    const held = confirmed.filter((link) => link.heldUntilMs > nowMs);
    if (held.length > 0) {
      const delayMs = Math.min(...held.map((link) => link.heldUntilMs)) - nowMs;
      this.#holding = clock.setTimer(delayMs, () => this.choose());
    }
    this.#send(best);
    if (best) this.#early = undefined;
    if (best === this.#best) return;
    this.#best = best;
    this.#init.onChosen(this);
    if (this.active > 0) this.#init.onActive(this);
  }

  /** Over a path in doubt it is sent as well, until it is decided: the other side takes everything once. */
  #send(best: Link | undefined): void {
    if (!best) return;
    const doubtful = this.#links.filter((link) => link.state === "suspect" && link !== best);
    this.session.use(...[best, ...doubtful].map((link) => link.path));
  }
}

/** The one with the lowest preference; of equal ones the oldest. */
function lowest(links: readonly Link[]): Link | undefined {
  let best: Link | undefined;
  for (const link of links) if (!best || link.preference < best.preference) best = link;
  return best;
}

/** How long a path is held off that has failed `failures` times in a row. */
export function holdMs(failures: number): number {
  return failures === 0 ? 0 : Math.min(limits.holdMaxMs, limits.holdFirstMs * 2 ** (failures - 1));
}
