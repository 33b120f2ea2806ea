/** The store contract in memory, with faults on demand. Nothing outlives the process. */
import { equalBytes } from "../bytes.js";
import type { FedError } from "../errors.js";
import {
  checkStoreKey,
  checkStorePrefix,
  checkStoreValue,
  compareStoreKeys,
  type Store,
  type StoreEntry,
  StoreError,
  type StoreKey,
} from "../store.js";

/** What a store is about to do. */
export interface StoreOperation {
  readonly kind: "get" | "set" | "delete" | "compareAndSet" | "list";
  /** For `list` the prefix. */
  readonly key: StoreKey;
}

/** How an operation fails: with `error`, having happened nonetheless or not. */
export interface StoreFault {
  readonly error: FedError;
  readonly applied: boolean;
}

/** Options of {@link createMemoryStore}. */
export interface MemoryStoreOptions {
  /** Asked once for each operation with valid arguments; undefined lets it succeed. */
  readonly fault?: (operation: StoreOperation) => StoreFault | undefined;
}

/** An empty store. */
export function createMemoryStore(options: MemoryStoreOptions = {}): Store {
  const entries = new Map<string, StoreEntry>();
  let closed = false;

  /** Runs `operate` in one piece, so that nothing comes between its reads and its writes. */
  async function run<T>(operation: StoreOperation, operate: () => T): Promise<T> {
    if (operation.kind === "list") checkStorePrefix(operation.key);
    else checkStoreKey(operation.key);
    if (closed) throw new StoreError({ code: "STORE_CLOSED", message: "The store is closed." });
    const fault = options.fault?.(operation);
    if (!fault) return operate();
    if (fault.applied) operate();
    throw fault.error;
  }

  function put(key: StoreKey, value: Uint8Array | undefined): void {
    if (value) entries.set(JSON.stringify(key), { key: [...key], value: value.slice() });
    else entries.delete(JSON.stringify(key));
  }

  const close = async () => {
    closed = true;
  };

  return {
    get: (key) => run({ kind: "get", key }, () => entries.get(JSON.stringify(key))?.value.slice()),
    set: (key, value) =>
      run({ kind: "set", key }, () => {
        checkStoreValue(value);
        put(key, value);
      }),
    delete: (key) => run({ kind: "delete", key }, () => put(key, undefined)),
    compareAndSet: (key, expected, next) =>
      run({ kind: "compareAndSet", key }, () => {
        if (next) checkStoreValue(next);
        const current = entries.get(JSON.stringify(key))?.value;
        const matches = current && expected ? equalBytes(current, expected) : current === expected;
        if (matches) put(key, next);
        return matches;
      }),
    list: (prefix) =>
      run({ kind: "list", key: prefix }, () =>
        [...entries.values()]
          .filter(({ key }) => prefix.every((part, i) => key[i] === part))
          .sort((a, b) => compareStoreKeys(a.key, b.key))
          .map(({ key, value }) => ({ key: [...key], value: value.slice() })),
      ),
    close,
    [Symbol.asyncDispose]: close,
  };
}
