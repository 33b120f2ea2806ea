/** Durations, counted in buckets as Prometheus wants them. */

/** Upper bounds in seconds: from a call that finds everything at hand to the deadline of one that does not. */
export const latencyBounds = [
  0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60,
] as const;

/** See the module header. */
export class LatencyHistogram {
  sum = 0;
  count = 0;
  readonly #counts = new Float64Array(latencyBounds.length);

  observe(seconds: number): void {
    this.sum += seconds;
    this.count++;
    for (let bucket = 0; bucket < latencyBounds.length; bucket++) {
      if (seconds > latencyBounds[bucket]!) continue;
      this.#counts[bucket]!++;
      return;
    }
  }

  /** How many were at most as long as each of {@link latencyBounds}. */
  cumulative(): number[] {
    let total = 0;
    return Array.from(this.#counts, (count) => (total += count));
  }
}
