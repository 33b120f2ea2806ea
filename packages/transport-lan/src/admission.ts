/** Who may begin a handshake: caps on sockets that have proved nothing yet. */
import type { Clock } from "@fed/core";
import { isLoopback } from "./address.js";
import { LanError } from "./errors.js";
import type { LanLimits } from "./limits.js";
import { createRateLimit, createSourceRateLimit } from "./rate-limit.js";

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
  const perSecond = limits.maxAcceptsPerSourcePerSecond;
  // Else whoever connects fastest keeps everybody else out.
  const acceptsBySource = createSourceRateLimit(clock, perSecond, perSecond);
  const pendingBySource = new Map<string, number>();
  let pending = 0;

  return {
    admit(source) {
      const mine = pendingBySource.get(source) ?? 0;
      const local = isLoopback(source);
      const perSource = local ? limits.maxPending : limits.maxPendingPerSource;
      if (
        pending >= limits.maxPending ||
        mine >= perSource ||
        !(local || acceptsBySource.take(source)) ||
        !accepts.take()
      ) {
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
