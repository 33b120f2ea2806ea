/**
 * Whether a path works: PROTOCOL "Router". A full-size round trip confirms it, since small pings get through where data
 * does not; while calls are in flight a ping each second, the first at once, finds out when it stops.
 */
import { type Clock, type FedError, toFedError } from "@fed/core";
import { RouterError } from "./errors.js";
import { limits } from "./limits.js";
import type { Link } from "./link.js";
import type { PeerSession } from "./peer-session.js";

/** What changes of health lead to. */
export interface HealthEvents {
  /** The link has become confirmed, or suspect. */
  changed(session: PeerSession, link: Link, event: "confirmed" | "recovered" | "suspect"): void;
}

/** Probes and watches links. */
export class PathHealth {
  readonly #clock: Clock;
  readonly #events: HealthEvents;
  /** With each link that is watched, whether calls have begun since it was last pinged. */
  readonly #watched = new Map<Link, boolean>();

  constructor(clock: Clock, events: HealthEvents) {
    this.#clock = clock;
    this.#events = events;
  }

  /**
   * Sends 16 KiB there and back and confirms the link.
   * @throws {FedError} PATH_DEAD when nothing came back in 5 s, or what the path ended with.
   */
  async confirm(session: PeerSession, link: Link): Promise<void> {
    link.rttMs = await this.#ping(link, limits.probeBytes, limits.probeTimeoutMs);
    if (link.state === "probing") this.#confirmed(session, link, `16 KiB came back in ${link.rttMs.toFixed(1)} ms`);
  }

  /** The other side has confirmed the link. */
  trust(session: PeerSession, link: Link): void {
    this.#confirmed(session, link, "the other side has sent 16 KiB there and back");
  }

  /** Pings the path now and each second, until its session has been idle since the last time and the path is not in doubt. */
  watch(session: PeerSession, link: Link): void {
    // The other side may have carried the call over another path: that it has ended does not show that this one works.
    if (this.#watched.has(link)) this.#watched.set(link, true);
    else void this.#check(session, link);
  }

  #confirmed(session: PeerSession, link: Link, why: string): void {
    link.confirmedAtMs = this.#clock.monotonicMs();
    link.misses = 0;
    link.become("confirmed", why, this.#clock.nowMs());
    this.#events.changed(session, link, "confirmed");
  }

  #next(session: PeerSession, link: Link): void {
    this.#clock.setTimer(limits.pingEveryMs, () => {
      const isWanted = link === session.best && (session.active > 0 || this.#watched.get(link));
      if (link.state === "closed" || (!isWanted && link.state !== "suspect")) this.#watched.delete(link);
      else void this.#check(session, link);
    });
  }

  async #check(session: PeerSession, link: Link): Promise<void> {
    this.#watched.set(link, false);
    try {
      link.rttMs = await this.#ping(link, undefined, patienceMs(link));
      link.misses = 0;
      if (link.state === "suspect") this.#become(session, link, "confirmed", "recovered", "it answers again");
    } catch (cause) {
      this.#missed(session, link, toFedError(cause));
    }
    if (link.state === "closed") this.#watched.delete(link);
    else this.#next(session, link);
  }

  #missed(session: PeerSession, link: Link, error: FedError): void {
    if (link.state === "closed") return;
    link.misses++;
    if (link.state === "confirmed") {
      this.#become(session, link, "suspect", "suspect", "a ping stayed without answer");
    }
    // Without another path the connection's own, more patient keepalive decides: it may still come through.
    const other = session.links.some((candidate) => candidate !== link && candidate.state === "confirmed");
    if (other && link.misses >= limits.missesToDeath) link.path.close(dead(error));
  }

  #become(
    session: PeerSession,
    link: Link,
    state: "confirmed" | "suspect",
    event: "recovered" | "suspect",
    why: string,
  ): void {
    link.become(state, why, this.#clock.nowMs());
    this.#events.changed(session, link, event);
  }

  /** The round trip over this path. @throws {FedError} PATH_DEAD when there is no answer in time. */
  async #ping({ path }: Link, bytes: number | undefined, timeoutMs: number): Promise<number> {
    const cancel = new AbortController();
    const timer = this.#clock.setTimer(timeoutMs, () => cancel.abort(dead()));
    try {
      return await path.ping({ signal: cancel.signal, ...(bytes === undefined ? {} : { bytes }) });
    } finally {
      timer.cancel();
    }
  }
}

/** How long a ping may stay without answer before the path is in doubt. */
function patienceMs({ rttMs }: Link): number {
  const { roundTrips, leastMs, mostMs } = limits.pongTimeout;
  return rttMs === undefined ? mostMs : Math.min(Math.max(roundTrips * rttMs, leastMs), mostMs);
}

function dead(cause?: FedError): RouterError {
  return new RouterError({ code: "PATH_DEAD", message: "The path has stopped answering.", retryable: true, cause });
}
