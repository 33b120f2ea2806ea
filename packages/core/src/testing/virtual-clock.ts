/** A {@link TestClock} for many timers: a heap, and turns of the event loop that cost microseconds. For emulations. */
import type { Timer } from "../clock.js";
import type { TestClock } from "./test-clock.js";

interface PendingTimer {
  readonly dueMs: number;
  readonly order: number;
  callback: (() => void) | undefined;
}

/** A clock that stands at 2027-01-15T08:00:00Z until it is advanced; its monotonic time starts at 0. */
export function createVirtualClock(): TestClock {
  const startMs = 1_800_000_000_000;
  const heap: PendingTimer[] = [];
  let elapsedMs = 0;
  let order = 0;

  return {
    nowMs: () => startMs + elapsedMs,
    monotonicMs: () => elapsedMs,
    setTimer(delayMs, callback): Timer {
      const timer: PendingTimer = { dueMs: elapsedMs + Math.max(0, delayMs), order: order++, callback };
      push(heap, timer);
      return {
        cancel() {
          timer.callback = undefined;
        },
      };
    },
    async advance(ms) {
      const untilMs = elapsedMs + ms;
      await turn();
      for (let timer = heap[0]; timer && timer.dueMs <= untilMs; timer = heap[0]) {
        pop(heap);
        if (!timer.callback) continue;
        elapsedMs = Math.max(elapsedMs, timer.dueMs);
        timer.callback();
        await turn();
      }
      elapsedMs = Math.max(elapsedMs, untilMs);
    },
  };
}

const { setImmediate: immediately = setTimeout as (callback: () => void) => unknown } = globalThis as {
  setImmediate?: (callback: () => void) => unknown;
};

/** Resolves after every microtask, however long their chain. */
function turn(): Promise<void> {
  return new Promise((resolve) => void immediately(resolve));
}

function isBefore(a: PendingTimer, b: PendingTimer): boolean {
  return a.dueMs < b.dueMs || (a.dueMs === b.dueMs && a.order < b.order);
}

function push(heap: PendingTimer[], timer: PendingTimer): void {
  let at = heap.push(timer) - 1;
  for (let up = (at - 1) >> 1; at > 0 && isBefore(timer, heap[up]!); up = (at - 1) >> 1) {
    heap[at] = heap[up]!;
    at = up;
  }
  heap[at] = timer;
}

function pop(heap: PendingTimer[]): void {
  const last = heap.pop();
  if (!last || heap.length === 0) return;
  let at = 0;
  for (;;) {
    let down = 2 * at + 1;
    if (down >= heap.length) break;
    if (down + 1 < heap.length && isBefore(heap[down + 1]!, heap[down]!)) down++;
    if (!isBefore(heap[down]!, last)) break;
    heap[at] = heap[down]!;
    at = down;
  }
  heap[at] = last;
}
