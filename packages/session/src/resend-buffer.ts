/** What was sent and not yet acknowledged: docs/spec/session.md §7. */
import { protocolError } from "./errors.js";

/** One transport message of sequenced frames. */
export interface Batch {
  readonly bytes: Uint8Array;
  /** How many sequenced frames came before it, and how many have been sent with it. */
  readonly first: number;
  readonly next: number;
}

/** Bounds of a {@link ResendBuffer}. */
export interface ResendLimits {
  readonly maxResendBytes: number;
  readonly maxResendMessages: number;
}

/** Transport messages in the order they were cut, from the oldest that is not acknowledged on. */
export class ResendBuffer {
  /** Sequenced frames in all batches so far. */
  sequence = 0;
  /** Ordinal of the oldest batch that is kept; that of the next one when none is. */
  oldest = 0;
  /** How many frames the peer is known to have received. */
  acknowledged = 0;
  readonly #limits: ResendLimits;
  /** Batches; those below `#head` are gone. */
  #batches: (Batch | undefined)[] = [];
  #head = 0;
  #bytes = 0;

  constructor(limits: ResendLimits) {
    this.#limits = limits;
  }

  /** Whether no further message may be cut until some are acknowledged. */
  get full(): boolean {
    return (
      this.#bytes >= this.#limits.maxResendBytes || this.#batches.length - this.#head >= this.#limits.maxResendMessages
    );
  }

  /** Bytes sent and not acknowledged. */
  get bytes(): number {
    return this.#bytes;
  }

  get empty(): boolean {
    return this.#batches.length === this.#head;
  }

  push(batch: Batch): void {
    this.#batches.push(batch);
    this.#bytes += batch.bytes.length;
    this.sequence = batch.next;
  }

  /** The batch with this ordinal; undefined when it is not cut yet. It must not be older than {@link oldest}. */
  at(ordinal: number): Batch | undefined {
    return this.#batches[this.#head + ordinal - this.oldest];
  }

  /** @throws {SessionError} PROTOCOL_ERROR for more than was sent. */
  check(count: number): void {
    if (count > this.sequence) throw protocolError("The peer acknowledged more frames than it was sent.");
  }

  /**
   * The peer has received this many sequenced frames. A lower count than an earlier one was overtaken on the way.
   * @returns whether that is news.
   * @throws {SessionError} PROTOCOL_ERROR for more than was sent.
   */
  acknowledge(count: number): boolean {
    this.check(count);
    if (count <= this.acknowledged) return false;
    this.acknowledged = count;
    for (let batch = this.#batches[this.#head]; batch && batch.next <= count; batch = this.#batches[this.#head]) {
      this.#batches[this.#head++] = undefined;
      this.oldest++;
      this.#bytes -= batch.bytes.length;
    }
    // Moving what is left costs no more than what was taken off before.
    if (this.#head * 2 >= this.#batches.length) {
      this.#batches = this.#batches.slice(this.#head);
      this.#head = 0;
    }
    return true;
  }

  clear(): void {
    this.oldest += this.#batches.length - this.#head;
    this.#batches = [];
    this.#head = this.#bytes = 0;
  }
}
