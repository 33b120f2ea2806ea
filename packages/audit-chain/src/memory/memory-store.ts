/** Segments in memory, with a disk's bad habits on request: for tests of anything that writes an audit log. */
import { AuditError, type AuditErrorCode } from "../errors.js";
import type { SegmentStore } from "../segment.js";

/** What can be made to fail. */
export type StoreOperation = "list" | "read" | "append" | "sync" | "truncate" | "lock";

/** One failure. */
export interface Fault {
  readonly code: AuditErrorCode;
  /** For `append`: how many of the bytes are written nevertheless. Otherwise: done nevertheless if above 0. Default 0. */
  readonly applied?: number;
}

/** A {@link SegmentStore} whose contents a test can see and spoil. */
export interface MemorySegmentStore extends SegmentStore {
  /** The segments by name, live: changing the map or an array in it changes the store. */
  readonly segments: Map<string, Uint8Array>;
  /** A new store as found after a power cut: what was synced, and the first `unsyncedBytes` (default 0) of what was not. */
  afterPowerCut(unsyncedBytes?: number): MemorySegmentStore;
}

/** Options of {@link createMemorySegmentStore}. */
export interface MemorySegmentStoreOptions {
  /** What the store holds at first. Copied. */
  readonly segments?: ReadonlyMap<string, Uint8Array>;
  /** Asked before each operation; a result makes it fail. */
  readonly fault?: (operation: StoreOperation) => Fault | undefined;
}

/** An empty store, or one that holds `segments`. */
export function createMemorySegmentStore(options: MemorySegmentStoreOptions = {}): MemorySegmentStore {
  const segments = new Map([...(options.segments ?? [])].map(([name, bytes]) => [name, bytes.slice()] as const));
  const syncedBytes = new Map([...segments].map(([name, bytes]) => [name, bytes.length] as const));
  let locked = false;

  /** Runs `apply` after a turn, as a disk would, unless a fault comes first. */
  async function perform<T>(operation: StoreOperation, apply: (appliedBytes: number) => T): Promise<T> {
    await undefined;
    const fault = options.fault?.(operation);
    if (!fault) return apply(Number.POSITIVE_INFINITY);
    if (fault.applied) apply(fault.applied);
    throw new AuditError({ code: fault.code, message: `The store was told to fail at ${operation}.` });
  }

  function segment(name: string): Uint8Array {
    const bytes = segments.get(name);
    if (!bytes) throw new AuditError({ code: "AUDIT_FAILED", message: `There is no segment ${name}.` });
    return bytes;
  }

  return {
    segments,
    list: () => perform("list", () => [...segments.keys()].sort()),
    read: (name, offset, maxBytes) => perform("read", () => segment(name).slice(offset, offset + maxBytes)),
    append: (name, bytes) =>
      perform("append", (appliedBytes) => {
        const before = segments.get(name) ?? new Uint8Array();
        const written = bytes.subarray(0, appliedBytes);
        const after = new Uint8Array(before.length + written.length);
        after.set(before);
        after.set(written, before.length);
        segments.set(name, after);
      }),
    sync: (name) => perform("sync", () => void syncedBytes.set(name, segment(name).length)),
    truncate: (name, length) =>
      perform("truncate", () => {
        segments.set(name, segment(name).slice(0, length));
        syncedBytes.set(name, length);
      }),
    lock: () =>
      perform("lock", () => {
        if (locked) throw new AuditError({ code: "AUDIT_LOCKED", message: "The store is being written already." });
        locked = true;
        return {
          async [Symbol.asyncDispose]() {
            locked = false;
          },
        };
      }),
    afterPowerCut(unsyncedBytes = 0) {
      const left = new Map<string, Uint8Array>();
      for (const [name, bytes] of segments) {
        const synced = syncedBytes.get(name);
        const length = Math.min(bytes.length, (synced ?? 0) + unsyncedBytes);
        if (synced !== undefined || length > 0) left.set(name, bytes.slice(0, length));
      }
      return createMemorySegmentStore({ segments: left });
    },
  };
}
