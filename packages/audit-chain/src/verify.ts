/** Checks a whole log against its key, without changing it and without the writer's lock. */
import { equalBytes } from "@fed/core";
import type { AuditRecord } from "./audit-log.js";
import { AuditError, tampered } from "./errors.js";
import { createChain } from "./record.js";
import { type AuditHead, scan } from "./scan.js";
import type { SegmentStore } from "./segment.js";

/** Options of {@link verifyAuditLog}. */
export interface VerifyOptions {
  readonly store: SegmentStore;
  /** The log's key, 32 bytes. */
  readonly key: Uint8Array;
  /** A head that the log must still contain: the last one acknowledged, kept somewhere else. Without it a log cut at a record's end passes. */
  readonly expectedHead?: AuditHead | undefined;
  readonly signal?: AbortSignal;
}

/** What {@link verifyAuditLog} found in a log that is as it was written. */
export interface VerifiedLog {
  /** How many records there are. */
  readonly records: number;
  readonly head: AuditHead;
  /** Bytes after the last record, left by a write that did not finish; 0 after a clean end. */
  readonly tornBytes: number;
}

/**
 * Verifies every record of a log, from the first.
 * @throws {AuditError} AUDIT_TAMPERED at the first record that was changed (`seq`, `segment` and `offset` say which);
 * AUDIT_TRUNCATED when the log ends before `expectedHead` (`seq` is the first one missing); INVALID_KEY.
 */
export async function verifyAuditLog(options: VerifyOptions): Promise<VerifiedLog> {
  const records = readAuditLog(options);
  let next = await records.next();
  while (!next.done) next = await records.next();
  return next.value;
}

/**
 * Hands out every record from the first, each as soon as it is verified, and returns what {@link verifyAuditLog} does.
 * A writer may go on meanwhile; how much is seen of what it adds is open.
 * @throws {AuditError} as {@link verifyAuditLog}, after the records that are good.
 */
export async function* readAuditLog(options: VerifyOptions): AsyncGenerator<AuditRecord, VerifiedLog> {
  const chain = createChain(options.key);
  const expected = createHeadCheck(options.expectedHead);
  const records = scan(options.store, chain, { signal: options.signal });
  let next = await records.next();
  for (; !next.done; next = await records.next()) {
    expected.record(next.value);
    yield { seq: next.value.seq, bytes: next.value.bytes };
  }
  const { head, tornBytes } = next.value;
  expected.end(head);
  return { records: head.seq, head, tornBytes };
}

/** Compares a walk with the head it must contain. */
export function createHeadCheck(expected: AuditHead | undefined): {
  record(head: AuditHead): void;
  end(head: AuditHead): void;
} {
  return {
    record(head) {
      if (head.seq === expected?.seq && !equalBytes(head.tag, expected.tag)) {
        throw tampered("is not the one that was acknowledged", { seq: head.seq });
      }
    },
    end(head) {
      if (expected === undefined || head.seq >= expected.seq) return;
      throw new AuditError(
        {
          code: "AUDIT_TRUNCATED",
          message: `The log ends with record ${head.seq}, but record ${expected.seq} was acknowledged.`,
          hint: "Records are missing from its end: restore the segments, or keep a copy as evidence and start a new log.",
        },
        { seq: head.seq + 1 },
      );
    },
  };
}
