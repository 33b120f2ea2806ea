/** Rows for people and for scripts. */
import type { Row } from "./row.ts";

/** One element of the JSON document. */
export interface Result {
  readonly name: string;
  readonly unit: string;
  readonly value: number;
  readonly p50: number | null;
  readonly p99: number | null;
  readonly baseline: string | null;
  /** `value` divided by the baseline's. */
  readonly ratio: number | null;
  readonly target: number | null;
  readonly met: boolean | null;
}

/** What `--json` prints. */
export function toResults(rows: readonly Row[]): Result[] {
  return rows.map((row) => ({
    name: row.name,
    unit: row.unit,
    value: round(row.value),
    p50: row.p50 === undefined ? null : round(row.p50),
    p99: row.p99 === undefined ? null : round(row.p99),
    baseline: row.baseline ?? null,
    ratio: ratioOf(row, rows) ?? null,
    target: row.target ?? null,
    met: isMet(row) ?? null,
  }));
}

/** The same as aligned text, a table for rows with targets and one for those without, ratio first. */
export function formatTable(rows: readonly Row[]): string {
  const measured = rows.filter(({ target }) => target === undefined);
  const aimed = rows.filter(({ target }) => target !== undefined);
  return [measured, aimed]
    .filter(({ length }) => length > 0)
    .map((part) => align(linesOf(part, rows)))
    .join("\n\n");
}

/** A header and a line for each of `part`; columns that none of them fills are left out. */
function linesOf(part: readonly Row[], rows: readonly Row[]): string[][] {
  const cell = (value: number | undefined) => (value === undefined ? "" : formatNumber(value));
  const columns: [string, (row: Row) => string][] = [
    ["ratio", (row) => cell(ratioOf(row, rows))],
    ["value", ({ value }) => (value >= 1000 ? Math.round(value).toLocaleString("en") : formatNumber(value))],
    ["unit", ({ unit }) => unit],
    ["p50 ms", ({ p50 }) => cell(p50)],
    ["p99 ms", ({ p99 }) => cell(p99)],
    ["target", ({ target, better }) => (target === undefined ? "" : `${better === "less" ? "≤" : "≥"} ${target}`)],
    ["met", (row) => ({ true: "yes", false: "no", undefined: "" })[`${isMet(row)}`]],
    ...[...new Set(part.flatMap(({ notes }) => Object.keys(notes)))].map((name): [string, (row: Row) => string] => [
      name,
      ({ notes }) => notes[name] ?? "",
    ]),
  ];
  const filled = columns.filter(([, of]) => part.some((row) => of(row) !== ""));
  return [["", ...filled.map(([name]) => name)], ...part.map((row) => [row.name, ...filled.map(([, of]) => of(row))])];
}

function align(lines: readonly string[][]): string {
  const widths = lines[0]!.map((_, i) => Math.max(...lines.map((line) => line[i]!.length)));
  return lines
    .map((line) => line.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join("  "))
    .join("\n");
}

/** Three significant digits. */
export function formatNumber(value: number): string {
  return value >= 100 ? value.toFixed(0) : String(round(value));
}

function isMet({ value, target, better }: Row): boolean | undefined {
  if (target === undefined) return undefined;
  return better === "less" ? value <= target : value >= target;
}

function ratioOf({ value, baseline }: Row, rows: readonly Row[]): number | undefined {
  const against = rows.find(({ name }) => name === baseline);
  return against && round(value / against.value);
}

function round(value: number): number {
  return Number(value.toPrecision(3));
}

/** A row that holds the quotient of two measured values against a bound; undefined where one of them was not measured. */
export function aim(
  name: string,
  value: number | undefined,
  against: number | undefined,
  bound: { readonly atLeast: number } | { readonly atMost: number },
): Row | undefined {
  if (value === undefined || against === undefined) return undefined;
  const less = "atMost" in bound;
  const target = less ? bound.atMost : bound.atLeast;
  return { name, unit: "×", value: value / against, target, better: less ? "less" : "more", notes: {} };
}
