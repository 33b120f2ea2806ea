/** One stream of the in-memory session: whole messages both ways, each direction with its own window. */
import { abortedError, CoreError, type FedError } from "../errors.js";
import type { Stream } from "../session.js";

/** Bytes a sender may be ahead of the receiving application. A larger message goes alone, into an empty window. */
const windowBytes = 256 * 1024;
/** What a message costs besides its bytes, so that empty ones are bounded too. */
const messageCost = 16;

/** What a stream asks of its session. */
export interface StreamLink {
  readonly maxMessageBytes: number;
  data(id: number, message: Uint8Array, end: boolean): void;
  end(id: number): void;
  credit(id: number, bytes: number): void;
  reset(id: number, error: FedError): void;
  /** The stream is over on both sides; its slot is free. */
  over(stream: MemoryStream): void;
}

interface Sending {
  readonly message: Uint8Array;
  readonly end: boolean;
  resolve(): void;
  reject(error: FedError): void;
}

interface Receiving {
  resolve(message: Uint8Array | undefined): void;
  reject(error: FedError): void;
}

/** Made by the in-memory session only. */
export class MemoryStream implements Stream {
  readonly id: number;
  readonly header: Uint8Array;
  readonly closed: Promise<FedError | undefined>;
  readonly #link: StreamLink;
  readonly #resolveClosed: (error: FedError | undefined) => void;
  readonly #unwatch: () => void;

  #sending: Sending[] = [];
  #unreceivedCost = 0;
  /** end() was called, or a message with `end` is queued. */
  #ending = false;
  #sentEnd = false;

  #received: Uint8Array[] = [];
  #receiving: Receiving[] = [];
  #receivedEnd = false;
  #failure: FedError | undefined;
  #over = false;

  constructor(link: StreamLink, id: number, header: Uint8Array, signal?: AbortSignal) {
    this.#link = link;
    this.id = id;
    this.header = header;
    const { promise, resolve } = Promise.withResolvers<FedError | undefined>();
    this.closed = promise;
    this.#resolveClosed = resolve;
    const aborted = () => this.reset(abortedError(signal!));
    signal?.addEventListener("abort", aborted, { once: true });
    this.#unwatch = () => signal?.removeEventListener("abort", aborted);
  }

  send(message: Uint8Array, options: { readonly end?: boolean } = {}): Promise<void> {
    if (this.#failure) return Promise.reject(this.#failure);
    if (this.#ending) {
      return Promise.reject(new CoreError({ code: "CLOSED", message: "This direction of the stream is finished." }));
    }
    if (message.length > this.#link.maxMessageBytes) {
      return Promise.reject(
        new CoreError({
          code: "MESSAGE_TOO_LARGE",
          message: `A message of ${message.length} bytes; at most ${this.#link.maxMessageBytes} can be sent.`,
        }),
      );
    }
    const end = options.end ?? false;
    this.#ending = end;
    return new Promise((resolve, reject) => {
      this.#sending.push({ message, end, resolve, reject });
      this.#pump();
    });
  }

  end(): void {
    if (this.#ending || this.#failure) return;
    this.#ending = true;
    this.#pump();
  }

  receive(): Promise<Uint8Array | undefined> {
    const message = this.#received.shift();
    if (message) {
      this.#link.credit(this.id, message.length + messageCost);
      return Promise.resolve(message);
    }
    if (this.#failure) return Promise.reject(this.#failure);
    if (this.#receivedEnd) return Promise.resolve(undefined);
    return new Promise((resolve, reject) => this.#receiving.push({ resolve, reject }));
  }

  reset(error: FedError): void {
    if (this.#over) return;
    this.#link.reset(this.id, error);
    this.fail(error);
  }

  /** The peer sent a message. */
  takeMessage(message: Uint8Array, end: boolean): void {
    if (this.#failure || this.#receivedEnd) return;
    const waiting = this.#receiving.shift();
    if (waiting) {
      this.#link.credit(this.id, message.length + messageCost);
      waiting.resolve(message);
    } else {
      this.#received.push(message);
    }
    if (end) this.takeEnd();
  }

  /** The peer finished its direction. */
  takeEnd(): void {
    if (this.#failure || this.#receivedEnd) return;
    this.#receivedEnd = true;
    for (const waiting of this.#receiving.splice(0)) waiting.resolve(undefined);
    this.#endIfFinished();
  }

  /** The peer's application received messages of this cost. */
  takeCredit(cost: number): void {
    this.#unreceivedCost -= cost;
    this.#pump();
  }

  /** Both directions are lost; nobody is told but the users of this end. */
  fail(error: FedError): void {
    if (this.#over) return;
    this.#failure = error;
    this.#received = [];
    for (const sending of this.#sending.splice(0)) sending.reject(error);
    for (const waiting of this.#receiving.splice(0)) waiting.reject(error);
    this.#finish(error);
  }

  #pump(): void {
    if (this.#failure || this.#sentEnd) return;
    for (let next = this.#sending[0]; next !== undefined; next = this.#sending[0]) {
      const cost = next.message.length + messageCost;
      if (this.#unreceivedCost > 0 && this.#unreceivedCost + cost > windowBytes) return;
      this.#unreceivedCost += cost;
      this.#sending.shift();
      this.#link.data(this.id, next.message, next.end);
      next.resolve();
      if (next.end) this.#sentEnd = true;
    }
    if (this.#ending && !this.#sentEnd) {
      this.#sentEnd = true;
      this.#link.end(this.id);
    }
    this.#endIfFinished();
  }

  #endIfFinished(): void {
    if (this.#sentEnd && this.#receivedEnd) this.#finish(undefined);
  }

  #finish(error: FedError | undefined): void {
    if (this.#over) return;
    this.#over = true;
    this.#unwatch();
    this.#link.over(this);
    this.#resolveClosed(error);
  }
}
