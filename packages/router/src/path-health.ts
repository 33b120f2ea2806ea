/**
 * Whether a path works: PROTOCOL "Router". A full-size round trip confirms it, since small pings get through where data
 * does not; while calls are in flight a ping each second finds out when it stops.
 */
import { type Clock, encodeUtf8, equalBytes, type FedError, randomBytes, toFedError } from "@fed/core";
import { RouterError } from "./errors.js";
import { limits } from "./limits.js";
import type { Link } from "./link.js";
import { remoteProtocol } from "./wire.js";

const probeHeader = encodeUtf8(JSON.stringify({ k: "probe", v: 1 }));

/** What changes of health lead to. */
export interface HealthEvents {
  /** The link's state has changed. */
  changed(link: Link): void;
  /** Whether the peer can be reached otherwise, so that a silent link need not be waited for. */
  hasAlternative(link: Link): boolean;
}

/** Probes and watches links. */
export class PathHealth {
  readonly #clock: Clock;
  readonly #events: HealthEvents;
  readonly #watched = new Set<Link>();

  constructor(clock: Clock, events: HealthEvents) {
    this.#clock = clock;
    this.#events = events;
  }

  /**
   * Sends 16 KiB there and back and confirms the link.
   * @throws {FedError} PATH_DEAD when nothing came back in 5 s, REMOTE_PROTOCOL when something else came back.
   */
  async confirm(link: Link): Promise<void> {
    const startMs = this.#clock.monotonicMs();
    try {
      const bytes = randomBytes(limits.probeBytes);
      const stream = link.session.open(probeHeader);
      await this.#within(limits.probeTimeoutMs, async () => {
        await stream.send(bytes, { end: true });
        const echo = await stream.receive();
        if (!echo || !equalBytes(echo, bytes)) throw remoteProtocol("The probe came back changed.");
        await stream.receive();
      }).catch((cause) => {
        const error = toFedError(cause);
        stream.reset(error);
        throw error;
      });
    } catch (cause) {
      throw toFedError(cause);
    }
    if (link.state === "retired") return;
    link.rttMs = this.#clock.monotonicMs() - startMs;
    link.confirmedAtMs ??= this.#clock.monotonicMs();
    link.misses = 0;
    link.become("confirmed", `a 16 KiB probe came back in ${link.rttMs.toFixed(1)} ms`, this.#clock.nowMs());
    this.#events.changed(link);
  }

  /** Pings the link each second until it is idle and not in doubt. */
  watch(link: Link): void {
    if (this.#watched.has(link)) return;
    this.#watched.add(link);
    this.#next(link);
  }

  #next(link: Link): void {
    this.#clock.setTimer(limits.pingEveryMs, () => {
      if (link.state === "retired" || (link.active === 0 && link.state === "confirmed")) this.#watched.delete(link);
      else void this.#check(link);
    });
  }

  async #check(link: Link): Promise<void> {
    const cancel = new AbortController();
    try {
      link.rttMs = await this.#within(limits.pongTimeoutMs, () => link.session.ping({ signal: cancel.signal }));
      link.misses = 0;
      if (link.state === "suspect") this.#become(link, "confirmed", "it answers again");
    } catch (cause) {
      cancel.abort();
      this.#missed(link, toFedError(cause));
    }
    if (link.state === "retired") this.#watched.delete(link);
    else this.#next(link);
  }

  #missed(link: Link, error: FedError): void {
    link.misses++;
    if (link.state === "confirmed") this.#become(link, "suspect", "a ping stayed without answer");
    // Without another path the session's own, more patient keepalive decides: calls in flight may still come through.
    if (!this.#events.hasAlternative(link)) return;
    for (const leave of [...link.impatient]) leave();
    if (link.misses >= limits.missesToDeath) link.session.close(dead(error));
  }

  #become(link: Link, state: "confirmed" | "suspect", why: string): void {
    link.become(state, why, this.#clock.nowMs());
    this.#events.changed(link);
  }

  #within<T>(timeoutMs: number, work: () => Promise<T>): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const timer = this.#clock.setTimer(timeoutMs, () => reject(dead()));
    work()
      .then(resolve, reject)
      .finally(() => timer.cancel());
    return promise;
  }
}

function dead(cause?: FedError): RouterError {
  return new RouterError({ code: "PATH_DEAD", message: "The path has stopped answering.", retryable: true, cause });
}
