/** Which record counters were seen: a sliding window of 8192 (after RFC 6479). */

const windowSize = 8192;

/** Remembers counters. `accepts` looks, `mark` remembers; mark only after the record's tag verified. */
export interface ReplayWindow {
  /** Whether `counter` is new and not too old. */
  accepts(counter: number): boolean;
  mark(counter: number): void;
}

/** An empty window. */
export function createReplayWindow(): ReplayWindow {
  const seen = new Uint8Array(windowSize);
  let highest = -1;
  return {
    accepts(counter) {
      if (counter > highest) return true;
      return counter > highest - windowSize && seen[counter % windowSize] === 0;
    },
    mark(counter) {
      if (counter > highest) {
        const jump = counter - highest;
        if (jump >= windowSize) seen.fill(0);
        else for (let i = highest + 1; i < counter; i++) seen[i % windowSize] = 0;
        highest = counter;
      }
      seen[counter % windowSize] = 1;
    },
  };
}
