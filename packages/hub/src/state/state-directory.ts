/** A hub's state directory: mode 0700, one running hub at a time, secrets in files of mode 0600. */
import {
  chmodSync,
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { HubError } from "../errors.js";

/** Names of the secrets a hub keeps, each its own file under `keys/`. */
export type SecretName = "leaf" | "noise" | "audit" | "ca" | "authority" | "cluster";

/** Where a hub's secrets are kept. */
export interface SecretKeeper {
  /** What messages call it. */
  readonly path: string;
  /** The secret's bytes, or undefined when there is none. */
  readSecret(name: SecretName): Uint8Array | undefined;
  /** Written whole or not at all; durable once resolved. */
  writeSecret(name: SecretName, bytes: Uint8Array): Promise<void>;
}

/** A directory this process may use; its secrets have mode 0600. */
export interface StateDirectory extends SecretKeeper {
  file(...parts: string[]): string;
  /** Holds the directory until {@link unlock} or the end of the process. @throws {HubError} STATE_LOCKED when it is held already. */
  lock(): void;
  /** Idempotent. */
  unlock(): void;
}

/**
 * Opens `path`, creating it when `create` is set.
 * @throws {HubError} STATE_MISSING, STATE_UNWRITABLE.
 */
export function openStateDirectory(path: string, options: { readonly create?: boolean } = {}): StateDirectory {
  try {
    if (options.create) mkdirSync(join(path, "keys"), { recursive: true, mode: 0o700 });
    else if (!existsSync(join(path, "keys"))) {
      throw new HubError({
        code: "STATE_MISSING",
        message: `There is no hub in ${path}.`,
        hint: "Make one with `fed init`.",
      });
    }
    if ((statSync(path).mode & 0o077) !== 0) chmodSync(path, 0o700);
  } catch (cause) {
    throw stateError(cause, path);
  }
  let lock: DatabaseSync | undefined;

  return {
    path,
    file: (...parts) => join(path, ...parts),
    readSecret(name) {
      const file = join(path, "keys", name);
      try {
        return existsSync(file) ? Uint8Array.from(readFileSync(file)) : undefined;
      } catch (cause) {
        throw stateError(cause, path);
      }
    },
    async writeSecret(name, bytes) {
      const file = join(path, "keys", name);
      try {
        writeDurably(`${file}.new`, bytes);
        renameSync(`${file}.new`, file);
      } catch (cause) {
        throw stateError(cause, path);
      }
    },
    lock() {
      lock ??= lockFile(join(path, "lock"), path);
    },
    unlock() {
      lock?.close();
      lock = undefined;
    },
  };
}

function writeDurably(file: string, bytes: Uint8Array): void {
  const descriptor = openSync(file, "w", 0o600);
  try {
    writeFileSync(descriptor, bytes);
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

/**
 * Takes the operating system's lock on a file, which Node itself has no call for: SQLite's exclusive transaction holds
 * one until it is closed or the process is gone, however it ends. A process number in a file would outlive its process.
 */
function lockFile(file: string, path: string): DatabaseSync {
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(file, { timeout: 0 });
    database.exec("PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE");
    return database;
  } catch (cause) {
    database?.close();
    if ((cause as { errcode?: unknown }).errcode !== sqliteBusy) throw stateError(cause, path);
    throw new HubError({
      code: "STATE_LOCKED",
      message: `Another process is running the hub in ${path}.`,
      hint: "Stop it first, or name another directory with --dir.",
      cause,
    });
  }
}

const sqliteBusy = 5;

function stateError(cause: unknown, path: string): HubError {
  if (cause instanceof HubError) return cause;
  const { code, message } = cause as NodeJS.ErrnoException;
  const full = code === "ENOSPC" || code === "EDQUOT";
  return new HubError({
    code: "STATE_UNWRITABLE",
    message: full ? `There is no space left for ${path}.` : `The state directory ${path} cannot be used: ${message}`,
    hint: full ? "Free disk space." : "Check its owner and mode, or name another directory with --dir.",
    retryable: full,
    cause,
  });
}
