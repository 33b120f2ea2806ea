/** `fed revoke` and `fed revocations`. */
import type { RevocationReport } from "@fed/hub";
import type { Command } from "commander";
import { onHub, request } from "../hub-client.js";
import type { Globals } from "../main.js";
import { CliError, print, table } from "../output.js";

interface Entry {
  readonly kind: string;
  readonly id: string;
  readonly reason: string;
  readonly at: number;
}

/** Adds the commands. */
export function addRevocationCommands(program: Command, globals: () => Globals): void {
  program
    .command("revoke <target>")
    .description("cut off for ever: hub:NAME, leaf:SERIAL, operator:P or token:ID")
    .requiredOption("--reason <text>", "why; goes into the list that every member holds")
    .action(async (text: string, { reason }: { reason: string }) => {
      const { dir, json } = globals();
      const [, kind, id] = /^(hub|leaf|spki|operator|link|token|grant):(.+)$/.exec(text) ?? [];
      if (!kind || !id)
        throw new CliError({
          code: "USAGE",
          message: `${text} cannot be revoked.`,
          hint: "Name hub:NAME, leaf:SERIAL, operator:P or token:ID.",
        });
      const target = { kind: kind as "hub", id };
      const report = await onHub(
        dir,
        (run) => request<RevocationReport>(run, "POST", "/revocations", { ...target, reason }),
        (hub) => hub.cluster.revoke(target, reason),
      );
      print(json, report, showReport);
    });

  program
    .command("revocations")
    .description("who is out, since when, and why")
    .action(async () => {
      const { dir, json } = globals();
      const list = await onHub(
        dir,
        (run) => request<{ number: number; entries: readonly Entry[] }>(run, "GET", "/revocations"),
        async (hub) => hub.cluster.revocations() ?? { number: 0, entries: [] },
      );
      print(json, list, ({ number, entries }) =>
        number === 0
          ? "Nothing is revoked."
          : table([
              ["SINCE", "WHAT", "REASON"],
              ...entries.map(({ kind, id, reason, at }) => [
                new Date(at * 1000).toISOString(),
                `${kind}:${id}`,
                reason,
              ]),
            ]),
      );
    });
}

function showReport({ entry, number, hereMs, heldBy, notReached }: RevocationReport): string[] {
  return [
    `${entry.kind} ${entry.id} is revoked; the list has ${number} ${number === 1 ? "entry" : "entries"}.`,
    `here: in force and sessions cut after ${hereMs.toFixed(0)} ms`,
    ...heldBy.map(({ name, afterMs }) => `${name}: holds it after ${afterMs.toFixed(0)} ms`),
    ...notReached.map(({ name }) => `${name}: not reached; it takes the list over at its next session`),
  ];
}
