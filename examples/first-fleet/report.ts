/** What a person sees: each step as it happens, and a table at the end. */
import { styleText } from "node:util";

/** One line of the summary. */
interface Row {
  readonly asked: string;
  readonly path: string;
  readonly latency: string;
  readonly verdict: string;
}

const rows: Row[] = [];
const startedAt = performance.now();

/** A headline. */
export function chapter(text: string): void {
  console.log(`\n${styleText("bold", text)}`);
}

/** One line of what is going on. */
export function say(text: string): void {
  console.log(`  ${text}`);
}

/** Replaces the current line on a terminal; elsewhere it is one line per call. */
export function tick(text: string): void {
  if (process.stdout.isTTY) process.stdout.write(`\r\u001b[2K  ${text}`);
  else console.log(`  ${text}`);
}

/** Ends what {@link tick} wrote. */
export function ticked(): void {
  if (process.stdout.isTTY) process.stdout.write("\n");
}

/** Something that held, with how long it took. */
export function held(asked: string, path: string, ms: number | undefined, verdict: string): void {
  rows.push({ asked, path, latency: ms === undefined ? "" : `${ms < 10 ? ms.toFixed(1) : ms.toFixed(0)} ms`, verdict });
  console.log(
    `  ${styleText("green", "✔")} ${asked}${ms === undefined ? "" : styleText("dim", ` ${rows.at(-1)!.latency}`)} — ${verdict}`,
  );
}

/** The table of everything that held. */
export function summary(): void {
  const heading: Row = { asked: "WHAT WAS ASKED", path: "PATH", latency: "LATENCY", verdict: "VERDICT" };
  const columns = ["asked", "path", "latency", "verdict"] as const;
  const widths = columns.map((column) => Math.max(...[heading, ...rows].map((row) => row[column].length)));
  chapter(`All ${rows.length} things held, in ${((performance.now() - startedAt) / 1000).toFixed(1)} s`);
  for (const row of [heading, ...rows])
    console.log(
      `  ${columns
        .map((column, i) => row[column].padEnd(widths[i]!))
        .join("  ")
        .trimEnd()}`,
    );
}

/** Ends the demo with a failure unless `holds`. */
export function must(holds: boolean, what: string): asserts holds {
  if (!holds) throw new Error(`This did not hold: ${what}`);
}
