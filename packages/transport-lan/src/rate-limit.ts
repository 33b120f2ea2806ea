/** A token bucket over a monotonic clock. */
import type { Clock } from "@fed/core";

/** Answers whether one more may pass now. */
export interface RateLimit {
  take(): boolean;
}

/** Lets `perSecond` pass on average and `burst` at once. */
export function createRateLimit(clock: Clock, perSecond: number, burst: number): RateLimit {
  let tokens = burst;
  let filledAtMs = clock.monotonicMs();
  return {
    take() {
      const nowMs = clock.monotonicMs();
      tokens = Math.min(burst, tokens + ((nowMs - filledAtMs) / 1000) * perSecond);
      filledAtMs = nowMs;
      if (tokens < 1) return false;
      tokens -= 1;
      return true;
    },
  };
}
