/** The sending direction of one stream. */
import type { FedError } from "@fed/core";
import { costOf, SendCredit } from "./credit.js";
import { messageTooLargeError, SessionError } from "./errors.js";
import { Fifo } from "./fifo.js";
import { CUT_FRAME_BYTES, FLAG_END_MESSAGE, FLAG_END_STREAM, FRAME_CLOSE, FRAME_DATA, HEADER_BYTES } from "./frame.js";
import type { FrameSource, Outbox } from "./outbox.js";

/** What a sending half needs from its session. */
export interface SendHost {
  readonly outbox: Outbox;
  /** The session's credit. */
  readonly sendCredit: SendCredit;
  /** Largest message the peer takes, bytes. */
  readonly maxMessageBytes: number;
  /** Calls {@link SendHalf.wake} at the next grant to the session. */
  park(half: SendHalf): void;
}

interface PendingMessage {
  readonly message: Uint8Array;
  offset: number;
  end: boolean;
  readonly resolve: () => void;
  readonly reject: (error: FedError) => void;
}

/** A chunk smaller than this waits for more credit, unless it finishes its message. */
const MIN_CHUNK_BYTES = 1024;
const sent = Promise.resolve();

/** The sending direction of one stream. */
export class SendHalf implements FrameSource {
  readonly rank: number;
  enlisted = false;
  readonly #host: SendHost;
  readonly #id: number;
  readonly #credit: SendCredit;
  readonly #finished: () => void;
  readonly #pending = new Fifo<PendingMessage>();
  #ending = false;
  #done = false;
  #error: FedError | undefined;

  /** `finished` is told once, when the last frame of this direction has been written. */
  constructor(host: SendHost, id: number, rank: number, windowBytes: number, finished: () => void) {
    this.#host = host;
    this.#id = id;
    this.rank = rank;
    this.#credit = new SendCredit(windowBytes);
    this.#finished = finished;
  }

  /** Why it was given up. */
  get error(): FedError | undefined {
    return this.#error;
  }

  /** Whether the last frame has been written, or the direction was given up. */
  get done(): boolean {
    return this.#done;
  }

  send(message: Uint8Array, end: boolean): Promise<void> {
    if (this.#error) return Promise.reject(this.#error);
    if (this.#ending) {
      return Promise.reject(new SessionError({ code: "CLOSED", message: "This direction of the stream has ended." }));
    }
    const { maxMessageBytes, outbox } = this.#host;
    if (message.length > maxMessageBytes) {
      return Promise.reject(
        messageTooLargeError(`A message of ${message.length} bytes; a stream carries at most ${maxMessageBytes}.`),
      );
    }
    this.#ending = end;
    const cost = costOf(message.length);
    if (
      this.#pending.size === 0 &&
      message.length <= CUT_FRAME_BYTES - HEADER_BYTES &&
      cost <= this.#allowance() &&
      outbox.admits(HEADER_BYTES + message.length, this.rank)
    ) {
      this.#write(message, 0, message.length, end ? FLAG_END_MESSAGE | FLAG_END_STREAM : FLAG_END_MESSAGE);
      return sent;
    }
    return new Promise((resolve, reject) => {
      this.#pending.push({ message, offset: 0, end, resolve, reject });
      this.wake();
    });
  }

  end(): void {
    if (this.#ending || this.#error) return;
    this.#ending = true;
    const last = this.#pending.last();
    if (last) last.end = true;
    else if (this.#host.outbox.admits(HEADER_BYTES, this.rank)) this.#writeClose();
    else this.#host.outbox.enlist(this);
  }

  /** The peer returned credit of this stream. */
  grant(bytes: number): void {
    this.#credit.grant(bytes);
    this.wake();
  }

  /** Takes its place in the outbox if it has something to send and the credit to do it. */
  wake(): void {
    if (this.#done || this.enlisted) return;
    if (this.#ready()) this.#host.outbox.enlist(this);
    else this.#park();
  }

  writeNext(roomBytes: number): boolean {
    if (this.#done) return false;
    const pending = this.#pending.peek();
    if (!pending) {
      if (this.#ending) this.#writeClose();
      return false;
    }
    if (!this.#ready()) {
      this.#park();
      return false;
    }
    const rest = pending.message.length - pending.offset;
    const length = Math.min(rest, Math.min(CUT_FRAME_BYTES, roomBytes, this.#allowance()) - HEADER_BYTES);
    const offset = pending.offset;
    pending.offset += length;
    if (length < rest) {
      this.#write(pending.message, offset, length, 0);
    } else {
      this.#pending.shift();
      this.#write(pending.message, offset, length, pending.end ? FLAG_END_MESSAGE | FLAG_END_STREAM : FLAG_END_MESSAGE);
      pending.resolve();
    }
    if (this.#pending.size === 0) return false;
    if (this.#ready()) return true;
    this.#park();
    return false;
  }

  /** Gives this direction up: what waits fails with `error`, and so does every later send. */
  fail(error: FedError): void {
    if (this.#error) return;
    this.#error = error;
    this.#done = true;
    for (let pending = this.#pending.shift(); pending; pending = this.#pending.shift()) pending.reject(error);
  }

  /** The peer reads no more: what waits fails with `error`, and the direction is closed. */
  stop(error: FedError): void {
    if (this.#done) return;
    this.fail(error);
    this.#host.outbox.send(FRAME_CLOSE, 0, this.#id);
    this.#finished();
  }

  /**
   * Bytes that a frame may cost now. A stream may hold no more of the session's credit than it leaves to the others,
   * so that streams nobody reads never use it up; control streams may take the rest.
   */
  #allowance(): number {
    const session = this.#host.sendCredit.available;
    const own = this.#credit.available;
    const share = this.rank === 0 ? session : session - this.#credit.outstanding;
    return Math.min(own, session, share);
  }

  #ready(): boolean {
    const pending = this.#pending.peek();
    return pending ? this.#allowance() >= leastCost(pending) : this.#ending && !this.#done;
  }

  /**
   * Waits for credit of the session. A stream without credit of its own does not: the grant wakes it, and grants to the
   * session must not cost the work of waking many that cannot go on.
   */
  #park(): void {
    const pending = this.#pending.peek();
    if (pending && this.#credit.available >= leastCost(pending)) this.#host.park(this);
  }

  #write(from: Uint8Array, offset: number, length: number, flags: number): void {
    const cost = costOf(length);
    this.#credit.spend(cost);
    this.#host.sendCredit.spend(cost);
    this.#host.outbox.append(FRAME_DATA, flags, this.#id, from, offset, length);
    if (flags & FLAG_END_STREAM) this.#finish();
  }

  #writeClose(): void {
    this.#host.outbox.append(FRAME_CLOSE, 0, this.#id, new Uint8Array(0), 0, 0);
    this.#finish();
  }

  #finish(): void {
    this.#done = true;
    this.#finished();
  }
}

/** What the next frame of a message costs at least. */
function leastCost({ message, offset }: PendingMessage): number {
  return costOf(Math.min(message.length - offset, MIN_CHUNK_BYTES));
}
