/** Rows for people and for scripts. */
import type { Row } from "./row.ts";

/** One element of the JSON document. */
export interface Result {
  readonly name: string;
  readonly unit: string;
  readonly value: number;
  readonly p50: number;
  readonly p99: number;
  readonly baseline: string | null;
  /** `value` divided by the baseline's. */
  readonly ratio: number | null;
  readonly target: number | null;
  readonly met: boolean | null;
}

/** What `--json` prints. */
export function toResults(rows: readonly Row[]): Result[] {
  return rows.map(({ name, unit, value, p50, p99, baseline, target }) => ({
    name,
    unit,
    value: round(value),
    p50: round(p50),
    p99: round(p99),
    baseline: baseline ?? null,
    ratio: ratioOf(value, baseline, rows),
    target: target ?? null,
    met: target === undefined ? null : value >= target,
  }));
}

/** The same as aligned text, ratio first. */
export function formatTable(rows: readonly Row[]): string {
  const columns = [...new Set(rows.flatMap(({ notes }) => Object.keys(notes)))];
  const lines = [
    ["", "ratio", rows[0]?.unit ?? "", "p50 ms", "p99 ms", ...columns],
    ...rows.map(({ name, value, p50, p99, baseline, notes }) => [
      name,
      formatRatio(ratioOf(value, baseline, rows)),
      Math.round(value).toLocaleString("en"),
      formatNumber(p50),
      formatNumber(p99),
      ...columns.map((column) => notes[column] ?? ""),
    ]),
  ];
  const widths = lines[0]!.map((_, i) => Math.max(...lines.map((line) => line[i]!.length)));
  return lines
    .map((line) => line.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join("  "))
    .join("\n");
}

function formatRatio(ratio: number | null): string {
  return ratio === null ? "" : formatNumber(ratio);
}

/** Three significant digits. */
export function formatNumber(value: number): string {
  return value >= 100 ? value.toFixed(0) : String(round(value));
}

function ratioOf(value: number, baseline: string | undefined, rows: readonly Row[]): number | null {
  const against = rows.find(({ name }) => name === baseline);
  return against ? round(value / against.value) : null;
}

function round(value: number): number {
  return Number(value.toPrecision(3));
}
