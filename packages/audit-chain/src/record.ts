/**
 * One record on disk. Integers are big-endian.
 *
 *     length u32 | crc u32 | seq u64 | epoch u32 | bytes | tag (32)
 *
 * `crc` is CRC-32C over length, seq and epoch: it makes the length trustworthy before it is used, so a changed length
 * is never mistaken for a record whose end was lost. The tag covers everything else:
 *
 *     tag_i = HMAC-SHA-256(K, tag_{i-1} | seq | epoch | length | bytes),  tag_0 = HMAC-SHA-256(K, "fed-audit-chain/1")
 */

import { encodeUtf8 } from "@fed/core";
import { createHmacSha256 } from "#hmac-sha256";
import { crc32c } from "./crc32c.js";
import { AuditError } from "./errors.js";

/** Largest record, bytes. */
export const maxRecordBytes = 64 * 1024;
/** Bytes before a record's own. */
export const recordHeaderBytes = 20;
/** Bytes of a tag, and of the key. */
export const tagBytes = 32;

/** The only epoch so far; the field is there so that keys can be changed without a new format. */
const epoch = 0;
const genesisLabel = encodeUtf8("fed-audit-chain/1");

/** Tags of one log: everything that needs its key. */
export interface Chain {
  /** The tag before the first record. */
  readonly genesis: Uint8Array;
  /** The tag of record `seq` holding `bytes`, after `previousTag`. */
  tag(previousTag: Uint8Array, seq: number, bytes: Uint8Array): Uint8Array;
}

/**
 * The chain under `key`, 32 bytes, which is copied.
 * @throws {AuditError} INVALID_KEY for any other length.
 */
export function createChain(key: Uint8Array): Chain {
  if (key.length !== tagBytes) {
    throw new AuditError({ code: "INVALID_KEY", message: `An audit key has ${tagBytes} bytes.` });
  }
  const mac = createHmacSha256(key);
  const signed = new Uint8Array(16);
  const view = new DataView(signed.buffer);
  return {
    genesis: mac(genesisLabel),
    tag(previousTag, seq, bytes) {
      writeSigned(view, seq, bytes.length);
      return mac(previousTag, signed, bytes);
    },
  };
}

/** Bytes that a record with `length` bytes takes on disk. */
export function storedBytesOf(length: number): number {
  return recordHeaderBytes + length + tagBytes;
}

/** Writes record `seq` into `out` at `offset`: header, `bytes`, `tag`. */
export function writeRecord(out: Uint8Array, offset: number, seq: number, bytes: Uint8Array, tag: Uint8Array): void {
  writeHeader(out, offset, seq, bytes.length);
  out.set(bytes, offset + recordHeaderBytes);
  out.set(tag, offset + recordHeaderBytes + bytes.length);
}

/**
 * The length that a record's first {@link recordHeaderBytes} bytes announce for record `seq`; undefined when the
 * checksum, the number, the epoch or the limit is wrong.
 */
export function parseRecordHeader(header: Uint8Array, seq: number): number | undefined {
  const length = new DataView(header.buffer, header.byteOffset).getUint32(0);
  if (length > maxRecordBytes) return undefined;
  const expected = new Uint8Array(recordHeaderBytes);
  writeHeader(expected, 0, seq, length);
  return expected.every((byte, i) => byte === header[i]) ? length : undefined;
}

/** Fewest zeros at the end of a file that count as never written: no tag ends in as many. */
const zeroRunBytes = tagBytes;

/** What a disk writes whole or not at all, in bytes, and aligned to as many. */
const sectorBytes = 512;

/**
 * Whether `tail`, all that follows the last good record and begins at `offset` of the segment, is what a crash can leave of
 * writing record `seq`: a beginning of it, then nothing or zeros; or the record without some sectors, zeros in their place,
 * for what was under way reaches a disk in any order.
 */
export function isTornRecord(tail: Uint8Array, seq: number, offset: number): boolean {
  const written = withoutZeroTail(tail);
  if (written.length < recordHeaderBytes) return true;
  const length = parseRecordHeader(written, seq);
  const end = length === undefined ? recordHeaderBytes : storedBytesOf(length);
  return written.length < end || lacksSector(written, end, offset);
}

/** Whether one of the sectors that hold the first `end` bytes has only zeros, where `bytes` begin at `offset`. */
function lacksSector(bytes: Uint8Array, end: number, offset: number): boolean {
  for (let start = 0; start < end; ) {
    const next = start + sectorBytes - ((offset + start) % sectorBytes);
    // A record begins with two zeros: its length has no more than 17 bits.
    if (next - start > 2 && isZero(bytes.subarray(start, next))) return true;
    start = next;
  }
  return false;
}

function isZero(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0);
}

/** `tail` up to its run of zeros, if that run is long enough to be no accident. */
export function withoutZeroTail(tail: Uint8Array): Uint8Array {
  let end = tail.length;
  while (end > 0 && tail[end - 1] === 0) end--;
  return tail.length - end >= zeroRunBytes ? tail.subarray(0, end) : tail;
}

/** seq u64 | epoch u32 | length u32: what the tag covers besides the previous tag and the bytes. */
function writeSigned(view: DataView, seq: number, length: number): void {
  writeU64(view, 0, seq);
  view.setUint32(8, epoch);
  view.setUint32(12, length);
}

function writeHeader(out: Uint8Array, offset: number, seq: number, length: number): void {
  const view = new DataView(out.buffer, out.byteOffset + offset, recordHeaderBytes);
  view.setUint32(0, length);
  writeU64(view, 8, seq);
  view.setUint32(16, epoch);
  view.setUint32(4, crc32c(out.subarray(offset, offset + 4), out.subarray(offset + 8, offset + recordHeaderBytes)));
}

function writeU64(view: DataView, offset: number, value: number): void {
  view.setUint32(offset, Math.floor(value / 2 ** 32));
  view.setUint32(offset + 4, value >>> 0);
}
