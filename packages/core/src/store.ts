/**
 * The store contract: small byte values under hierarchical keys, with compare-and-set as the one strong operation.
 * `@fed/core/memory` has an in-memory implementation and `@fed/core/testing` the suite every implementation passes.
 */

import { FedError } from "./errors.js";

/**
 * A key: one to eight parts, each 1..256 UTF-16 code units of well-formed Unicode, every character allowed.
 * Parts never run into each other, and upper and lower case are different.
 */
export type StoreKey = readonly string[];

/** One stored value. */
export interface StoreEntry {
  readonly key: StoreKey;
  readonly value: Uint8Array;
}

/**
 * Durable once the promise resolves. Values are at most 16 MiB and are copied in and out.
 * Every method rejects with a FedError: INVALID_KEY, VALUE_TOO_LARGE, STORE_FULL, STORE_READ_ONLY, STORE_CORRUPT or
 * STORE_CLOSED. After STORE_FULL or STORE_CORRUPT a write may have happened or not: read again before relying on either.
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
  /**
   * All entries whose key begins with the parts of `prefix` (whole parts; none: all entries), in the order of
   * {@link compareStoreKeys}.
   */
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

/** Thrown by every {@link Store}. */
export class StoreError extends FedError<StoreErrorCode> {}

/** Most parts of a key. */
export const maxKeyParts = 8;
/** Longest part, UTF-16 code units. */
export const maxKeyPartLength = 256;
/** Largest value, bytes. */
export const maxValueBytes = 16 * 1024 * 1024;

/** @throws {StoreError} INVALID_KEY unless `key` may name a value. */
export function checkStoreKey(key: StoreKey): void {
  if (key.length === 0) throw invalidKey();
  checkStorePrefix(key);
}

/** @throws {StoreError} INVALID_KEY unless keys may begin with `prefix`. */
export function checkStorePrefix(prefix: StoreKey): void {
  const isPart = (part: unknown) =>
    typeof part === "string" && part.length > 0 && part.length <= maxKeyPartLength && part.isWellFormed();
  if (prefix.length > maxKeyParts || !prefix.every(isPart)) throw invalidKey();
}

/** @throws {StoreError} VALUE_TOO_LARGE above {@link maxValueBytes}. */
export function checkStoreValue(value: Uint8Array): void {
  if (value.length > maxValueBytes) {
    throw new StoreError({
      code: "VALUE_TOO_LARGE",
      message: `A value of ${value.length} bytes; at most ${maxValueBytes} are stored.`,
    });
  }
}

/**
 * Orders keys part by part, a key before those that it begins; parts by code points, which is the order of their UTF-8
 * bytes and so what databases do. Negative: `a` comes first.
 */
export function compareStoreKeys(a: StoreKey, b: StoreKey): number {
  for (let i = 0; i < a.length && i < b.length; i++) {
    const order = compareCodePoints(a[i]!, b[i]!);
    if (order !== 0) return order;
  }
  return a.length - b.length;
}

function compareCodePoints(a: string, b: string): number {
  for (let i = 0; i < a.length && i < b.length; i++) {
    if (a[i] !== b[i]) return a.codePointAt(i)! - b.codePointAt(i)!;
  }
  return a.length - b.length;
}

function invalidKey(): StoreError {
  return new StoreError({
    code: "INVALID_KEY",
    message: `A key is 1 to ${maxKeyParts} parts of 1 to ${maxKeyPartLength} characters of well-formed Unicode.`,
  });
}
