/** Round trips and dead peers: docs/spec/session.md §8. At most one ping is in flight; callers share it. */
import { abortedError, type Clock, type FedError, type Timer } from "@fed/core";
import { FRAME_PING, readU64, writeU64 } from "./frame.js";
import type { SessionLimits } from "./limits.js";
import type { Outbox } from "./outbox.js";

interface PingWaiter {
  readonly resolve: (rttMs: number) => void;
  readonly reject: (error: FedError) => void;
}

/** Pings the peer on request and in silence. */
export class Liveness {
  readonly #outbox: Outbox;
  readonly #clock: Clock;
  readonly #limits: SessionLimits;
  readonly #dead: () => void;
  readonly #waiters = new Set<PingWaiter>();
  #timer: Timer;
  #inFlight = false;
  #pingId = 0;
  #sentAtMs = 0;
  #heard = false;
  #missed = 0;

  /** `dead` is told when the peer has been silent for `missedPings` periods after a ping. */
  constructor(outbox: Outbox, clock: Clock, limits: SessionLimits, dead: () => void) {
    this.#outbox = outbox;
    this.#clock = clock;
    this.#limits = limits;
    this.#dead = dead;
    this.#timer = this.#arm();
  }

  /** Something arrived. */
  heard(): void {
    this.#heard = true;
  }

  /** The round trip of the ping in flight, or of a new one. */
  ping(signal: AbortSignal | undefined): Promise<number> {
    if (signal?.aborted) return Promise.reject(abortedError(signal));
    return new Promise((resolve, reject) => {
      const waiter: PingWaiter = {
        resolve: (rttMs) => {
          signal?.removeEventListener("abort", abort);
          resolve(rttMs);
        },
        reject: (error) => {
          signal?.removeEventListener("abort", abort);
          reject(error);
        },
      };
      const abort = () => {
        this.#waiters.delete(waiter);
        if (signal) reject(abortedError(signal));
      };
      signal?.addEventListener("abort", abort, { once: true });
      this.#waiters.add(waiter);
      if (!this.#inFlight) this.#send();
    });
  }

  /** The body of a PONG; returns whether it answers the ping in flight. */
  pong(body: Uint8Array): boolean {
    if (!this.#inFlight || readU64(body, 0) !== this.#pingId) return false;
    this.#inFlight = false;
    this.#heard = false;
    this.#missed = 0;
    const rttMs = this.#clock.monotonicMs() - this.#sentAtMs;
    for (const waiter of this.#waiters) waiter.resolve(rttMs);
    this.#waiters.clear();
    return true;
  }

  /** Ends all waiting with `error`. */
  stop(error: FedError): void {
    this.#timer.cancel();
    for (const waiter of this.#waiters) waiter.reject(error);
    this.#waiters.clear();
  }

  #arm(): Timer {
    return this.#clock.setTimer(this.#limits.idlePingMs, () => this.#tick());
  }

  #tick(): void {
    this.#timer = this.#arm();
    if (this.#heard) {
      this.#heard = false;
      this.#missed = 0;
    } else if (!this.#inFlight) {
      this.#send();
    } else if (++this.#missed >= this.#limits.missedPings) {
      this.#dead();
    }
  }

  #send(): void {
    this.#inFlight = true;
    this.#sentAtMs = this.#clock.monotonicMs();
    const body = new Uint8Array(8);
    writeU64(body, 0, ++this.#pingId);
    this.#outbox.send(FRAME_PING, 0, 0, body);
  }
}
