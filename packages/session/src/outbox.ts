/**
 * What leaves a session, and in which order: docs/spec/session.md §6. It knows no connections: the session's paths take
 * one transport message after the other from it.
 *
 * Frames of one turn share a message. While a path takes more, a frame is written straight into that message; otherwise
 * frames of the session wait in one lane and streams with something to send in a ring per class. The lane goes first,
 * then the highest class; inside a class each stream writes one frame in turn. Streams wait as well while enough is under
 * way: see {@link FlightWindow}.
 */
import type { FedError } from "@fed/core";
import { floodError } from "./errors.js";
import { Fifo } from "./fifo.js";
import type { FlightWindow } from "./flight-window.js";
import { CUT_FRAME_BYTES, encodeFrameHeader, FULL_MESSAGE_BYTES, HEADER_BYTES, MAX_OPEN_BYTES } from "./frame.js";
import type { Batch, ResendBuffer } from "./resend-buffer.js";

/** Something with frames of its own: the sending half of a stream. */
export interface FrameSource {
  /** 0 control, 1 call, 2 event, 3 bulk. */
  readonly rank: number;
  /** Whether it stands in a ring; only the outbox changes it. */
  enlisted: boolean;
  /**
   * Writes at most one frame, of at most `roomBytes` bytes, with {@link Outbox.append}.
   * @returns whether it could write another one now.
   */
  writeNext(roomBytes: number): boolean;
}

interface LaneFrame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly body: Uint8Array;
}

/** Largest transport message: a whole OPEN frame fits. */
export const MAX_BATCH_BYTES = HEADER_BYTES + MAX_OPEN_BYTES;
const empty = new Uint8Array(0);

/** What an outbox tells. */
export interface OutboxEvents {
  /** Something waits that may go; called once at the end of a turn. */
  ready(): void;
  /** The lane overflows. */
  fail(error: FedError): void;
}

