/** A clock that moves only when a test says so. */
import type { Clock, Timer } from "../clock.js";

/** A {@link Clock} under a test's control. */
export interface TestClock extends Clock {
  /**
   * Moves time on by `ms` and fires what falls due, in order of time and then of setting, timers set on the way
   * included. Before, between and after the timers every pending microtask runs, so that what a timer caused has
   * happened once the promise resolves. Real I/O is not waited for. Rejects with what a callback throws.
   */
  advance(ms: number): Promise<void>;
}

interface PendingTimer {
  readonly dueMs: number;
  readonly callback: () => void;
}

/** A clock that stands at `startMs` (Unix milliseconds, default 2027-01-15T08:00:00Z); its monotonic time starts at 0. */
export function createTestClock(startMs = 1_800_000_000_000): TestClock {
  let elapsedMs = 0;
  const timers = new Set<PendingTimer>();

  function nextDue(untilMs: number): PendingTimer | undefined {
    let next: PendingTimer | undefined;
    // A Set keeps the order of setting, so `<` alone breaks ties the right way.
    for (const timer of timers) {
      if (timer.dueMs <= untilMs && (next === undefined || timer.dueMs < next.dueMs)) next = timer;
    }
    return next;
  }

  return {
    nowMs: () => startMs + elapsedMs,
    monotonicMs: () => elapsedMs,
    setTimer(delayMs, callback): Timer {
      const timer = { dueMs: elapsedMs + Math.max(0, delayMs), callback };
      timers.add(timer);
      return { cancel: () => void timers.delete(timer) };
    },
    async advance(ms) {
      const untilMs = elapsedMs + ms;
      await microtasks();
      for (let timer = nextDue(untilMs); timer !== undefined; timer = nextDue(untilMs)) {
        timers.delete(timer);
        elapsedMs = Math.max(elapsedMs, timer.dueMs);
        timer.callback();
        await microtasks();
      }
      elapsedMs = Math.max(elapsedMs, untilMs);
    },
  };
}

/** A macrotask comes after every microtask, however long their chain. */
function microtasks(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}
