/**
 * Where a page keeps its hub: one IndexedDB database of its origin, used by one page at a time. What a promise resolved for
 * has been handed to the disk (`durability: "strict"`).
 */
import { type FedError, isFedError } from "@fed/core";
import { HubError } from "../errors.js";

/** A table: `entries` holds the hub's documents, `segments` its audit log. */
export type PageTable = "entries" | "segments";

/** An open database; nobody else uses it. */
export interface PageDatabase extends AsyncDisposable {
  readonly name: string;
  /**
   * Runs `work` in one transaction, which other transactions on the table wait for. Resolves with what `work` gave last,
   * once all of it is durable; rejects with what `toError` makes of the reason, and nothing has happened then.
   */
  transact<T>(
    table: PageTable,
    mode: IDBTransactionMode,
    toError: (cause: DOMException) => FedError,
    work: (objects: IDBObjectStore, give: (value: T) => void) => void,
  ): Promise<T>;
  /** Idempotent. */
  close(): Promise<void>;
}

/**
 * Opens the database `name` of this origin, or makes it.
 * @throws {HubError} STATE_LOCKED when another page has it open, STATE_UNWRITABLE where pages can keep nothing.
 */
export async function openPageDatabase(name: string): Promise<PageDatabase> {
  const unlock = await lockPage(name).catch((cause: unknown) => {
    throw isFedError(cause) ? cause : unwritable((cause as DOMException).message, cause);
  });
  try {
    const database = await openIndexedDb(name);
    const close = async () => {
      database.close();
      unlock();
    };
    return {
      name,
      transact: (table, mode, toError, work) =>
        new Promise((resolve, reject) => {
          let given: unknown;
          try {
            const transaction = database.transaction(table, mode, { durability: "strict" });
            transaction.oncomplete = () => resolve(given as never);
            transaction.onabort = () => reject(toError(transaction.error ?? new DOMException("", "AbortError")));
            work(transaction.objectStore(table), (value) => {
              given = value;
            });
          } catch (cause) {
            reject(toError(cause as DOMException));
          }
        }),
      close,
      [Symbol.asyncDispose]: close,
    };
  } catch (cause) {
    unlock();
    throw unwritable((cause as DOMException | undefined)?.message ?? "", cause);
  }
}

/** Holds the Web Lock of the database until the result is called or the page is gone. */
async function lockPage(name: string): Promise<() => void> {
  // Missing where the page was not served over https or from the machine itself.
  const locks: LockManager | undefined = globalThis.navigator?.locks;
  if (!locks || !globalThis.indexedDB) throw unwritable("this is no secure context");
  return new Promise((resolve, reject) => {
    const held = locks.request(`fed-hub ${name}`, { ifAvailable: true }, (lock) => {
      if (!lock) {
        throw new HubError({
          code: "STATE_LOCKED",
          message: `Another page is running the hub in ${name}.`,
          hint: "Close the other page, or name another database.",
        });
      }
      const { promise, resolve: unlock } = Promise.withResolvers<void>();
      resolve(unlock);
      return promise;
    });
    held.catch(reject);
  });
}

function openIndexedDb(name: string): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(name, 1);
    request.onupgradeneeded = () => {
      request.result.createObjectStore("entries");
      request.result.createObjectStore("segments");
    };
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

function unwritable(why: string, cause?: unknown): HubError {
  return new HubError({
    code: "STATE_UNWRITABLE",
    message: `This page cannot keep a hub: ${why || "for no stated reason"}.`,
    hint: "Serve it over https or from localhost, and not in a private window.",
    cause,
  });
}
