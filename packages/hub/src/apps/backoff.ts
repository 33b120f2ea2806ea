/** How long to wait before something that has failed is tried again: twice as long each time, with jitter, up to half a minute. */
import type { Clock } from "@fed/core";

const firstPauseMs = 500;
/** On average; with the jitter at most half a minute. */
const longestPauseMs = 20_000;
/** What has run for so long is as good as new. */
const provenAfterMs = 30_000;

/** See the module header. */
export class Backoff {
  readonly #clock: Clock;
  #pauseMs = firstPauseMs;
  /** Monotonic milliseconds. */
  #notBeforeMs = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Until the next try, 0 when it may be now. */
  get waitMs(): number {
    return Math.max(0, this.#notBeforeMs - this.#clock.monotonicMs());
  }

  /** A try has failed, or what ran has ended after `ranMs`. The pause is half to one and a half of what it is on average. */
  failed(ranMs = 0): void {
    if (ranMs > provenAfterMs) this.#pauseMs = firstPauseMs;
    this.#notBeforeMs = this.#clock.monotonicMs() + this.#pauseMs * (0.5 + Math.random());
    this.#pauseMs = Math.min(this.#pauseMs * 2, longestPauseMs);
  }

  /** The next try may be at once. */
  skip(): void {
    this.#notBeforeMs = 0;
  }

  /** Whatever failed is something else now. */
  reset(): void {
    this.skip();
    this.#pauseMs = firstPauseMs;
  }
}
