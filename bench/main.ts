/** `pnpm bench NAME [--json] [--only TEXT]`: runs one benchmark and prints its rows, as a table or as one JSON document. */
import { parseArgs } from "node:util";
import { describeMachine } from "./machine.ts";
import type { Bench } from "./row.ts";
import { formatTable, toResults } from "./table.ts";

const benches: ReadonlyMap<string, () => Promise<Bench>> = new Map([
  ["call", async () => (await import("./call.ts")).callBench],
  ["catalogue", async () => (await import("./catalogue.ts")).catalogueBench],
  ["mcp", async () => (await import("./mcp.ts")).mcpBench],
  ["path", async () => (await import("./path.ts")).pathBench],
  ["relay", async () => (await import("./relay.ts")).relayBench],
  ["session", async () => (await import("./session.ts")).sessionBench],
  ["up", async () => (await import("./up.ts")).upBench],
]);

const { values, open } = readArguments();

// With --json the document has standard output to itself.
const say = values.json ? console.error : console.log;
const bench = await open();
say(describeMachine());
say(bench.about);
const rows = await bench.run({ only: values.only, progress: (text) => console.error(text) });
if (rows.length === 0) endWithUsage();
console.log(values.json ? JSON.stringify(toResults(rows), undefined, 2) : formatTable(rows));

function readArguments() {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: { json: { type: "boolean", default: false }, only: { type: "string" } },
    });
    const open = positionals.length === 1 ? benches.get(positionals[0]!) : undefined;
    return open ? { values, open } : endWithUsage();
  } catch {
    return endWithUsage();
  }
}

function endWithUsage(): never {
  console.error(`usage: pnpm bench ${[...benches.keys()].join("|")} [--json] [--only TEXT in the name of a row]`);
  process.exit(2);
}
