/** Round trips and dead paths: docs/spec/session.md §8. At most one ping is in flight; callers share it where they can. */
import { abortedError, type Clock, type FedError, type Timer } from "@fed/core";
import { readU64, writeU64 } from "./frame.js";
import type { SessionLimits } from "./limits.js";

/** Smallest body of a PING: its number. */
export const MIN_PING_BYTES = 8;

interface PingWaiter {
  readonly bytes: number;
  readonly resolve: (rttMs: number) => void;
  readonly reject: (error: FedError) => void;
}

/** What pinging needs. */
export interface LivenessEvents {
  /** Sends a PING with this body. */
  send(body: Uint8Array): void;
  /** The other end has been silent for `missedPings` periods after a ping. */
  dead(): void;
}

/** Pings over one connection, on request and in silence. */
export class Liveness {
  readonly #clock: Clock;
  readonly #limits: SessionLimits;
  readonly #events: LivenessEvents;
  readonly #waiters = new Set<PingWaiter>();
  /** The last round trip that was measured. */
  rttMs: number | undefined;
  #timer: Timer;
  /** Bytes of the ping in flight; 0 for none. */
  #inFlight = 0;
  #pingId = 0;
  #sentAtMs = 0;
  #heard = false;
  #missed = 0;

  constructor(clock: Clock, limits: SessionLimits, events: LivenessEvents) {
    this.#clock = clock;
    this.#limits = limits;
    this.#events = events;
    this.#timer = this.#arm();
  }

  /** Something arrived. */
  heard(): void {
    this.#heard = true;
  }

  /** The round trip of `bytes` bytes: that of the ping in flight if it carries as many, or of a new one after it. */
  ping(bytes: number, signal: AbortSignal | undefined): Promise<number> {
    if (signal?.aborted) return Promise.reject(abortedError(signal));
    return new Promise((resolve, reject) => {
      const waiter: PingWaiter = {
        bytes,
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
      if (this.#inFlight === 0) this.#send(bytes);
    });
  }

  /** The body of a PONG; returns whether it answers the ping in flight. */
  pong(body: Uint8Array): boolean {
    if (body.length !== this.#inFlight || readU64(body, 0) !== this.#pingId) return false;
    const answered = this.#inFlight;
    this.#inFlight = 0;
    this.#heard = false;
    this.#missed = 0;
    const rttMs = this.#clock.monotonicMs() - this.#sentAtMs;
    this.rttMs = rttMs;
    let larger = 0;
    for (const waiter of this.#waiters) {
      if (waiter.bytes > answered) {
        larger = Math.max(larger, waiter.bytes);
        continue;
      }
      this.#waiters.delete(waiter);
      waiter.resolve(rttMs);
    }
    if (larger > 0) this.#send(larger);
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
    } else if (this.#inFlight === 0) {
      this.#send(MIN_PING_BYTES);
    } else if (++this.#missed >= this.#limits.missedPings) {
      this.#events.dead();
    }
  }

  #send(bytes: number): void {
    this.#inFlight = bytes;
    this.#sentAtMs = this.#clock.monotonicMs();
    const body = new Uint8Array(bytes);
    writeU64(body, 0, ++this.#pingId);
    this.#events.send(body);
  }
}
