/** `fed audit`: verify the log, look at its end, take it along. The log can be verified while the hub runs. */
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { type AuditEntry, openSqliteStore, openStateDirectory, readHead, verifyAuditDirectory } from "@fed/hub";
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
      const directory = openStateDirectory(dir);
      const key = directory.readSecret("audit");
      if (!key)
        throw new CliError({
          code: "VERIFY_FAILED",
          message: `The audit key of the hub in ${dir} is missing.`,
          hint: "Without it nothing can be verified.",
        });
      const own = directory.file("audit");
      const target = log === undefined ? own : resolve(log);
      if (!existsSync(target)) throw new CliError({ code: "USAGE", message: `There is no log in ${target}.` });
      const { records, head, tornBytes } = await verifyAuditDirectory(
        target,
        key,
        await expectedHead(directory.file("hub.sqlite")),
      );
      print(json, { log: target, records, head: head.seq, tornBytes }, (found) => [
        `${found.records} records, every one as it was written.`,
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
        throw new CliError({ code: "USAGE", message: "--count is 1 to 1000." });
      const entries = await onHub(
        dir,
        (run) => request<AuditEntry[]>(run, "GET", `/audit?count=${n}`),
        (hub) => hub.audit.tail(n),
      );
      print(json, entries, (all) => all.map(showEntry));
    });

  audit
    .command("export")
    .description("all records, one JSON document a line")
    .action(async () => {
      const { dir } = globals();
      const entries = await onHub(
        dir,
        (run) => request<AuditEntry[]>(run, "GET", "/audit?count=1000"),
        (hub) => hub.audit.tail(1_000_000),
      );
      for (const { seq, record } of entries) process.stdout.write(`${JSON.stringify({ seq, ...record })}\n`);
    });
}

/** The newest head the hub wrote down: a copy older than that is cut short. */
async function expectedHead(database: string): Promise<Awaited<ReturnType<typeof readHead>>> {
  await using store = openSqliteStore(database);
  return await readHead(store);
}

function showEntry({ seq, record }: AuditEntry): string {
  const { atMs, type, ...facts } = record as { atMs?: number; type?: string };
  const shown = Object.entries(facts).map(
    ([key, value]) => `${key}=${typeof value === "string" ? value : JSON.stringify(value)}`,
  );
  return `${String(seq).padStart(6)}  ${atMs === undefined ? "-" : new Date(atMs).toISOString()}  ${type ?? "-"}  ${shown.join(" ")}`;
}
