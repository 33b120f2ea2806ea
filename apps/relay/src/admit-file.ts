/** A file of admission keys, one per line, re-read when it changes. */
import { readFileSync, statSync, unwatchFile, watchFile } from "node:fs";
import { parseAdmissionKey } from "@fed/transport-relay";
import { RelayHostError } from "./errors.js";

const maxFileBytes = 65_536;
const pollMs = 1_000;

/** The keys in a file, and a way to hear that they changed. */
export interface AdmitFile {
  readonly keys: readonly string[];
  close(): void;
}

/**
 * Reads `path` now and whenever it changes; empty lines and lines that start with `#` are skipped. A change that cannot be
 * read keeps nobody new out or in: the keys stay what they were and `onChange` gets the error.
 * @throws {RelayHostError} ADMIT_FILE_UNREADABLE, {RelayError} KEY_INVALID at the first reading.
 */
export function openAdmitFile(path: string, onChange: (error: unknown) => void): AdmitFile {
  let keys = readKeys(path);
  // Polling also notices a file that was replaced by renaming, which watching an inode does not.
  const listener = () => {
    try {
      keys = readKeys(path);
      onChange(undefined);
    } catch (error) {
      onChange(error);
    }
  };
  watchFile(path, { interval: pollMs, persistent: false }, listener);
  return {
    get keys() {
      return keys;
    },
    close: () => unwatchFile(path, listener),
  };
}

function readKeys(path: string): readonly string[] {
  let text: string;
  try {
    if (statSync(path).size > maxFileBytes) throw new RangeError("too large");
    text = readFileSync(path, "utf8");
  } catch (cause) {
    throw new RelayHostError({
      code: "ADMIT_FILE_UNREADABLE",
      message: `The file of admission keys ${path} cannot be read.`,
      hint: "It is a text file of at most 64 KiB with one fedrelay1. key per line.",
      cause,
    });
  }
  const lines = text.split("\n").map((line) => line.trim());
  const keys = lines.filter((line) => line !== "" && !line.startsWith("#"));
  for (const key of keys) parseAdmissionKey(key);
  return keys;
}
