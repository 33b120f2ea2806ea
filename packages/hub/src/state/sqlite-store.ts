/** The Store contract on `node:sqlite`, in WAL mode with full synchronisation: what a promise resolved for survives power loss. */
import { chmodSync, statfsSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync, type StatementSync } from "node:sqlite";
import {
  checkStoreKey,
  checkStorePrefix,
  checkStoreValue,
  type Store,
  type StoreEntry,
  StoreError,
  type StoreKey,
} from "@fed/core";

/**
 * Opens or creates the database file at `path` (mode 0600).
 * @throws {StoreError} STORE_READ_ONLY, STORE_FULL, STORE_CORRUPT.
 */
export function openSqliteStore(path: string): Store {
  let database: DatabaseSync | undefined;
  const guarded = <T>(work: (db: DatabaseSync) => T): T => {
    if (!database) throw new StoreError({ code: "STORE_CLOSED", message: "The store is closed." });
    try {
      return work(database);
    } catch (cause) {
      throw storeError(cause, path);
    }
  };
  try {
    database = new DatabaseSync(path);
    chmodSync(path, 0o600);
    database.exec("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA busy_timeout=2000;");
    database.exec(
      "CREATE TABLE IF NOT EXISTS entry (key BLOB PRIMARY KEY, parts TEXT NOT NULL, value BLOB NOT NULL) WITHOUT ROWID;",
    );
  } catch (cause) {
    database?.close();
    throw storeError(cause, path);
  }
  const statement = (sql: string): StatementSync => guarded((db) => db.prepare(sql));
  const select = statement("SELECT value FROM entry WHERE key = ?");
  const upsert = statement(
    "INSERT INTO entry (key, parts, value) VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
  );
  const insert = statement("INSERT INTO entry (key, parts, value) VALUES (?, ?, ?) ON CONFLICT (key) DO NOTHING");
  const update = statement("UPDATE entry SET value = ? WHERE key = ? AND value = ?");
  const remove = statement("DELETE FROM entry WHERE key = ?");
  const removeIf = statement("DELETE FROM entry WHERE key = ? AND value = ?");
  const range = statement("SELECT parts, value FROM entry WHERE key >= ? AND key < ? ORDER BY key");

  return {
    async get(key) {
      checkStoreKey(key);
      const row = guarded(() => select.get(encodeKey(key)));
      return row ? copy(row.value) : undefined;
    },
    async set(key, value) {
      checkStoreKey(key);
      checkStoreValue(value);
      guarded(() => upsert.run(encodeKey(key), JSON.stringify(key), value));
    },
    async delete(key) {
      checkStoreKey(key);
      guarded(() => remove.run(encodeKey(key)));
    },
    async compareAndSet(key, expected, next) {
      checkStoreKey(key);
      const at = encodeKey(key);
      if (next) checkStoreValue(next);
      const { changes } = guarded(() => {
        if (expected === undefined) {
          if (next) return insert.run(at, JSON.stringify(key), next);
          return { changes: select.get(at) ? 0 : 1 };
        }
        return next ? update.run(next, at, expected) : removeIf.run(at, expected);
      });
      return Number(changes) === 1;
    },
    async list(prefix) {
      checkStorePrefix(prefix);
      const from = encodeKey(prefix);
      const rows = guarded(() => range.all(from, Buffer.concat([from, Buffer.from([0xff])])));
      return rows.map(
        (row): StoreEntry => ({ key: JSON.parse(row.parts as string) as StoreKey, value: copy(row.value) }),
      );
    },
    async close() {
      database?.close();
      database = undefined;
    },
    [Symbol.asyncDispose]() {
      return this.close();
    },
  };
}

/** Order-preserving and prefix-free: UTF-8 of each part with 0 escaped as 0 254, ended by 0 1; so parts never run together. */
function encodeKey(key: StoreKey): Buffer {
  const pieces: number[] = [];
  for (const part of key) {
    for (const byte of Buffer.from(part, "utf8")) {
      pieces.push(byte);
      if (byte === 0) pieces.push(254);
    }
    pieces.push(0, 1);
  }
  return Buffer.from(pieces);
}

function copy(value: unknown): Uint8Array {
  return Uint8Array.from(value as Uint8Array);
}

/** SQLite result codes, https://sqlite.org/rescode.html; the low byte is the primary code. */
const SQLITE_IOERR = 10;
const SQLITE_CORRUPT = 11;
const SQLITE_FULL = 13;
const SQLITE_NOTADB = 26;

function storeError(cause: unknown, path: string): StoreError {
  if (cause instanceof StoreError) return cause;
  const { errcode = 0, code, message } = cause as { errcode?: number; code?: string; message?: string };
  const primary = errcode & 0xff;
  const full = primary === SQLITE_FULL || (primary === SQLITE_IOERR && hasNoSpace(path));
  if (full || code === "ENOSPC" || code === "EDQUOT") {
    return new StoreError({
      code: "STORE_FULL",
      message: `There is no space left for ${path}.`,
      hint: "Free disk space; nothing stored was lost.",
      retryable: true,
      cause,
    });
  }
  if (primary === SQLITE_CORRUPT || primary === SQLITE_NOTADB) {
    return new StoreError({
      code: "STORE_CORRUPT",
      message: `${path} is damaged.`,
      hint: "Restore the state directory from a backup.",
      cause,
    });
  }
  return new StoreError({
    code: "STORE_READ_ONLY",
    message: `${path} cannot be written: ${message ?? "for no stated reason"}`,
    hint: "Check the owner and mode of the state directory, and that its disk is writable and not full.",
    cause,
  });
}

/** SQLite says no more than "disk I/O error" where it cannot make room for the index of its write-ahead log. */
function hasNoSpace(path: string): boolean {
  try {
    return statfsSync(dirname(path)).bavail === 0;
  } catch {
    return false;
  }
}
