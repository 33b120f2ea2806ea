/** How many guests come in, and how fast: they are strangers until pairing says otherwise. */
import type { Clock } from "@fed/core";
import { LanError } from "./errors.js";
import { guestBurst, guestsPerSecond, type LanLimits } from "./limits.js";
import { createRateLimit } from "./rate-limit.js";

/** Counts guests. */
export interface GuestGate {
  /**
   * @returns takes the guest off the count; idempotent.
   * @throws {LanError} GUEST_LIMIT.
   */
  enter(): () => void;
}

export function createGuestGate(clock: Clock, limits: Pick<LanLimits, "maxGuests">): GuestGate {
  const rate = createRateLimit(clock, guestsPerSecond, guestBurst);
  const inside = new Set<symbol>();
  return {
    enter() {
      if (inside.size >= limits.maxGuests || !rate.take()) {
        throw new LanError({
          code: "GUEST_LIMIT",
          message: "Too many guests at once.",
          hint: "Wait a few seconds and try again.",
          retryable: true,
        });
      }
      const guest = Symbol("guest");
      inside.add(guest);
      return () => void inside.delete(guest);
    },
  };
}
