/**
 * The writer. Everything queued while a write is under way goes into the next one (group commit); an append resolves
 * only when its record would survive a power cut; after a failure nothing is appended until the end of the log has been
 * checked and cleaned.
 */
import { type Clock, canonicalJson, equalBytes, systemClock, type Timer } from "@fed/core";
import type { AppendOptions, AuditLog, AuditLogOptions, AuditRecord, ReadOptions } from "./audit-log.js";
import { AuditError, fromStore, tampered, toAuditError } from "./errors.js";
import { type Chain, maxRecordBytes, storedBytesOf, writeRecord } from "./record.js";
import { RecordPool } from "./record-pool.js";
import { type AuditHead, maxWriteBytes, type ScanEnd, scan, scanSegment } from "./scan.js";
import {
  defaultSegmentBytes,
  encodeSegmentHeader,
  formatSegmentName,
  parseSegmentName,
  previousTagOf,
  type SegmentStore,
  segmentHeaderBytes,
} from "./segment.js";

/** Most bytes that may wait for the disk. */
const maxQueuedBytes = 8 * 1024 * 1024;
const retryAfterMs = 1000;
const lazyMs = 100;

/** The end of what is durable. */
type Durable = Omit<ScanEnd, "tornBytes">;

interface Waiting {
  readonly bytes: Uint8Array;
  resolve(head: AuditHead): void;
  reject(error: unknown): void;
}

/** The log that `openAuditLog` hands out. */
export class ChainLog implements AuditLog {
  readonly droppedBytes: number;
  readonly #store: SegmentStore;
  readonly #chain: Chain;
  readonly #lock: AsyncDisposable;
  readonly #segmentBytes: number;
  readonly #clock: Clock;
  #durable: Durable;
  /** Set while the last write has not been seen to succeed: what failed, and when. */
  #failure: { readonly error: AuditError; readonly atMs: number } | undefined;
  /** Bytes cut off that no record tells of yet. */
  #unrecordedBytes = 0;
  readonly #pool = new RecordPool();
  #queue: Waiting[] = [];
  #queuedBytes = 0;
  #flushing: Promise<void> | undefined;
  /** When records that nobody waits for are written at the latest. */
  #late: Timer | undefined;
  #closing: Promise<void> | undefined;

  constructor(options: AuditLogOptions, chain: Chain, lock: AsyncDisposable, end: ScanEnd) {
    this.#store = options.store;
    this.#chain = chain;
    this.#lock = lock;
    this.#segmentBytes = options.segmentBytes ?? defaultSegmentBytes;
    this.#clock = options.clock ?? systemClock;
    this.#durable = end;
    this.droppedBytes = end.tornBytes;
  }

