/** The one walk over a log, which opening, reading and verifying share: it hands out only records whose tag is right. */
import { concatBytes, equalBytes, throwIfAborted } from "@fed/core";
import { fromStore, tampered } from "./errors.js";
import {
  type Chain,
  isTornRecord,
  parseRecordHeader,
  recordHeaderBytes,
  storedBytesOf,
  withoutZeroTail,
} from "./record.js";
import {
  encodeSegmentHeader,
  formatSegmentName,
  parseSegmentName,
  previousTagOf,
  type SegmentStore,
  segmentHeaderBytes,
} from "./segment.js";

/** The newest record: its number (0 before the first) and its tag, 32 bytes. */
export interface AuditHead {
  readonly seq: number;
  readonly tag: Uint8Array;
}

/** One record and where it stands. */
export interface ScannedRecord extends AuditHead {
  readonly bytes: Uint8Array;
  readonly segment: string;
  readonly offset: number;
}

/** Where a walk ended. */
export interface ScanEnd {
  readonly head: AuditHead;
  /** Name of the last segment; undefined when there is none. */
  readonly segment: string | undefined;
  /** Bytes of it that are good. */
  readonly offset: number;
  /** Bytes after those, left by a write that did not finish. */
  readonly tornBytes: number;
}

/** Options of {@link scan}. */
export interface ScanOptions {
  /** Begin with the segment that holds this record, and trust its header until its first record proves it. Default 1. */
  readonly from?: number;
  readonly signal?: AbortSignal | undefined;
}

/** One write holds at most this many bytes, so a torn tail cannot be longer. */
export const maxWriteBytes = 1024 * 1024;
const chunkBytes = 256 * 1024;

/**
 * Walks the log and returns where it ends. Only what follows the last good record of the last segment may be incomplete.
 * @throws {AuditError} AUDIT_TAMPERED at the first record that is not what was written.
 */
export async function* scan(
  store: SegmentStore,
  chain: Chain,
  options: ScanOptions = {},
): AsyncGenerator<ScannedRecord, ScanEnd> {
  const segments = segmentsFrom(await fromStore(store.list()), options.from ?? 1);
  let head: AuditHead = { seq: 0, tag: chain.genesis };
  let end: ScanEnd = { head, segment: undefined, offset: 0, tornBytes: 0 };
  for (const [index, segment] of segments.entries()) {
    const firstSeq = parseSegmentName(segment)!;
    if (index === 0 && firstSeq > 1 && options.from !== undefined) {
      head = { seq: firstSeq - 1, tag: previousTagOf(await fromStore(store.read(segment, 0, segmentHeaderBytes))) };
    }
    end = yield* scanSegment(store, chain, segment, head, index === segments.length - 1, options.signal);
    head = end.head;
  }
  return end;
}

/**
 * Walks one segment, which must follow `previous`. When it is the `last` one it may end in a torn tail.
 * @throws {AuditError} AUDIT_TAMPERED as {@link scan} does.
 */
export async function* scanSegment(
  store: SegmentStore,
  chain: Chain,
  segment: string,
  previous: AuditHead,
  last: boolean,
  signal?: AbortSignal,
): AsyncGenerator<ScannedRecord, ScanEnd> {
  let { seq, tag } = previous;
  const reader = createReader(store, segment, signal);
  const bad = (what: string) => tampered(what, { seq: seq + 1, segment, offset: reader.offset });
  let lookedAgainAt = -1;

  if (segment !== formatSegmentName(seq + 1)) throw bad("is missing: the next segment begins with another number");
  const header = await reader.peek(segmentHeaderBytes);
  const expected = encodeSegmentHeader(seq + 1, tag);
  if (!equalBytes(header, expected)) {
    const tail = await reader.peek(maxWriteBytes + 1);
    const written = withoutZeroTail(tail);
    const torn = last && tail.length <= maxWriteBytes && written.length < expected.length;
    if (!torn || !equalBytes(written, expected.subarray(0, written.length)))
      throw bad("has a wrong segment header before it");
    return { head: previous, segment, offset: 0, tornBytes: tail.length };
  }
  reader.skip(segmentHeaderBytes);

  for (;;) {
    const record = await readRecord(reader, chain, seq + 1, tag);
    if (typeof record !== "string") {
      if (record === undefined) break;
      const offset = reader.offset;
      reader.skip(storedBytesOf(record.bytes.length));
      seq += 1;
      tag = record.tag;
      yield { seq, tag, bytes: record.bytes, segment, offset };
      continue;
    }
    // A writer that goes on meanwhile may have been at just these bytes: what it was doing is done by now.
    if (last && lookedAgainAt !== reader.offset) {
      lookedAgainAt = reader.offset;
      reader.lookAgain();
      continue;
    }
    const tail = await reader.peek(maxWriteBytes + 1);
    if (!last || tail.length > maxWriteBytes || !isTornRecord(tail, seq + 1, reader.offset)) throw bad(record);
    return { head: { seq, tag }, segment, offset: reader.offset, tornBytes: tail.length };
  }
  return { head: { seq, tag }, segment, offset: reader.offset, tornBytes: 0 };
}

/** The next record; undefined at the end of the segment; a string says what is wrong with it. */
async function readRecord(
  reader: Reader,
  chain: Chain,
  seq: number,
  previousTag: Uint8Array,
): Promise<{ bytes: Uint8Array; tag: Uint8Array } | undefined | string> {
  const header = await reader.peek(recordHeaderBytes);
  if (header.length === 0) return undefined;
  if (header.length < recordHeaderBytes) return "is cut off";
  const length = parseRecordHeader(header, seq);
  if (length === undefined) return "has a wrong header";
  const whole = await reader.peek(storedBytesOf(length));
  if (whole.length < storedBytesOf(length)) return "is cut off";
  const bytes = whole.slice(recordHeaderBytes, recordHeaderBytes + length);
  const tag = chain.tag(previousTag, seq, bytes);
  return equalBytes(tag, whole.subarray(recordHeaderBytes + length)) ? { bytes, tag } : "has a wrong tag";
}

/** Names of the segments from the one that holds `from` on, ascending. */
function segmentsFrom(names: readonly string[], from: number): string[] {
  const segments = names.filter((name) => parseSegmentName(name) !== undefined).sort();
  const holder = segments.findLastIndex((name) => parseSegmentName(name)! <= from);
  return segments.slice(Math.max(holder, 0));
}

/** Reads a segment from front to back with a small window. */
interface Reader {
  /** Offset in the segment of what {@link peek} shows first. */
  readonly offset: number;
  /** The next `count` bytes, or what is left of the segment. Valid until the next call. */
  peek(count: number): Promise<Uint8Array>;
  /** Moves on over `count` bytes that were peeked at. */
  skip(count: number): void;
  /** Forgets what was peeked at, so that it is read anew. */
  lookAgain(): void;
}

function createReader(store: SegmentStore, segment: string, signal: AbortSignal | undefined): Reader {
  let window: Uint8Array = new Uint8Array();
  let position = 0;
  let offset = 0;
  return {
    get offset() {
      return offset;
    },
    async peek(count) {
      while (window.length - position < count) {
        throwIfAborted(signal);
        const rest = window.subarray(position);
        const chunk = await fromStore(store.read(segment, offset + rest.length, chunkBytes));
        if (chunk.length === 0) break;
        window = rest.length === 0 ? chunk : concatBytes(rest, chunk);
        position = 0;
      }
      return window.subarray(position, position + count);
    },
    skip(count) {
      position += count;
      offset += count;
    },
    lookAgain() {
      window = new Uint8Array();
      position = 0;
    },
  };
}
