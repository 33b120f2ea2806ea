/** Token buckets over a monotonic clock. */
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

/** Answers whether one more of a source may pass now. */
export interface SourceRateLimit {
  take(source: string): boolean;
}

/** Sources that are remembered; beyond that the one that came longest ago is forgotten. */
const maxSources = 256;

/** A {@link RateLimit} for each source: one alone must not use up what all share. */
export function createSourceRateLimit(clock: Clock, perSecond: number, burst: number): SourceRateLimit {
  const limits = new Map<string, RateLimit>();
  return {
    take(source) {
      const limit = limits.get(source) ?? createRateLimit(clock, perSecond, burst);
      limits.delete(source);
      if (limits.size >= maxSources) limits.delete(limits.keys().next().value!);
      limits.set(source, limit);
      return limit.take();
    },
  };
}
