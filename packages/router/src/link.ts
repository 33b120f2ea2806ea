/** One path to one peer, and what is known of it. */
import type { HubId, SessionPath } from "@fed/core";

/** A path's place in the order of paths. */
export type LinkState = "probing" | "confirmed" | "suspect" | "closed";

/** What a {@link Link} is made from. */
export interface LinkInit {
  readonly path: SessionPath;
  /** The transport's. Lower is better. */
  readonly preference: number;
  readonly selfId: HubId;
  readonly peerId: HubId;
  /** Wall clock. */
  readonly nowMs: number;
}

/** A live connection under a session. */
export class Link {
  readonly path: SessionPath;
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
  /** Monotonic: before, it takes no traffic from another path that works. */
  heldUntilMs = 0;
  rttMs: number | undefined;
  /** Pings in a row that stayed without answer. */
  misses = 0;

  constructor({ path, preference, selfId, peerId, nowMs }: LinkInit) {
    this.path = path;
    this.transport = path.transport;
    this.preference = preference;
    this.initiator = path.role === "initiator" ? selfId : peerId;
    this.sinceMs = nowMs;
  }

  become(state: LinkState, why: string, nowMs: number): void {
    if (this.state !== state) this.sinceMs = nowMs;
    this.state = state;
    this.why = why;
  }
}
