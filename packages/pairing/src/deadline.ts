/** One deadline and one cancel for a whole exchange. */
import { abortedError, type Clock } from "@fed/core";
import { PairingError } from "./errors.js";

/** Used by both sides when nothing else is asked for. */
export const defaultTimeoutMs = 15_000;

/** A running deadline. */
export interface Deadline {
  /** Aborts with a FedError as its reason: JOIN_TIMEOUT, or what the outer signal ended with. */
  readonly signal: AbortSignal;
  /** Releases the timer and the outer signal's listener. Idempotent. */
  done(): void;
}

/** Starts a deadline of `afterMs` on `clock`, under `outer`. */
export function createDeadline(clock: Clock, afterMs: number, outer: AbortSignal | undefined): Deadline {
  const controller = new AbortController();
  const timer = clock.setTimer(afterMs, () =>
    controller.abort(
      new PairingError({
        code: "JOIN_TIMEOUT",
        message: `The join was not finished within ${afterMs} ms.`,
        hint: "Try again; if the token was used meanwhile, ask for a new one with `fed invite`.",
      }),
    ),
  );
  const onAbort = () => controller.abort(abortedError(outer!));
  if (outer?.aborted) onAbort();
  else outer?.addEventListener("abort", onAbort, { once: true });
  return {
    signal: controller.signal,
    done() {
      timer.cancel();
      outer?.removeEventListener("abort", onAbort);
    },
  };
}