/** The sending side of a session. */
export class Outbox {
  /** Frames written. */
  sequence = 0;
  readonly flight: FlightWindow;
  readonly #resend: ResendBuffer;
  readonly #maxQueuedFrames: number;
  readonly #events: OutboxEvents;
  readonly #lane = new Fifo<LaneFrame>();
  readonly #rings = [
    new Fifo<FrameSource>(),
    new Fifo<FrameSource>(),
    new Fifo<FrameSource>(),
    new Fifo<FrameSource>(),
  ] as const;
  readonly #tellReady = () => {
    this.#scheduled = false;
    this.#events.ready();
  };
  #waiting = 0;
  #slab: Uint8Array = empty;
  #start = 0;
  #end = 0;
  #blocked = true;
  #scheduled = false;
  #stopped = false;

  constructor(resend: ResendBuffer, flight: FlightWindow, maxQueuedFrames: number, events: OutboxEvents) {
    this.#resend = resend;
    this.flight = flight;
    this.#maxQueuedFrames = maxQueuedFrames;
    this.#events = events;
  }

  /** Whether no path takes a message now. Set by the session's paths. */
  set blocked(blocked: boolean) {
    this.#blocked = blocked;
  }

  get blocked(): boolean {
    return this.#blocked;
  }

  /** Whether something waits that has not been written. */
  get waiting(): boolean {
    return this.#waiting > 0 || this.#lane.size > 0;
  }

  /** Sends a frame ahead of all streams' frames. Its body must not change until it has left. */
  send(type: number, flags: number, stream: number, body: Uint8Array = empty): void {
    if (this.#stopped) return;
    if (this.#lane.size === 0 && this.#fits(HEADER_BYTES + body.length)) {
      this.append(type, flags, stream, body, 0, body.length);
      return;
    }
    if (this.#lane.size >= this.#maxQueuedFrames) {
      this.#events.fail(floodError("The peer asks for more answers than it reads."));
      return;
    }
    this.#lane.push({ type, flags, stream, body });
    this.#schedule();
  }

  /** Whether a source of class `rank` that stands in no ring may write a frame of `bytes` bytes at once, ahead of nobody. */
  admits(bytes: number, rank: number): boolean {
    if (this.waiting || this.#stopped || !this.#fits(bytes)) return false;
    return this.flight.admits(rank, this.#resend.bytes + this.#end - this.#start);
  }

  /** Puts a source with something to send into the ring of its class, unless it stands there. */
  enlist(source: FrameSource): void {
    if (source.enlisted || this.#stopped) return;
    source.enlisted = true;
    this.#rings[source.rank]!.push(source);
    this.#waiting++;
    this.#schedule();
  }

  /** Writes one frame whose body is `length` bytes of `from` at `offset`. Only after {@link admits}, or in `writeNext`. */
  append(type: number, flags: number, stream: number, from: Uint8Array, offset: number, length: number): void {
    const frameBytes = HEADER_BYTES + length;
    if (this.#slab.length - this.#end < frameBytes) this.#moveToNewSlab();
    const at = encodeFrameHeader(this.#slab, this.#end, type, flags, stream, length);
    if (length > 0) this.#slab.set(length === from.length ? from : from.subarray(offset, offset + length), at);
    this.#end += frameBytes;
    this.sequence++;
    this.#schedule();
  }

  /** The next transport message, kept in the resend buffer; undefined when there is nothing that may go now. */
  cut(): Batch | undefined {
    this.#fill();
    if (this.#end === this.#start) return undefined;
    const bytes = this.#slab.subarray(this.#start, this.#end);
    this.#start = this.#end;
    const batch = { bytes, first: this.#resend.sequence, next: this.sequence };
    this.#resend.push(batch);
    this.flight.cut(bytes.length, batch.next, this.#resend.bytes);
    return batch;
  }

  /** Everything has been acknowledged: an idle session need not keep its memory. */
  rest(): void {
    if (this.#end !== this.#start) return;
    this.#slab = empty;
    this.#start = this.#end = 0;
  }

  /** Drops everything that has not left. Nothing is sent afterwards. */
  stop(): void {
    this.#stopped = true;
    this.#lane.clear();
    for (const ring of this.#rings) ring.clear();
    this.#slab = empty;
    this.#start = this.#end = 0;
  }

  #fits(frameBytes: number): boolean {
    return !this.#blocked && this.#end - this.#start + frameBytes <= MAX_BATCH_BYTES;
  }

  #schedule(): void {
    if (this.#scheduled || this.#blocked) return;
    this.#scheduled = true;
    queueMicrotask(this.#tellReady);
  }

  /** Fills the current transport message from the lane, then from the rings. */
  #fill(): void {
    for (let frame = this.#lane.peek(); frame; frame = this.#lane.peek()) {
      if (!this.#fits(HEADER_BYTES + frame.body.length)) return;
      this.#lane.shift();
      this.append(frame.type, frame.flags, frame.stream, frame.body, 0, frame.body.length);
    }
    while (this.#waiting > 0) {
      // A longer message would delay others by its own length, and arrive in pieces.
      const filled = this.#end - this.#start;
      if (filled >= FULL_MESSAGE_BYTES) return;
      const ring = this.#rings.find((candidate) => candidate.size > 0)!;
      if (!this.flight.admits(ring.peek()!.rank, this.#resend.bytes + filled)) return;
      const source = ring.shift()!;
      source.enlisted = false;
      this.#waiting--;
      if (source.writeNext(CUT_FRAME_BYTES - filled)) {
        source.enlisted = true;
        ring.push(source);
        this.#waiting++;
      }
    }
  }

  /**
   * Messages are cut one after another from a slab that is never written twice: a transport may hold on to what it was
   * given, and it may have to be sent again. The unfinished message moves along.
   */
  #moveToNewSlab(): void {
    const slab = new Uint8Array(MAX_BATCH_BYTES);
    slab.set(this.#slab.subarray(this.#start, this.#end));
    this.#slab = slab;
    this.#end -= this.#start;
    this.#start = 0;
  }
}
