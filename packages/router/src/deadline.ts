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
  /** `work`, unless this ends first. */
  during<T>(work: Promise<T>): Promise<T>;
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
  /** Made for whoever asks for it. */
  #ended: PromiseWithResolvers<never> | undefined;

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

  get ended(): Promise<never> {
    if (!this.#ended) {
      this.#ended = Promise.withResolvers<never>();
      this.#ended.promise.catch(() => {});
      if (this.signal.aborted) this.#ended.reject(this.signal.reason);
    }
    return this.#ended.promise;
  }

  during<T>(work: Promise<T>): Promise<T> {
    return Promise.race([work, this.ended]);
  }

  cancel(error: FedError): void {
    if (this.signal.aborted) return;
    this.#controller.abort(error);
    this.#ended?.reject(error);
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