  /** Cuts off what {@link droppedBytes} counts and records it. */
  async recover(): Promise<void> {
    if (this.droppedBytes === 0) return;
    await fromStore(this.#store.truncate(this.#durable.segment!, this.#durable.offset));
    await this.append(recoveredRecord(this.droppedBytes));
  }

  head(): AuditHead {
    return copyOf(this.#durable.head);
  }

  append(record: Uint8Array | string, { lazily = false }: AppendOptions = {}): Promise<AuditHead> {
    return new Promise((resolve, reject) => {
      const refusal = this.#refusal(record.length);
      if (refusal) return reject(refusal);
      const bytes = this.#pool.copy(record);
      // Only now is it known of a text.
      if (bytes.length > maxRecordBytes) return reject(tooLong(bytes.length));
      const waiting = { bytes, resolve, reject };
      this.#queue.push(waiting);
      this.#queuedBytes += storedBytes(waiting);
      if (!lazily) this.#wanted();
      else this.#late ??= this.#clock.setTimer(lazyMs, () => this.#wanted());
    });
  }

  async flush(): Promise<void> {
    if (this.#queue.length > 0) this.#wanted();
    await this.#flushing;
  }

  /** Somebody waits for what is queued. */
  #wanted(): void {
    this.#late?.cancel();
    this.#late = undefined;
    this.#flushing ??= this.#flush();
  }

  /** Why nothing that has `length` bytes, or more, is taken now. */
  #refusal(length: number): AuditError | undefined {
    if (this.#closing) return new AuditError({ code: "AUDIT_CLOSED", message: "The audit log is closed." });
    if (length > maxRecordBytes) return tooLong(length);
    if (this.#queuedBytes + length > maxQueuedBytes) {
      return new AuditError({
        code: "AUDIT_BUSY",
        message: "The disk does not keep up with the audit log.",
        hint: "Wait for earlier appends before making more.",
        retryable: true,
      });
    }
    const failure = this.#failure;
    if (!failure) return undefined;
    return failure.error.code === "AUDIT_TAMPERED" || this.#clock.monotonicMs() - failure.atMs < retryAfterMs
      ? failure.error
      : undefined;
  }

  async #flush(): Promise<void> {
    // One turn's grace, so that appends made together are written together.
    await undefined;
    while (this.#queue.length > 0) {
      try {
        if (this.#failure) await this.#reopen();
        await this.#write();
        // Whoever waited goes on first, and so does what has come meanwhile: on a busy hub each write then takes more along.
        if (this.#queue.length > 0) await this.#store.gather?.();
      } catch (cause) {
        this.#fail(toAuditError(cause));
      }
    }
    this.#flushing = undefined;
  }

  /** Writes and syncs the head of the queue: as much as one segment and one write may take. */
  async #write(): Promise<void> {
    let { head, segment, offset } = this.#durable;
    if (segment === undefined || !this.#fits(offset, this.#queue[0]!)) {
      segment = formatSegmentName(head.seq + 1);
      offset = 0;
    }
    const start = offset === 0 ? segmentHeaderBytes : 0;
    const end = this.#endOfWrite(offset + start, offset + maxWriteBytes);
    const out = new Uint8Array(end - offset);
    if (start > 0) out.set(encodeSegmentHeader(head.seq + 1, head.tag));
    const heads: AuditHead[] = [];
    for (let at = start; at < out.length; at += storedBytes(this.#queue[heads.length - 1]!)) {
      const { bytes } = this.#queue[heads.length]!;
      const seq = head.seq + 1;
      head = { seq, tag: this.#chain.tag(head.tag, seq, bytes) };
      heads.push(head);
      writeRecord(out, at, seq, bytes, head.tag);
    }
    await this.#store.append(segment, out);
    await this.#store.sync(segment);
    this.#durable = { head: copyOf(head), segment, offset: end };
    this.#failure = undefined;
    const written = this.#queue.splice(0, heads.length);
    for (let i = 0; i < written.length; i++) {
      this.#queuedBytes -= storedBytes(written[i]!);
      written[i]!.resolve(heads[i]!);
    }
  }

  /** Where the segment ends once the queue's next records, one at least, stand in it from `offset` on, up to `limit`. */
  #endOfWrite(offset: number, limit: number): number {
    let end = offset + storedBytes(this.#queue[0]!);
    for (let i = 1; i < this.#queue.length; i++) {
      const waiting = this.#queue[i]!;
      if (!this.#fits(end, waiting) || end + storedBytes(waiting) > limit) break;
      end += storedBytes(waiting);
    }
    return end;
  }

  /** Whether a segment of `size` bytes takes one more record; an empty one takes any. */
  #fits(size: number, record: { readonly bytes: Uint8Array }): boolean {
    return size <= segmentHeaderBytes || size + storedBytes(record) <= this.#segmentBytes;
  }

  #fail(error: AuditError): void {
    this.#failure = { error, atMs: this.#clock.monotonicMs() };
    for (const waiting of this.#queue.splice(0)) {
      this.#queuedBytes -= storedBytes(waiting);
      waiting.reject(error);
    }
  }

  /** After a failure: checks that the last segment still holds what was durable, and cuts off whatever came after it. */
  async #reopen(): Promise<void> {
    const { head, segment, offset } = this.#durable;
    if (segment !== undefined && offset > 0) await this.#checkDurable(segment);
    const started = formatSegmentName(head.seq + 1);
    const present = await this.#store.list();
    if (present.some((name) => name > (segment ?? "") && name !== started && parseSegmentName(name) !== undefined)) {
      throw tampered("is followed by a segment that was not written", { seq: head.seq });
    }
    if (segment !== undefined) await this.#cut(segment, offset);
    if (started !== segment && present.includes(started)) {
      await this.#cut(started, 0);
      this.#durable = { head, segment: started, offset: 0 };
    }
    if (this.#unrecordedBytes === 0) return;
    const bytes = recoveredRecord(this.#unrecordedBytes);
    const resolve = () => {
      this.#unrecordedBytes = 0;
    };
    this.#queue.unshift({ bytes, resolve, reject: () => {} });
    this.#queuedBytes += storedBytes({ bytes });
  }

  async #checkDurable(segment: string): Promise<void> {
    const { head } = this.#durable;
    const tag = previousTagOf(await this.#store.read(segment, 0, segmentHeaderBytes));
    const previous = { seq: parseSegmentName(segment)! - 1, tag };
    if (head.seq === previous.seq) return;
    for await (const record of scanSegment(this.#store, this.#chain, segment, previous, true)) {
      if (record.seq < head.seq) continue;
      if (equalBytes(record.tag, head.tag)) return;
      break;
    }
    throw tampered("is no longer what was written", { seq: head.seq, segment });
  }

  async #cut(segment: string, offset: number): Promise<void> {
    const tail = await this.#store.read(segment, offset, maxWriteBytes);
    if (tail.length === 0) return;
    await this.#store.truncate(segment, offset);
    this.#unrecordedBytes += tail.length;
  }

  async *read(options: ReadOptions = {}): AsyncGenerator<AuditRecord> {
    const { from = 1, limit = Number.POSITIVE_INFINITY, signal } = options;
    if (!Number.isSafeInteger(from) || from < 1 || !(limit >= 0)) {
      throw new AuditError({ code: "INVALID_RANGE", message: "Reading begins at record 1 or later." });
    }
    const last = Math.min(this.#durable.head.seq, from + limit - 1);
    if (last < from) return;
    for await (const { seq, bytes } of scan(this.#store, this.#chain, { from, signal })) {
      if (seq >= from) yield { seq, bytes };
      if (seq >= last) return;
    }
  }

  close(): Promise<void> {
    this.#closing ??= (async () => {
      await this.flush();
      await this.#lock[Symbol.asyncDispose]();
    })();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

function tooLong(length: number): AuditError {
  return new AuditError({
    code: "INVALID_RECORD",
    message: `A record of ${length} bytes or more; at most ${maxRecordBytes} are kept.`,
  });
}

/** A head to hand out: the next tag is made from ours. */
function copyOf({ seq, tag }: AuditHead): AuditHead {
  return { seq, tag: tag.slice() };
}

/** What a record takes on disk. */
function storedBytes(record: { readonly bytes: Uint8Array }): number {
  return storedBytesOf(record.bytes.length);
}

/** The record that tells of bytes cut off. */
function recoveredRecord(droppedBytes: number): Uint8Array {
  return canonicalJson({ type: "fed-audit-recovered", droppedBytes });
}
