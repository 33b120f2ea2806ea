/** How `fed` speaks: text for people or one JSON document, errors on stderr with a code and a next step. */
import { FedError, type FedErrorInit, toFedError } from "@fed/core";

/** Codes of errors that only the command line knows. */
export type CliErrorCode = "HUB_NOT_RUNNING" | "HUB_UNREACHABLE" | "OUTCOME_UNKNOWN" | "USAGE";

/** Thrown by the commands. */
export class CliError extends FedError<CliErrorCode> {
  constructor(init: FedErrorInit<CliErrorCode>) {
    super(init);
  }
}

/** Prints `value` as JSON with `--json`, else the lines that `text` makes of it. */
export function print<T>(json: boolean, value: T, text: (value: T) => string | readonly string[]): void {
  const shown = json ? JSON.stringify(value, undefined, 2) : [text(value)].flat().join("\n");
  process.stdout.write(`${shown}\n`);
}

/** Codes of what is wrong with the command line itself. */
const usageCodes = new Set(["LISTEN_ADDRESS_INVALID", "SHARE_TARGET_MALFORMED", "USAGE"]);

/** Prints `cause` on stderr and returns the exit status: 2 for wrong usage, else 1. */
export function reportError(json: boolean, cause: unknown): number {
  const error = toFedError(cause);
  const { code, message, hint, retryable } = error;
  if (json) process.stderr.write(`${JSON.stringify({ error: { code, message, hint, retryable } })}\n`);
  else process.stderr.write(`${code}: ${message}\n${hint ? `  → ${hint}\n` : ""}`);
  return usageCodes.has(code) ? 2 : 1;
}

/** `rows` in columns, the first row as the heading. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column]!))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

/** `20 s ago`, `3 min ago`. */
export function ago(thenMs: number, nowMs = Date.now()): string {
  const seconds = Math.max(0, Math.round((nowMs - thenMs) / 1000));
  if (seconds < 120) return `${seconds} s ago`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min ago`;
  return `${Math.round(seconds / 3600)} h ago`;
}

/** Milliseconds of `10m`, `30s`, `2h`, `1d`. @throws {CliError} USAGE. */
export function parseDuration(text: string): number {
  const match = /^(\d{1,6})(s|m|h|d)$/.exec(text);
  if (!match)
    throw new CliError({
      code: "USAGE",
      message: `${text} is not a duration.`,
      hint: "Write it like 30s, 10m, 2h or 1d.",
    });
  return Number(match[1]) * { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }[match[2] as "s" | "m" | "h" | "d"];
}

/** Host and port of `HOST:PORT`, `[V6]:PORT` or `PORT`. @throws {CliError} USAGE. */
export function parseListen(text: string, defaultHost: string): { host: string; port: number } {
  const match = /^(?:(?:\[([0-9a-fA-F:.]+)\]|([^:\s]+)):)?(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (!match || port > 65_535)
    throw new CliError({ code: "USAGE", message: `${text} is not HOST:PORT.`, hint: "For example 127.0.0.1:4870." });
  return { host: match[1] ?? match[2] ?? defaultHost, port };
}
