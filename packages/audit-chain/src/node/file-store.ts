/** Segments as files of one directory: durable by O_DSYNC or fdatasync, readable by their owner alone. */
import { constants } from "node:fs";
import { mkdir, open, readdir } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { AuditError, type AuditErrorCode } from "../errors.js";
import { parseSegmentName, type SegmentStore } from "../segment.js";
import { endOfData, SegmentFile } from "./segment-file.js";

/** Where a write can itself be what `fdatasync` is, one trip to the disk does for two. macOS means less by this flag. */
const writesThrough = process.platform === "linux";
const appendFlags = constants.O_RDWR | constants.O_CREAT | (writesThrough ? constants.O_DSYNC : 0);

/**
 * The store in `directory`, which is created with mode 0700 when a log is opened in it. The file `lock` in it is
 * held by the operating system for as long as the writer lives, so a killed process leaves no lock behind. The directory
 * must be on a local disk.
 */
export function createFileSegmentStore(directory: string): SegmentStore {
  /** The one segment that is open for appending, and whether its name is known to be durable. */
  let current: { readonly name: string; readonly file: SegmentFile; readonly named: boolean } | undefined;

  async function openCurrent(name: string): Promise<SegmentFile> {
    if (current?.name === name) return current.file;
    await closeCurrent();
    const handle = await open(join(directory, name), appendFlags, 0o600);
    try {
      const file = await SegmentFile.open(handle);
      current = { name, file, named: false };
      return file;
    } catch (cause) {
      await handle.close();
      throw cause;
    }
  }

  /** A file on which something failed is given up: what it would do next is not known. */
  async function onCurrent(name: string, operation: (file: SegmentFile) => Promise<void>): Promise<void> {
    const file = await openCurrent(name);
    try {
      await operation(file);
    } catch (cause) {
      current = undefined;
      await file.abandon().catch(() => {});
      throw cause;
    }
  }

  async function closeCurrent(): Promise<void> {
    const closing = current;
    current = undefined;
    await closing?.file.close();
  }

  return {
    list: () =>
      io(async () => {
        const names = await readdir(directory).catch((cause: unknown) => {
          if (errnoOf(cause) === "ENOENT") return [];
          throw cause;
        });
        return names.filter((name) => parseSegmentName(name) !== undefined).sort();
      }),

    read: (name, offset, maxBytes) =>
      io(async () => {
        await using file = await open(join(directory, name), constants.O_RDONLY);
        const { size } = await file.stat();
        const bytes = new Uint8Array(Math.max(0, Math.min(maxBytes, (await endOfData(file, size)) - offset)));
        const { bytesRead } = await file.read(bytes, 0, bytes.length, offset);
        return bytes.subarray(0, bytesRead);
      }),

    gather: () => new Promise((resolve) => setImmediate(resolve)),

    append: (name, bytes) => io(() => onCurrent(name, (file) => file.append(bytes))),

    sync: (name) =>
      io(() =>
        onCurrent(name, async (file) => {
          if (!writesThrough) await file.sync();
          if (current?.named) return;
          await syncDirectory(directory);
          current = { name, file, named: true };
        }),
      ),

    truncate: (name, length) =>
      io(async () => {
        await closeCurrent();
        await using file = await open(join(directory, name), constants.O_RDWR);
        await file.truncate(length);
        await file.sync();
      }),

    lock: () =>
      io(async () => {
        await createDirectory(resolve(directory));
        const held = lockFile(join(directory, "lock"));
        return {
          async [Symbol.asyncDispose]() {
            try {
              await closeCurrent();
            } finally {
              held.close();
            }
          },
        };
      }),
  };
}

/**
 * Takes the operating system's lock on a file, which Node itself has no call for: SQLite's exclusive transaction holds
 * one, on every platform, until it is closed or the process is gone.
 */
function lockFile(path: string): DatabaseSync {
  const database = new DatabaseSync(path, { timeout: 0 });
  try {
    database.exec("PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE");
    return database;
  } catch (cause) {
    database.close();
    if ((cause as { errcode?: unknown }).errcode !== sqliteBusy) throw cause;
    throw new AuditError({
      code: "AUDIT_LOCKED",
      message: "Another writer has this audit log open.",
      hint: "Stop the other process, or give this one a directory of its own.",
      cause,
    });
  }
}

const sqliteBusy = 5;

/** Creates `directory` and whatever it stands in, durably. */
async function createDirectory(directory: string): Promise<void> {
  const topmost = await mkdir(directory, { recursive: true, mode: 0o700 });
  if (topmost === undefined) return;
  for (let path = directory; path.length >= topmost.length; path = dirname(path)) await syncDirectory(dirname(path));
}

/** Makes the names of new files in it durable. Windows cannot open a directory for this and does not need it. */
async function syncDirectory(directory: string): Promise<void> {
  if (process.platform === "win32") return;
  await using handle = await open(directory, constants.O_RDONLY);
  await handle.sync();
}

const codeOfErrno: Readonly<Record<string, AuditErrorCode>> = {
  ENOSPC: "AUDIT_FULL",
  EDQUOT: "AUDIT_FULL",
  EFBIG: "AUDIT_FULL",
  EROFS: "AUDIT_READ_ONLY",
  EACCES: "AUDIT_READ_ONLY",
  EPERM: "AUDIT_READ_ONLY",
};

const words: Readonly<Record<string, { readonly message: string; readonly hint: string }>> = {
  AUDIT_FULL: { message: "There is no room for the audit log.", hint: "Free some space; the log goes on by itself." },
  AUDIT_READ_ONLY: {
    message: "The audit log cannot be written.",
    hint: "Make its directory writable for this user; the log goes on by itself.",
  },
  AUDIT_FAILED: { message: "The disk refused the audit log.", hint: "Look at the cause and at the disk's health." },
};

async function io<T>(operation: () => Promise<T>): Promise<T> {
  try {
    return await operation();
  } catch (cause) {
    if (cause instanceof AuditError) throw cause;
    const code = codeOfErrno[errnoOf(cause) ?? ""] ?? "AUDIT_FAILED";
    throw new AuditError({ code, ...words[code]!, retryable: true, cause });
  }
}

function errnoOf(cause: unknown): string | undefined {
  return (cause as { code?: string } | undefined)?.code;
}
