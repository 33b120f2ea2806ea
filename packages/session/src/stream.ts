/** One stream: its two directions and its end. */
import type { FedError, Stream } from "@fed/core";
import type { CreditTuning } from "./credit.js";
import { ReceiveHalf, type ReceiveHost } from "./receive-half.js";
import { SendHalf, type SendHost } from "./send-half.js";

/** What a stream needs from its session. */
export interface StreamHost extends SendHost, ReceiveHost {
  /** The application has read from, written to or abandoned a stream for the first time. */
  touched(stream: SessionStream): void;
  /** Both directions are over; `reset` is the error to tell the peer, if it has to be told. */
  ended(stream: SessionStream, reset: FedError | undefined): void;
}

/** How a stream is made. */
export interface StreamInit {
  readonly id: number;
  readonly header: Uint8Array;
  readonly rank: number;
  /** Whether the peer opened it. */
  readonly incoming: boolean;
  /** Credit the peer gives to each stream, bytes. */
  readonly sendWindowBytes: number;
  /** Credit given to the peer. */
  readonly receiveCredit: CreditTuning;
}

/** One stream of a session. */
export class SessionStream implements Stream {
  readonly id: number;
  readonly header: Uint8Array;
  readonly incoming: boolean;
  /** The two directions, for the session. */
  readonly sending: SendHalf;
  readonly receiving: ReceiveHalf;
  readonly #host: StreamHost;
  #touched = false;
  #over = false;
  #error: FedError | undefined;
  #closed: PromiseWithResolvers<FedError | undefined> | undefined;

  constructor(host: StreamHost, init: StreamInit) {
    this.#host = host;
    this.id = init.id;
    this.header = init.header;
    this.incoming = init.incoming;
    this.sending = new SendHalf(host, init.id, init.rank, init.sendWindowBytes, () => this.settle());
    this.receiving = new ReceiveHalf(host, init.id, init.receiveCredit);
  }

  /** Whether the application has ever used it. */
  get untouched(): boolean {
    return !this.#touched;
  }

  send(message: Uint8Array, options?: { readonly end?: boolean }): Promise<void> {
    if (!this.#touched) this.#touch();
    return this.sending.send(message, options?.end ?? false);
  }

  end(): void {
    if (!this.#touched) this.#touch();
    this.sending.end();
  }

  receive(): Promise<Uint8Array | undefined> {
    if (!this.#touched) this.#touch();
    return this.receiving.receive();
  }

  reset(error: FedError): void {
    if (!this.#touched) this.#touch();
    this.fail(error, true);
  }

  get closed(): Promise<FedError | undefined> {
    if (!this.#closed) {
      this.#closed = Promise.withResolvers();
      if (this.#over) this.#closed.resolve(this.#error);
    }
    return this.#closed.promise;
  }

  /** Ends the stream if both directions are over. */
  settle(): void {
    if (this.#over || !this.sending.done || !this.receiving.done) return;
    // Who answered a stream that the peer opened has no more use for what it left unread.
    if (this.incoming) this.receiving.release();
    this.#finish(this.sending.error ?? this.receiving.error, undefined);
  }

  /** Abandons both directions with `error`, and tells the peer if `tell`. What was not read is dropped. */
  fail(error: FedError, tell: boolean): void {
    if (this.#over) {
      this.receiving.release();
      return;
    }
    this.sending.fail(error);
    this.receiving.fail(error);
    this.#finish(error, tell ? error : undefined);
  }

  /** The session is over: what arrived completely stays readable, the rest fails with `error`. */
  abandon(error: FedError): void {
    this.sending.fail(error);
    if (!this.receiving.done) this.receiving.fail(error);
    this.#finish(error, undefined);
  }

  #finish(error: FedError | undefined, reset: FedError | undefined): void {
    if (this.#over) return;
    this.#over = true;
    this.#error = error;
    this.#host.ended(this, reset);
    this.#closed?.resolve(error);
  }

  #touch(): void {
    this.#touched = true;
    this.#host.touched(this);
  }
}
