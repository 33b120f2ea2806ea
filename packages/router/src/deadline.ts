/** One deadline and one cancel for a whole call: a single timer, a single abort signal whose reason is a FedError. */
import { abortedError, type Clock, type FedError, LiveSet, type Timer } from "@fed/core";
import { RouterError } from "./errors.js";
import { limits } from "./limits.js";

/** A running deadline. */
export interface Deadline {
  /** Aborts with DEADLINE_EXCEEDED, or with the error the outer signal or {@link cancel} gave. */
  readonly signal: AbortSignal;
  /** `work`, or a rejection with the signal's reason once it aborts, if that comes first. */
  during<T>(work: T | Promise<T>): Promise<T>;
  cancel(error: FedError): void;
  /** Begins the time anew, for an hour in all: what makes progress is not given up. */
  renew(): void;
  /** Releases the timer. Idempotent. */
  done(): void;
}

/** Starts a deadline of `afterMs` on `clock`, under `outer`; Infinity: none. */
export function createDeadline(clock: Clock, afterMs: number, outer: AbortSignal | undefined): Deadline {
  return new RunningDeadline(clock, afterMs, outer);
}

class RunningDeadline implements Deadline {
  readonly #clock: Clock;
  readonly #afterMs: number;
  readonly #outer: AbortSignal | undefined;
  readonly #controller = new AbortController();
  readonly #onAbort = () => this.cancel(abortedError(this.#outer!));
  readonly #lastMs: number;
  #endMs: number;
  #timer: Timer | undefined;
  /** Rejects what goes on while it runs. */
  readonly #waiting = new LiveSet<(error: FedError) => void>();

  constructor(clock: Clock, afterMs: number, outer: AbortSignal | undefined) {
    this.#clock = clock;
    this.#afterMs = afterMs;
    this.#outer = outer;
    const startedMs = clock.monotonicMs();
    this.#lastMs = startedMs + Math.max(afterMs, limits.callMs);
    this.#endMs = startedMs + afterMs;
    if (afterMs !== Number.POSITIVE_INFINITY) this.#wait(afterMs);
    if (outer?.aborted) this.#onAbort();
    else outer?.addEventListener("abort", this.#onAbort);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  during<T>(work: T | Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      // Not a race against one promise: that would hold on to everything ever waited for, as long as the call lasts.
      const place = this.#waiting.add(reject);
      Promise.resolve(work).then(
        (result) => {
          this.#waiting.delete(place);
          resolve(result);
        },
        (cause: unknown) => {
          this.#waiting.delete(place);
          reject(cause);
        },
      );
      if (this.signal.aborted) reject(this.signal.reason);
    });
  }

  cancel(error: FedError): void {
    if (this.signal.aborted) return;
    this.#controller.abort(error);
    for (const reject of this.#waiting) reject(error);
  }

  renew(): void {
    this.#endMs = Math.min(this.#clock.monotonicMs() + this.#afterMs, this.#lastMs);
  }

  done(): void {
    this.#timer?.cancel();
    this.#outer?.removeEventListener("abort", this.#onAbort);
  }

  #wait(forMs: number): void {
    this.#timer = this.#clock.setTimer(forMs, () => {
      const leftMs = this.#endMs - this.#clock.monotonicMs();
      if (leftMs > 0) this.#wait(leftMs);
      else this.cancel(expired(this.#afterMs));
    });
  }
}

function expired(afterMs: number): RouterError {
  return new RouterError({
    code: "DEADLINE_EXCEEDED",
    message: `No answer and no progress within ${afterMs} ms; the call was cancelled.`,
    hint: "It may have taken effect: look before you repeat it.",
  });
}
