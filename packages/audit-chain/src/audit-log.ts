/** The log as its users see it, and how it is opened. */
import type { Clock } from "@fed/core";
import { ChainLog } from "./chain-log.js";
import { fromStore } from "./errors.js";
import { createChain } from "./record.js";
import { type AuditHead, scan } from "./scan.js";
import type { SegmentStore } from "./segment.js";
import { createHeadCheck } from "./verify.js";

/** Options of {@link openAuditLog}. */
export interface AuditLogOptions {
  readonly store: SegmentStore;
  /** 32 secret bytes that belong to this log alone. Copied. */
  readonly key: Uint8Array;
  /** A head that the log must still contain: the last one acknowledged, kept somewhere else. */
  readonly expectedHead?: AuditHead | undefined;
  /** Size beyond which a new segment begins, bytes. Default 16 MiB. */
  readonly segmentBytes?: number;
  /** Default the machine's. */
  readonly clock?: Clock;
  readonly signal?: AbortSignal;
}

/** Options of {@link AuditLog.read}. */
export interface ReadOptions {
  /** Number of the first record wanted, from 1. Default 1. */
  readonly from?: number;
  /** How many records at most. Default all there are when reading begins. */
  readonly limit?: number;
  readonly signal?: AbortSignal;
}

/** Options of {@link AuditLog.append}. */
export interface AppendOptions {
  /** Leaves it to the next record that is not, or to 100 ms, to make this one durable. Default false. */
  readonly lazily?: boolean;
}

/** One record as it was appended. */
export interface AuditRecord {
  readonly seq: number;
  readonly bytes: Uint8Array;
}

/** A log open for writing. */
export interface AuditLog extends AsyncDisposable {
  /**
   * Adds `record`, 0 to 65,536 bytes, which is copied, or a text, as its UTF-8 bytes, and resolves with its head once it is
   * durable. Records stand in the order of the calls. After a rejection nothing may be done on the strength of the record;
   * it is taken out again when the log recovers, or found in the log if the process ends before that.
   * @throws {AuditError} INVALID_RECORD when it is too long; AUDIT_BUSY when 8 MiB are waiting; AUDIT_CLOSED;
   * AUDIT_FULL, AUDIT_READ_ONLY or AUDIT_FAILED when it could not be stored, and then for every append until one
   * succeeds (tried again at most once a second); AUDIT_TAMPERED when the stored log is not what was written.
   */
  append(record: Uint8Array | string, options?: AppendOptions): Promise<AuditHead>;
  /** Waits for nothing longer to write what is queued; resolves when it has been, well or not. */
  flush(): Promise<void>;
  /** The newest durable record. */
  head(): AuditHead;
  /** What a crash had left at the end of the log when it was opened: that many bytes were cut off. */
  readonly droppedBytes: number;
  /**
   * The durable records from `from` on, each checked against the chain.
   * @throws {AuditError} AUDIT_TAMPERED; INVALID_RANGE unless `from` is at least 1 and `limit` at least 0.
   */
  read(options?: ReadOptions): AsyncIterable<AuditRecord>;
  /** Waits for what is queued, then lets go of the store. Idempotent. */
  close(): Promise<void>;
}

/**
 * Opens a log for writing, after checking all of it. The tail that a crash left of an unfinished write is cut off, and a
 * record `{"droppedBytes":n,"type":"fed-audit-recovered"}` says so.
 * @throws {AuditError} AUDIT_LOCKED when it is open already; AUDIT_TAMPERED or AUDIT_TRUNCATED as `verifyAuditLog`;
 * INVALID_KEY; AUDIT_FULL, AUDIT_READ_ONLY or AUDIT_FAILED when the store cannot be used.
 */
export async function openAuditLog(options: AuditLogOptions): Promise<AuditLog> {
  const chain = createChain(options.key);
  const lock = await fromStore(options.store.lock());
  try {
    const check = createHeadCheck(options.expectedHead);
    const records = scan(options.store, chain, { signal: options.signal });
    let next = await records.next();
    for (; !next.done; next = await records.next()) check.record(next.value);
    check.end(next.value.head);
    const log = new ChainLog(options, chain, lock, next.value);
    await log.recover();
    return log;
  } catch (error) {
    await lock[Symbol.asyncDispose]();
    throw error;
  }
}
