/** The Store contract on IndexedDB. A key is its parts: arrays of strings are keys of IndexedDB, too. */
import {
  checkStoreKey,
  checkStorePrefix,
  checkStoreValue,
  compareStoreKeys,
  equalBytes,
  type Store,
  type StoreEntry,
  StoreError,
  type StoreKey,
} from "@fed/core";
import type { PageDatabase } from "./page-database.js";

/** The documents in `database`, which stays open when the store is closed. */
export function createIndexedDbStore(database: PageDatabase): Store {
  let closed = false;

  const run = <T>(
    mode: IDBTransactionMode,
    work: (objects: IDBObjectStore, give: (value: T) => void) => void,
  ): Promise<T> => {
    if (closed) throw new StoreError({ code: "STORE_CLOSED", message: "The store is closed." });
    return database.transact("entries", mode, storeError, work);
  };
  const close = async () => {
    closed = true;
  };

  return {
    async get(key) {
      checkStoreKey(key);
      return run<Uint8Array | undefined>("readonly", (objects, give) => {
        const request = objects.get([...key]);
        request.onsuccess = () => give(request.result);
      });
    },
    async set(key, value) {
      checkStoreKey(key);
      checkStoreValue(value);
      return run("readwrite", (objects) => void objects.put(value.slice(), [...key]));
    },
    async delete(key) {
      checkStoreKey(key);
      return run("readwrite", (objects) => void objects.delete([...key]));
    },
    async compareAndSet(key, expected, next) {
      checkStoreKey(key);
      if (next) checkStoreValue(next);
      const [before, after] = [expected?.slice(), next?.slice()];
      return run<boolean>("readwrite", (objects, give) => {
        const request = objects.get([...key]) as IDBRequest<Uint8Array | undefined>;
        request.onsuccess = () => {
          const { result } = request;
          const matches = before && result ? equalBytes(before, result) : before === result;
          if (matches && after) objects.put(after, [...key]);
          else if (matches) objects.delete([...key]);
          give(matches);
        };
      });
    },
    async list(prefix) {
      checkStorePrefix(prefix);
      // An array comes after every string.
      const range = IDBKeyRange.bound([...prefix], [...prefix, []], false, true);
      const entries = await run<StoreEntry[]>("readonly", (objects, give) => {
        const keys = objects.getAllKeys(range) as IDBRequest<IDBValidKey[]>;
        const values = objects.getAll(range) as IDBRequest<Uint8Array[]>;
        values.onsuccess = () =>
          give(values.result.map((value, index) => ({ key: keys.result[index] as unknown as StoreKey, value })));
      });
      // IndexedDB orders by UTF-16 code units.
      return entries.sort((a, b) => compareStoreKeys(a.key, b.key));
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

function storeError(cause: DOMException): StoreError {
  if (cause.name === "QuotaExceededError") {
    return new StoreError({
      code: "STORE_FULL",
      message: "The browser gives this origin no more room.",
      hint: "Free disk space; nothing stored was lost.",
      retryable: true,
      cause,
    });
  }
  if (cause.name === "InvalidStateError") {
    return new StoreError({ code: "STORE_CLOSED", message: "The browser has closed the database.", cause });
  }
  return new StoreError({
    code: "STORE_READ_ONLY",
    message: `The browser's database cannot be used: ${cause.message || cause.name}`,
    hint: "Reload the page; check that the browser may keep data of this site.",
    cause,
  });
}
