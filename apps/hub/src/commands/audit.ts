/** `fed audit`: verify the log, look at its end, take it along. The log is read from disk, whether or not the hub runs. */
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { AuditEntry } from "@fed/hub";
import type { Command } from "commander";
import { onHub, request } from "../hub-client.js";
import type { Globals } from "../main.js";
import { CliError, print } from "../output.js";

/** Adds the commands. */
export function addAuditCommands(program: Command, globals: () => Globals): void {
  const audit = program.command("audit").description("the hub's tamper-evident record of what it allowed and refused");

  audit
    .command("verify")
    .description("check every record from the first; exit status 1 if anything was changed")
    .option("--log <directory>", "a copy of the log; default this hub's own")
    .action(async ({ log }: { log?: string }) => {
      const { dir, json } = globals();
      const { verifyAuditDirectory } = await import("@fed/hub");
      const place = await openLog(dir, log);
      const { records, head, tornBytes } = await verifyAuditDirectory(place.log, place.key, place.expectedHead);
      print(json, { log: place.log, records, head: head.seq, tornBytes }, (found) => [
        `${found.records} ${found.records === 1 ? "record" : "records"}, every one as it was written.`,
        ...(tornBytes > 0 ? [`${tornBytes} bytes after them are of a write that did not finish.`] : []),
      ]);
    });

  audit
    .command("tail")
    .description("the newest records")
    .option("--count <n>", "how many", "20")
    .action(async ({ count }: { count: string }) => {
      const { dir, json } = globals();
      const n = Number(count);
      if (!Number.isInteger(n) || n < 1 || n > 1000)
        throw new CliError({
          code: "USAGE",
          message: "--count is 1 to 1000.",
          hint: "All records: `fed audit export`.",
        });
      const entries = await onHub(
        dir,
        (run) => request<AuditEntry[]>(run, "GET", `/audit?count=${n}`),
        (hub) => hub.audit.tail(n),
      );
      print(json, entries, (all) => all.map(showEntry));
    });

  audit
    .command("export")
    .description("all records, each verified, as one JSON document a line; with --json as one array")
    .option("--log <directory>", "a copy of the log; default this hub's own")
    .action(async ({ log }: { log?: string }) => {
      const { dir, json } = globals();
      const { readAuditDirectory } = await import("@fed/hub");
      const place = await openLog(dir, log);
      const entries = readAuditDirectory(place.log, place.key, place.expectedHead);
      await pipeline(Readable.from(json ? asArray(entries) : asLines(entries)), process.stdout, { end: false });
    });
}

/**
 * Where the log is, with the key it is verified by and the newest head the hub wrote down: a log that ends before that
 * is cut short.
 */
async function openLog(dir: string, copy: string | undefined) {
  const { HubError, openSqliteStore, openStateDirectory, readHead } = await import("@fed/hub");
  const directory = openStateDirectory(dir);
  const key = directory.readSecret("audit");
  if (!key)
    throw new HubError({
      code: "STATE_CORRUPT",
      message: `The audit key of the hub in ${dir} is missing.`,
      hint: "Without it nothing can be verified: restore the state directory from a backup.",
    });
  const log = copy === undefined ? directory.file("audit") : resolve(copy);
  if (!existsSync(log))
    throw new CliError({
      code: "USAGE",
      message: `There is no log in ${log}.`,
      hint: "Name a directory with the segments of a log.",
    });
  await using store = openSqliteStore(directory.file("hub.sqlite"));
  return { log, key, expectedHead: await readHead(store) };
}

async function* asLines(entries: AsyncIterable<AuditEntry>): AsyncGenerator<string> {
  for await (const entry of entries) yield `${JSON.stringify(entry)}\n`;
}

async function* asArray(entries: AsyncIterable<AuditEntry>): AsyncGenerator<string> {
  let before = "[\n";
  for await (const entry of entries) {
    yield `${before}${JSON.stringify(entry)}`;
    before = ",\n";
  }
  yield before === "[\n" ? "[]\n" : "\n]\n";
}

function showEntry({ seq, record }: AuditEntry): string {
  const { atMs, type, ...facts } = record as { atMs?: number; type?: string };
  const shown = Object.entries(facts).map(
    ([key, value]) => `${key}=${typeof value === "string" ? value : JSON.stringify(value)}`,
  );
  return `${String(seq).padStart(6)}  ${atMs === undefined ? "-" : new Date(atMs).toISOString()}  ${type ?? "-"}  ${shown.join(" ")}`;
}
