/**
 * The store contract: small byte values under hierarchical keys, with compare-and-set as the one strong operation.
 * `@fed/core/memory` has an in-memory implementation and `@fed/core/testing` the suite every implementation passes.
 */

/** A key: one to eight parts, each 1..256 characters of any kind. Parts never run into each other. */
export type StoreKey = readonly string[];

/** One stored value. */
export interface StoreEntry {
  readonly key: StoreKey;
  readonly value: Uint8Array;
}

/**
 * Durable once the promise resolves. Values are at most 16 MiB and are copied in and out.
 * Every method rejects with a FedError: STORE_FULL, STORE_READ_ONLY, STORE_CORRUPT or STORE_CLOSED.
 */
export interface Store extends AsyncDisposable {
  get(key: StoreKey): Promise<Uint8Array | undefined>;
  set(key: StoreKey, value: Uint8Array): Promise<void>;
  /** Deleting what is not there is no error. */
  delete(key: StoreKey): Promise<void>;
  /**
   * Replaces the value only if it is `expected` byte for byte (undefined: only if absent).
   * `next` undefined deletes. Atomic against every other writer.
   * @returns whether it happened.
   */
  compareAndSet(key: StoreKey, expected: Uint8Array | undefined, next: Uint8Array | undefined): Promise<boolean>;
  /** All entries whose key begins with the parts of `prefix` (whole parts), in the order of their keys' parts. */
  list(prefix: StoreKey): Promise<StoreEntry[]>;
  /** Idempotent. */
  close(): Promise<void>;
}

/** Codes a store fails with. */
export type StoreErrorCode =
  | "STORE_FULL"
  | "STORE_READ_ONLY"
  | "STORE_CORRUPT"
  | "STORE_CLOSED"
  | "INVALID_KEY"
  | "VALUE_TOO_LARGE";
