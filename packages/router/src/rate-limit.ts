/** How many requests each peer, or each operator, may make: a token bucket per key, kept as the one time at which it is full again. */
import type { Clock } from "@fed/core";
import { RouterError } from "./errors.js";

/** A rate: `perSecond` sustained, `burst` at once after a rest. */
export interface Rate {
  readonly perSecond: number;
  readonly burst: number;
}

/** Keys kept at once; those whose bucket is full need not be. */
const maxKeys = 4096;

/** Counts requests per key. */
export class RateLimit {
  readonly #clock: Clock;
  readonly #intervalMs: number;
  readonly #burstMs: number;
  /** When each bucket is full again, monotonic milliseconds. */
  readonly #fullAtMs = new Map<string, number>();

  constructor({ perSecond, burst }: Rate, clock: Clock) {
    this.#clock = clock;
    this.#intervalMs = 1000 / perSecond;
    this.#burstMs = burst * this.#intervalMs;
  }

  /** Takes one. @throws {RouterError} RATE_LIMITED, with `retryAfterMs` in its details, above the rate of `key`. */
  take(key: string): void {
    const overMs = this.#take(key);
    if (overMs > 0) throw rateLimited(Math.ceil(overMs));
  }

  /** Takes one if the rate of `key` allows it, and says whether it did. */
  tryTake(key: string): boolean {
    return this.#take(key) === 0;
  }

  /** Takes one, or returns how many milliseconds that would be too early. */
  #take(key: string): number {
    const nowMs = this.#clock.monotonicMs();
    const fullAtMs = Math.max(this.#fullAtMs.get(key) ?? nowMs, nowMs) + this.#intervalMs;
    // A millionth of a millisecond: sums of intervals are not exact.
    const overMs = fullAtMs - nowMs - this.#burstMs;
    if (overMs > 1e-6) return overMs;
    this.#fullAtMs.set(key, fullAtMs);
    if (this.#fullAtMs.size > maxKeys) this.#makeRoom(nowMs);
    return 0;
  }

  /** Drops what is full, or, where nothing is, what is nearest to it. */
  #makeRoom(nowMs: number): void {
    let fullest: { readonly key: string; readonly atMs: number } | undefined;
    for (const [key, atMs] of this.#fullAtMs) {
      if (atMs <= nowMs) this.#fullAtMs.delete(key);
      else if (!fullest || atMs < fullest.atMs) fullest = { key, atMs };
    }
    if (fullest && this.#fullAtMs.size > maxKeys) this.#fullAtMs.delete(fullest.key);
  }
}

function rateLimited(retryAfterMs: number): RouterError {
  return new RouterError({
    code: "RATE_LIMITED",
    message: "Too many requests in a short time; this one was not started.",
    hint: `Try again in ${retryAfterMs} ms, and more slowly.`,
    retryable: true,
    details: { retryAfterMs },
  });
}
