/** One deadline and one cancel for a whole call: a single timer, a single abort signal whose reason is a FedError. */
import { abortedError, type Clock, type FedError, type Timer } from "@fed/core";
import { RouterError } from "./errors.js";
import { limits } from "./limits.js";

/** A running deadline. */
export interface Deadline {
  /** Aborts with DEADLINE_EXCEEDED, or with the error the outer signal or {@link cancel} gave. */
  readonly signal: AbortSignal;
  /** Rejects when the signal aborts; never resolves. */
  readonly ended: Promise<never>;
  cancel(error: FedError): void;
  /** Begins the time anew, for an hour in all: what makes progress is not given up. */
  renew(): void;
  /** Releases the timer. Idempotent. */
  done(): void;
}

/** Starts a deadline of `afterMs` on `clock`, under `outer`; Infinity: none. */
export function createDeadline(clock: Clock, afterMs: number, outer: AbortSignal | undefined): Deadline {
  const controller = new AbortController();
  /** Made for whoever asks for it: most calls of this hub's own apps end without. */
  let ended: PromiseWithResolvers<never> | undefined;
  const cancel = (error: FedError) => {
    if (controller.signal.aborted) return;
    controller.abort(error);
    ended?.reject(error);
  };
  const onAbort = () => cancel(abortedError(outer!));
  const startedMs = clock.monotonicMs();
  const lastMs = startedMs + Math.max(afterMs, limits.callMs);
  let endMs = startedMs + afterMs;
  let timer: Timer | undefined;
  const watch = () => {
    const leftMs = endMs - clock.monotonicMs();
    if (leftMs > 0) timer = clock.setTimer(leftMs, watch);
    else cancel(expired(afterMs));
  };
  if (afterMs !== Number.POSITIVE_INFINITY) timer = clock.setTimer(afterMs, watch);
  if (outer?.aborted) onAbort();
  else outer?.addEventListener("abort", onAbort, { once: true });
  return {
    signal: controller.signal,
    get ended() {
      if (!ended) {
        ended = Promise.withResolvers<never>();
        ended.promise.catch(() => {});
        if (controller.signal.aborted) ended.reject(controller.signal.reason);
      }
      return ended.promise;
    },
    cancel,
    renew() {
      endMs = Math.min(clock.monotonicMs() + afterMs, lastMs);
    },
    done() {
      timer?.cancel();
      outer?.removeEventListener("abort", onAbort);
    },
  };
}

function expired(afterMs: number): RouterError {
  return new RouterError({
    code: "DEADLINE_EXCEEDED",
    message: `No answer and no progress within ${afterMs} ms; the call was cancelled.`,
    hint: "It may have taken effect: look before you repeat it.",
  });
}

/** `work`, or the reason of `signal` as soon as it aborts. */
export function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  if (signal.aborted) {
    work.catch(() => {});
    return Promise.reject(abortedError(signal));
  }
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  const onAbort = () => reject(abortedError(signal));
  const release = () => signal.removeEventListener("abort", onAbort);
  signal.addEventListener("abort", onAbort, { once: true });
  work.then(resolve, reject);
  work.then(release, release);
  return promise;
}
