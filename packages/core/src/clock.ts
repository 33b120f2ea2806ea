/** Time as an option, so that every room can be tested without waiting. */

/** A source of time. All values are milliseconds. */
export interface Clock {
  /** Wall-clock time since the Unix epoch. May jump. */
  nowMs(): number;
  /** Time since an arbitrary start; never goes back. For durations and deadlines. */
  monotonicMs(): number;
  /** Calls `callback` once after `delayMs`, unless cancelled first. Does not keep the process alive. */
  setTimer(delayMs: number, callback: () => void): Timer;
}

/** A pending callback of {@link Clock.setTimer}. */
export interface Timer {
  /** Idempotent. */
  cancel(): void;
}

/** The machine's own clock. */
export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  setTimer(delayMs, callback) {
    const handle = setTimeout(callback, delayMs);
    (handle as { unref?: () => void }).unref?.();
    return { cancel: () => clearTimeout(handle) };
  },
};
