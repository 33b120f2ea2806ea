/** The operator's own traffic capture: every byte that crosses the relay, as it crosses. */
import { closeSync, openSync, writeSync } from "node:fs";
import { RelayHostError } from "./errors.js";

/** An open capture. */
export interface CaptureFile {
  readonly write: (direction: "in" | "out", bytes: Uint8Array) => void;
  close(): void;
}

/**
 * Appends to `path`: per message one direction byte (`>` in, `<` out), the length as u32 big-endian, the bytes.
 * The relay outlives its capture: the first failed write goes to `onError`, and nothing more is written.
 * @throws {RelayHostError} CAPTURE_FAILED when the file cannot be opened.
 */
export function openCaptureFile(path: string, onError: (error: RelayHostError) => void): CaptureFile {
  const fail = (cause: unknown) => {
    return new RelayHostError({
      code: "CAPTURE_FAILED",
      message: `The capture file ${path} cannot be written.`,
      cause,
    });
  };
  let file: number;
  let failed = false;
  try {
    file = openSync(path, "a", 0o600);
  } catch (cause) {
    throw fail(cause);
  }
  return {
    write(direction, bytes) {
      if (failed) return;
      const header = new Uint8Array(5);
      header[0] = direction === "in" ? 0x3e : 0x3c;
      new DataView(header.buffer).setUint32(1, bytes.length);
      try {
        writeSync(file, header);
        writeSync(file, bytes);
      } catch (cause) {
        failed = true;
        onError(fail(cause));
      }
    },
    close: () => closeSync(file),
  };
}
