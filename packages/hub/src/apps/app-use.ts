/** How an app is used: what is under way at it, and for how long it has rested. */
import type { Clock, Timer } from "@fed/core";

/** See the module header. */
export class AppUse {
  readonly #clock: Clock;
  #inFlight = 0;
  /** Before this somebody may come back to it, monotonic milliseconds. */
  #heldUntilMs = 0;
  #resting: Timer | undefined;
  #drained: (() => void) | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Requests that have not been answered. */
  get inFlight(): number {
    return this.#inFlight;
  }

  /** A request begins. */
  begin(): void {
    this.#inFlight++;
    this.cancelRest();
  }

  /** A request has ended. @returns whether none is left. */
  finish(): boolean {
    if (--this.#inFlight > 0) return false;
    this.#drained?.();
    return true;
  }

  /** Somebody may come back within `forMs`: until then it does not rest. */
  hold(forMs: number): void {
    this.#heldUntilMs = this.#clock.monotonicMs() + forMs;
  }

  /** Calls `rested` after `afterMs` in which nothing is asked. */
  rest(afterMs: number, rested: () => void): void {
    this.cancelRest();
    if (this.#inFlight > 0) return;
    this.#resting = this.#clock.setTimer(Math.max(afterMs, this.#heldUntilMs - this.#clock.monotonicMs()), rested);
  }

  cancelRest(): void {
    this.#resting?.cancel();
  }

  /** Resolves when nothing is under way, after `graceMs` at most. */
  async drain(graceMs: number): Promise<void> {
    if (this.#inFlight === 0) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#drained = resolve;
    const timer = this.#clock.setTimer(graceMs, resolve);
    await promise;
    timer.cancel();
    this.#drained = undefined;
  }
}
