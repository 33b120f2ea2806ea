/** The load: a fixed number of calls in flight, each followed by the next as soon as its reply was checked. */

/** What one stretch of load gave. */
export interface Sample {
  readonly latenciesMs: readonly number[];
  /** Until the last reply. */
  readonly elapsedMs: number;
}

/** Options of {@link load}. */
export interface LoadOptions<Body> {
  readonly inFlight: number;
  /** No call begins later than this after the first. */
  readonly durationMs: number;
  /** Sent in turn. */
  readonly bodies: readonly Body[];
  /** Whether a reply is what was sent. Default: the same value. */
  readonly equal?: (sent: Body, got: Body) => boolean;
}

/** Calls `echo` for a while. @throws {Error} when a reply is not what was sent, or whatever `echo` threw. */
export async function load<Body>(echo: (body: Body) => Promise<Body>, options: LoadOptions<Body>): Promise<Sample> {
  const { inFlight, durationMs, bodies, equal = Object.is } = options;
  const latenciesMs: number[] = [];
  let next = 0;
  const startMs = performance.now();
  async function keepCalling(): Promise<void> {
    for (let atMs = performance.now(); atMs - startMs < durationMs; ) {
      const body = bodies[next++ % bodies.length]!;
      if (!equal(body, await echo(body))) throw new Error("A reply differs from what was sent.");
      const doneMs = performance.now();
      latenciesMs.push(doneMs - atMs);
      atMs = doneMs;
    }
  }
  await Promise.all(Array.from({ length: inFlight }, keepCalling));
  return { latenciesMs, elapsedMs: performance.now() - startMs };
}

/** The value that the share `p` of `sorted` does not exceed (nearest rank). */
export function percentile(sorted: readonly number[], p: number): number {
  return sorted[Math.max(0, Math.ceil(p * sorted.length) - 1)] ?? Number.NaN;
}

/** The one in the middle. */
export function median(values: readonly number[]): number {
  return percentile(
    values.toSorted((a, b) => a - b),
    0.5,
  );
}
