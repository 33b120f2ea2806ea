/** The in-memory {@link Connection}: two ends that hand each other copies of messages, later and in order. */
import { encodeHex, randomBytes } from "../bytes.js";
import type { Clock } from "../clock.js";
import { CoreError, type FedError, toFedError } from "../errors.js";
import type { PeerIdentity } from "../identity.js";
import type { PeerError } from "../peer-error.js";
import type { Connection, ConnectionHandler } from "../transport.js";

/** Above this many bytes that the receiver has not taken, `send` returns false. */
const highWaterBytes = 256 * 1024;
/** At this many or fewer, `drained` resolves. */
const lowWaterBytes = 64 * 1024;
/** A sender that ignores `false` for this long is broken, and is told so. */
const maxQueuedBytes = 64 * 1024 * 1024;

/** What lies between the two ends. */
export interface Medium {
  readonly clock: Clock;
  /** One way. 0: the next microtask. */
  readonly latencyMs: number;
  readonly maxMessageBytes: number;
  /** While true nothing arrives; it is delivered once the cut has healed. */
  isCut(): boolean;
}

/** What one end is told about itself. */
export interface EndInit {
  readonly transport: string;
  readonly peer: PeerIdentity | undefined;
  readonly remoteAddress: string;
  readonly greeting?: Uint8Array | undefined;
}

type Item = { readonly bytes: Uint8Array } | { readonly closed: FedError | undefined };

interface Waiter {
  resolve(): void;
  reject(error: FedError): void;
}

/** Two connected ends, initiator first. */
export function createConnectionPair(
  medium: Medium,
  initiator: EndInit,
  responder: EndInit,
): [MemoryConnection, MemoryConnection] {
  const a = new MemoryConnection(medium, "initiator", initiator);
  const b = new MemoryConnection(medium, "responder", responder);
  a.join(b);
  b.join(a);
  return [a, b];
}

/** One end. Made by {@link createConnectionPair} only. */
export class MemoryConnection implements Connection {
  readonly id: string;
  readonly transport: string;
  readonly role: "initiator" | "responder";
  readonly peer: PeerIdentity | undefined;
  readonly remoteAddress: string;
  readonly maxMessageBytes: number;
  readonly greeting: Uint8Array | undefined;
  readonly #medium: Medium;
  #other!: MemoryConnection;
  #handler: ConnectionHandler | undefined;

  #outgoing: Item[] = [];
  #due = 0;
  #flushing = false;
  #queuedBytes = 0;
  #drains: Waiter[] = [];
  /** Nothing more goes out: closed here, or the other end's close has arrived. */
  #sendEnded = false;

  #inbox: Item[] = [];
  #paused = false;
  #delivering = false;
  /** Nothing more comes in, and `closed` has been reported or is about to be. */
  #receiveEnded = false;
  #result: { readonly error: FedError | undefined } | undefined;

  constructor(medium: Medium, role: "initiator" | "responder", init: EndInit) {
    this.id = `${init.transport}-${encodeHex(randomBytes(8))}`;
    this.transport = init.transport;
    this.role = role;
    this.peer = init.peer;
    this.remoteAddress = init.remoteAddress;
    this.maxMessageBytes = medium.maxMessageBytes;
    this.greeting = init.greeting;
    this.#medium = medium;
  }

  join(other: MemoryConnection): void {
    this.#other = other;
  }

  /** Whether this end is done. */
  get over(): boolean {
    return this.#receiveEnded;
  }

