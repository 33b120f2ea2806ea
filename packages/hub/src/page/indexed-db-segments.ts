/** The segments of an audit log in IndexedDB: pieces under `[segment, offset]`, one for each append. */
import { AuditError, type SegmentStore } from "@fed/audit-chain";
import { concatBytes } from "@fed/core";
import type { PageDatabase } from "./page-database.js";

/** The pieces of one segment, from `offset` up. */
const from = (name: string, offset = 0) => IDBKeyRange.bound([name, offset], [name, []], false, true);

/** The segments in `database`. It has one user already, so its lock only guards against a second log of the same page. */
export function createIndexedDbSegmentStore(database: PageDatabase): SegmentStore {
  let locked = false;

  const run = <T>(
    mode: IDBTransactionMode,
    work: (objects: IDBObjectStore, give: (value: T) => void) => void,
  ): Promise<T> => database.transact("segments", mode, auditError, work);

  return {
    list: () =>
      run<string[]>("readonly", (objects, give) => {
        const names: string[] = [];
        const request = objects.openKeyCursor();
        request.onsuccess = () => {
          const cursor = request.result;
          if (!cursor) return give(names);
          const [name] = cursor.key as [string, number];
          names.push(name);
          cursor.continue([name, []]);
        };
      }),

    async read(name, offset, maxBytes) {
      const { start, pieces } = await run<{ start: number | undefined; pieces: Uint8Array[] }>(
        "readonly",
        (objects, give) => {
          give({ start: undefined, pieces: [] });
          const first = objects.openKeyCursor(IDBKeyRange.bound([name], [name, offset]), "prev");
          first.onsuccess = () => {
            if (!first.result) return;
            const [, start] = first.result.key as [string, number];
            const range = IDBKeyRange.bound([name, start], [name, offset + Math.max(maxBytes, 1)], false, true);
            const rest = objects.getAll(range) as IDBRequest<Uint8Array[]>;
            rest.onsuccess = () => give({ start, pieces: rest.result });
          };
        },
      );
      if (start === undefined) throw new AuditError({ code: "AUDIT_FAILED", message: `There is no segment ${name}.` });
      return concatBytes(...pieces).slice(offset - start, offset - start + maxBytes);
    },

    append(name, bytes) {
      const piece = bytes.slice();
      return run("readwrite", (objects) => {
        const last = objects.openCursor(from(name), "prev");
        last.onsuccess = () => void objects.put(piece, [name, endOf(last.result)]);
      });
    },

    // A transaction that is over is on the disk.
    async sync() {},

    truncate: (name, length) =>
      run("readwrite", (objects) => {
        objects.delete(from(name, length));
        const last = objects.openCursor(from(name), "prev");
        last.onsuccess = () => {
          const cursor = last.result;
          // A segment of no bytes is one nevertheless.
          if (!cursor) return void objects.put(new Uint8Array(), [name, 0]);
          const [, start] = cursor.key as [string, number];
          const piece = cursor.value as Uint8Array;
          if (start + piece.length > length) cursor.update(piece.slice(0, length - start));
        };
      }),

    async lock() {
      if (locked) throw new AuditError({ code: "AUDIT_LOCKED", message: "This page is writing the log already." });
      locked = true;
      return {
        async [Symbol.asyncDispose]() {
          locked = false;
        },
      };
    },
  };
}

/** Where the piece under `cursor` ends. */
function endOf(cursor: IDBCursorWithValue | null): number {
  return cursor ? (cursor.key as [string, number])[1] + (cursor.value as Uint8Array).length : 0;
}

function auditError(cause: DOMException): AuditError {
  const full = cause.name === "QuotaExceededError";
  return new AuditError({
    code: full ? "AUDIT_FULL" : "AUDIT_FAILED",
    message: full
      ? "The browser gives this origin no more room."
      : `The browser's database cannot be used: ${cause.message || cause.name}`,
    hint: full ? "Free disk space." : "Reload the page; check that the browser may keep data of this site.",
    cause,
  });
}
