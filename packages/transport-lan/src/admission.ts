/** Who may begin a handshake: caps on sockets that have proved nothing yet. */
import type { Clock } from "@fed/core";
import { isLoopback } from "./address.js";
import { LanError } from "./errors.js";
import type { LanLimits } from "./limits.js";
import { createRateLimit, type RateLimit } from "./rate-limit.js";

/** Sources whose rate is remembered; beyond that the one that came longest ago is forgotten. */
const maxSources = 256;

/** Decides, and counts what it admitted until it is released. */
export interface Admission {
  /**
   * Takes a place for a socket from `source`.
   * @returns releases the place; idempotent.
   * @throws {LanError} TOO_MANY_CONNECTIONS when a cap is reached.
   */
  admit(source: string): () => void;
}

/** An {@link Admission} with the caps of `limits`. */
export function createAdmission(
  clock: Clock,
  limits: Pick<
    LanLimits,
    "maxPending" | "maxPendingPerSource" | "maxAcceptsPerSecond" | "maxAcceptsPerSourcePerSecond"
  >,
): Admission {
  const accepts = createRateLimit(clock, limits.maxAcceptsPerSecond, limits.maxAcceptsPerSecond);
  const acceptsBySource = new Map<string, RateLimit>();
  const pendingBySource = new Map<string, number>();
  let pending = 0;

  /** One source alone must not use up what all share: else whoever connects fastest keeps everybody else out. */
  function rateOf(source: string): RateLimit {
    const perSource = limits.maxAcceptsPerSourcePerSecond;
    const rate = acceptsBySource.get(source) ?? createRateLimit(clock, perSource, perSource);
    acceptsBySource.delete(source);
    if (acceptsBySource.size >= maxSources) acceptsBySource.delete(acceptsBySource.keys().next().value!);
    acceptsBySource.set(source, rate);
    return rate;
  }

  return {
    admit(source) {
      const mine = pendingBySource.get(source) ?? 0;
      const local = isLoopback(source);
      const perSource = local ? limits.maxPending : limits.maxPendingPerSource;
      if (pending >= limits.maxPending || mine >= perSource || !(local || rateOf(source).take()) || !accepts.take()) {
        throw new LanError({
          code: "TOO_MANY_CONNECTIONS",
          message: "Too many unfinished connections at once.",
          retryable: true,
        });
      }
      pending++;
      pendingBySource.set(source, mine + 1);
      let released = false;
      return () => {
        if (released) return;
        released = true;
        pending--;
        const left = (pendingBySource.get(source) ?? 1) - 1;
        if (left > 0) pendingBySource.set(source, left);
        else pendingBySource.delete(source);
      };
    },
  };
}