  start(handler: ConnectionHandler): void {
    if (this.#handler) {
      throw new CoreError({ code: "ALREADY_STARTED", message: "The connection has been started before." });
    }
    this.#handler = handler;
    const result = this.#result;
    queueMicrotask(() => (result ? handler.closed(result.error) : this.#deliver()));
  }

  send(message: Uint8Array): boolean {
    if (this.#sendEnded) throw closedError();
    if (message.length === 0 || message.length > this.maxMessageBytes) {
      throw new CoreError({
        code: "MESSAGE_TOO_LARGE",
        message: `A message of ${message.length} bytes; 1 to ${this.maxMessageBytes} can be sent.`,
      });
    }
    this.#queuedBytes += message.length;
    if (this.#queuedBytes > maxQueuedBytes) {
      this.close(
        new CoreError({
          code: "SEND_QUEUE_FULL",
          message: `More than ${maxQueuedBytes} bytes were queued although send() returned false.`,
          hint: "Wait for drained() when send() returns false.",
        }),
      );
      return false;
    }
    this.#transmit({ bytes: message });
    return this.#queuedBytes <= highWaterBytes;
  }

  drained(): Promise<void> {
    if (this.#sendEnded) return Promise.reject(closedError());
    if (this.#queuedBytes <= lowWaterBytes) return Promise.resolve();
    return new Promise((resolve, reject) => this.#drains.push({ resolve, reject }));
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    queueMicrotask(() => this.#deliver());
  }

  close(error?: FedError): void {
    if (this.#receiveEnded) return;
    if (error) this.fail(error);
    else this.#endHere(undefined);
    this.#transmit({ closed: error && lostError() });
  }

  /** Ends it before anybody has had it: the other end hears `error`. */
  refuse(error: PeerError): void {
    this.#endHere(error);
    this.#transmit({ closed: error });
  }

  /** Ends this end at once with `error`; what was under way is lost and the other end hears nothing. */
  fail(error: FedError): void {
    if (this.#receiveEnded) return;
    this.#outgoing = [];
    this.#endHere(error);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }

  /** Delivers what a cut held back. */
  flush(): void {
    this.#flushing = false;
    if (this.#medium.isCut()) return;
    const arrived = this.#outgoing.splice(0, this.#medium.latencyMs > 0 ? this.#due : this.#outgoing.length);
    this.#due = 0;
    for (const item of arrived) this.#other.#arrive(item);
  }

  #transmit(item: Item): void {
    this.#outgoing.push(item);
    if (this.#medium.latencyMs > 0) {
      this.#medium.clock.setTimer(this.#medium.latencyMs, () => {
        this.#due++;
        this.flush();
      });
    } else if (!this.#flushing) {
      this.#flushing = true;
      queueMicrotask(() => this.flush());
    }
  }

  #arrive(item: Item): void {
    if (this.#receiveEnded) return;
    this.#inbox.push(item);
    if ("closed" in item) this.#endSending();
    this.#deliver();
  }

  #deliver(): void {
    if (this.#delivering) return;
    this.#delivering = true;
    while (this.#handler && !this.#paused && !this.#receiveEnded) {
      const item = this.#inbox.shift();
      if (!item) break;
      if ("closed" in item) {
        this.#receiveEnded = true;
        this.#finish(item.closed);
        break;
      }
      this.#other.#taken(item.bytes.length);
      try {
        // Copied as late as here, so that a sender which changes its buffer afterwards is found out.
        this.#handler.message(item.bytes.slice());
      } catch (cause) {
        this.close(toFedError(cause, "The handler of a message failed."));
      }
    }
    this.#delivering = false;
  }

  #taken(length: number): void {
    this.#queuedBytes -= length;
    if (this.#queuedBytes > lowWaterBytes) return;
    for (const waiter of this.#drains.splice(0)) waiter.resolve();
  }

  #endHere(error: FedError | undefined): void {
    this.#receiveEnded = true;
    this.#inbox = [];
    this.#endSending();
    queueMicrotask(() => this.#finish(error));
  }

  #endSending(): void {
    this.#sendEnded = true;
    for (const waiter of this.#drains.splice(0)) waiter.reject(closedError());
  }

  #finish(error: FedError | undefined): void {
    this.#result = { error };
    this.#handler?.closed(error);
  }
}

function closedError(): CoreError {
  return new CoreError({ code: "CLOSED", message: "The connection is closed." });
}

function lostError(): CoreError {
  return new CoreError({
    code: "CLOSED",
    message: "The other side broke the connection off.",
    hint: "Dial again.",
    retryable: true,
  });
}
