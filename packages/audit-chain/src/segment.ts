/**
 * A segment: one append-only file of records.
 *
 *     header = magic "fedaudit" | version u32 = 1 | first seq u64 | previous tag (32)
 *
 * Its name is the number of its first record, twenty digits, then `.seg`; so names sort as the records do.
 */
import { encodeUtf8 } from "@fed/core";
import { tagBytes } from "./record.js";

/** Bytes before a segment's first record. */
export const segmentHeaderBytes = 52;
/** Size beyond which the next record begins a new segment, bytes. */
export const defaultSegmentBytes = 16 * 1024 * 1024;

const magic = encodeUtf8("fedaudit");
const version = 1;

/** The name of the segment that begins with record `firstSeq`. */
export function formatSegmentName(firstSeq: number): string {
  return `${String(firstSeq).padStart(20, "0")}.seg`;
}

/** The number of the first record in the segment called `name`; undefined when it is no segment's name. */
export function parseSegmentName(name: string): number | undefined {
  const digits = /^(\d{20})\.seg$/.exec(name)?.[1];
  const firstSeq = Number(digits);
  return digits !== undefined && Number.isSafeInteger(firstSeq) && firstSeq > 0 ? firstSeq : undefined;
}

/** The header of the segment that begins with record `firstSeq`, which follows `previousTag`. */
export function encodeSegmentHeader(firstSeq: number, previousTag: Uint8Array): Uint8Array {
  const out = new Uint8Array(segmentHeaderBytes);
  const view = new DataView(out.buffer);
  out.set(magic);
  view.setUint32(8, version);
  view.setBigUint64(12, BigInt(firstSeq));
  out.set(previousTag, segmentHeaderBytes - tagBytes);
  return out;
}

/** The previous tag that a whole header carries. */
export function previousTagOf(header: Uint8Array): Uint8Array {
  return header.slice(segmentHeaderBytes - tagBytes, segmentHeaderBytes);
}

/**
 * Where the segments live. `createFileSegmentStore` of `@fed/audit-chain/node` keeps them as files;
 * `createMemorySegmentStore` of `@fed/audit-chain/memory` is for tests.
 *
 * Methods reject with an {@link AuditError}: AUDIT_FULL, AUDIT_READ_ONLY or AUDIT_FAILED. After a rejected
 * `append` any beginning of the bytes may be there.
 */
export interface SegmentStore {
  /** Names of all segments, ascending. */
  list(): Promise<string[]>;
  /** At most `maxBytes` bytes from `offset`; fewer only at the end. The caller owns the array. */
  read(name: string, offset: number, maxBytes: number): Promise<Uint8Array>;
  /** Resolves when what the program is at just now has been done; called between a write and the next. Absent: at once. */
  gather?(): Promise<void>;
  /** Adds `bytes` at the end of the segment, which it creates if need be. */
  append(name: string, bytes: Uint8Array): Promise<void>;
  /** Resolves once everything appended to the segment, and its name, would survive a power cut. */
  sync(name: string): Promise<void>;
  /** Cuts the segment to `length` bytes, durably. */
  truncate(name: string, length: number): Promise<void>;
  /**
   * Makes this the only writer until the result is disposed of or the process ends, however it ends.
   * @throws {AuditError} AUDIT_LOCKED when there is one already.
   */
  lock(): Promise<AsyncDisposable>;
}
