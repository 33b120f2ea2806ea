/** One session with one peer over one transport, and what is known of it. */
import type { HubId, PeerIdentity, Session } from "@fed/core";

/** A session's place in the order of paths. */
export type LinkState = "probing" | "confirmed" | "suspect" | "retired";

/** What a {@link Link} is made from. */
export interface LinkInit {
  readonly session: Session;
  /** Whether this hub dialled the connection. */
  readonly dialled: boolean;
  /** The transport's. Lower is better. */
  readonly preference: number;
  readonly selfId: HubId;
  /** Wall clock. */
  readonly nowMs: number;
  /** The first of several calls begins. */
  onActive(link: Link): void;
}

/** A live session. */
export class Link {
  readonly session: Session;
  readonly peer: PeerIdentity;
  readonly transport: string;
  readonly preference: number;
  /** Which of the two hubs dialled. */
  readonly initiator: HubId;
  state: LinkState = "probing";
  why = "a 16 KiB probe is on its way";
  /** Wall clock, when {@link state} began. */
  sinceMs: number;
  /** Monotonic, when it was first confirmed. */
  confirmedAtMs: number | undefined;
  rttMs: number | undefined;
  /** Pings in a row that stayed without answer. */
  misses = 0;
  /** Calls in flight, both directions. */
  active = 0;
  /** Runs when the last call in flight has ended. */
  whenIdle: (() => void) | undefined;
  /** Calls that may be repeated and would rather take another path than wait. */
  readonly impatient = new Set<() => void>();
  readonly #onActive: (link: Link) => void;

  constructor(init: LinkInit) {
    this.session = init.session;
    this.peer = init.session.peer;
    this.transport = init.session.transport;
    this.preference = init.preference;
    this.initiator = init.dialled ? init.selfId : init.session.peer.hubId;
    this.sinceMs = init.nowMs;
    this.#onActive = init.onActive;
  }

  /** A call begins to use it. */
  begin(): void {
    if (++this.active === 1) this.#onActive(this);
  }

  /** A call has stopped using it. */
  finish(): void {
    if (--this.active === 0) this.whenIdle?.();
  }

  become(state: LinkState, why: string, nowMs: number): void {
    if (this.state !== state) this.sinceMs = nowMs;
    this.state = state;
    this.why = why;
  }
}
