/** What the CLI reads to find the running hub; mode 0600, gone when the hub has stopped. */
import { rmSync, writeFileSync } from "node:fs";
import type { StateDirectory } from "./state-directory.js";

/** See the module header. */
export interface RunFile {
  readonly url: string;
  readonly pid: number;
  /** An operator token with scope Admin, good for this run. */
  readonly token: string;
}

const name = "run.json";

/** Writes it for this process. */
export function writeRunFile(directory: StateDirectory, run: Omit<RunFile, "pid">): void {
  writeFileSync(directory.file(name), JSON.stringify({ ...run, pid: process.pid }), { mode: 0o600 });
}

/** Idempotent. */
export function removeRunFile(directory: StateDirectory): void {
  rmSync(directory.file(name), { force: true });
}
