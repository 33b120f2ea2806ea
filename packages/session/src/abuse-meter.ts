/** Counts legal frames that cost the receiver more than the sender: resets, refused streams, crumbs of credit. */
import type { Clock } from "@fed/core";

/** What a charge amounts to. */
export type AbuseVerdict = "fine" | "warn" | "refuse";

/** A token bucket with a second one below it: the first says warn, once; the second says refuse. */
export class AbuseMeter {
  readonly #clock: Clock;
  readonly #burst: number;
  readonly #perSecond: number;
  #tokens: number;
  #atMs: number;
  #warned = false;

  constructor(clock: Clock, burst: number, perSecond: number) {
    this.#clock = clock;
    this.#burst = burst;
    this.#perSecond = perSecond;
    this.#tokens = burst;
    this.#atMs = clock.monotonicMs();
  }

  charge(): AbuseVerdict {
    const nowMs = this.#clock.monotonicMs();
    this.#tokens = Math.min(this.#burst, this.#tokens + ((nowMs - this.#atMs) * this.#perSecond) / 1000) - 1;
    this.#atMs = nowMs;
    if (this.#tokens < -this.#burst) return "refuse";
    if (this.#tokens >= 0 || this.#warned) return "fine";
    this.#warned = true;
    return "warn";
  }
}
