/** What a benchmark is and what it hands back. */

/** One measured row. */
export interface Row {
  readonly name: string;
  /** Of `value`, e.g. `calls/s`. */
  readonly unit: string;
  readonly value: number;
  /** Default `more`. */
  readonly better?: "more" | "less";
  /** Latency, ms, where there is a distribution. */
  readonly p50?: number;
  readonly p99?: number;
  /** Name of the row of the same run that this one is measured against; undefined for one that is a baseline. */
  readonly baseline?: string | undefined;
  /** The worst `value` that is good enough. */
  readonly target?: number | undefined;
  /** Further facts for the table, by column. */
  readonly notes: Readonly<Record<string, string>>;
}

/** Options of {@link Bench.run}. */
export interface RunOptions {
  /** Only rows whose name contains this; ratios to rows left out are missing. */
  readonly only: string | undefined;
  /** Told what happens, for people who wait. */
  readonly progress: (text: string) => void;
}

/** One benchmark. */
export interface Bench {
  /** What is measured, in a line or two. */
  readonly about: string;
  run(options: RunOptions): Promise<Row[]>;
}
