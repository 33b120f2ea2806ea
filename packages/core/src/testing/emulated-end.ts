/** One end of an emulated connection: it holds what is sent until it would have arrived. */
import type { Clock } from "../clock.js";
import { CoreError, type FedError } from "../errors.js";
import type { HubId, PeerIdentity } from "../identity.js";
import type { Connection, ConnectionHandler } from "../transport.js";
import type { Conditions } from "./emulator.js";

/** What an end is told about its surroundings. */
export interface EndOptions {
  readonly self: HubId;
  readonly peer: HubId | undefined;
  readonly clock: Clock;
  readonly random: () => number;
  readonly conditions: Conditions;
  /** Whether nothing arrives at the other end now. */
  isHole(): boolean;
  /** Bytes on their way now. */
  queued(bytes: number): void;
  over(): void;
}

const retransmitMs = 200;

/** See the module header. */
export class EmulatedEnd implements Connection {
  readonly id: string;
  readonly transport: string;
  readonly role: "initiator" | "responder";
  readonly peer: PeerIdentity | undefined;
  readonly remoteAddress: string;
  readonly maxMessageBytes: number;
  readonly greeting: Uint8Array | undefined;
  readonly self: HubId;
  readonly peerId: HubId | undefined;
  readonly #inner: Connection;
  readonly #options: EndOptions;
  #handler: ConnectionHandler | undefined;
  /** In order; undefined is the end of the connection. */
  #queue: (Uint8Array | undefined)[] = [];
  /** How many of the queue would have arrived by now. */
  #due = 0;
  #queuedBytes = 0;
  #lastDueMs = 0;
  /** When the medium has taken what was sent so far. */
  #busyUntilMs = 0;
  #drains: PromiseWithResolvers<void>[] = [];
  #closing = false;
  #over = false;
  #result: FedError | undefined;

  constructor(inner: Connection, options: EndOptions) {
    this.#inner = inner;
    this.#options = options;
    this.self = options.self;
    this.peerId = options.peer;
    this.id = inner.id;
    this.transport = inner.transport;
    this.role = inner.role;
    this.peer = inner.peer;
    this.remoteAddress = inner.remoteAddress;
    this.maxMessageBytes = inner.maxMessageBytes;
    this.greeting = inner.greeting;
  }

  start(handler: ConnectionHandler): void {
    this.#handler = handler;
    if (this.#over) queueMicrotask(() => handler.closed(this.#result));
    this.#inner.start({
      message: (bytes) => {
        // A broken end is deaf: what the other one sends is lost.
        if (!this.#over) handler.message(bytes);
      },
      closed: (error) => this.#finish(error),
    });
  }

  send(message: Uint8Array): boolean {
    if (this.#over || this.#closing) throw closedError();
    if (message.length === 0 || message.length > this.maxMessageBytes) {
      throw new CoreError({
        code: "MESSAGE_TOO_LARGE",
        message: `A message of ${message.length} bytes; 1 to ${this.maxMessageBytes} can be sent.`,
      });
    }
    this.#queuedBytes += message.length;
    this.#options.queued(this.#queuedBytes);
    // Copied, so that a sender which changes its buffer afterwards does no harm to what it may have to send again.
    this.#enqueue(message.slice());
    return this.#queuedBytes <= this.#options.conditions.bufferBytes;
  }

  drained(): Promise<void> {
    if (this.#over) return Promise.reject(closedError());
    if (this.#queuedBytes <= this.#lowWaterBytes) return Promise.resolve();
    const waiter = Promise.withResolvers<void>();
    this.#drains.push(waiter);
    return waiter.promise;
  }

  pause(): void {
    this.#inner.pause();
  }

  resume(): void {
    this.#inner.resume();
  }

  close(error?: FedError): void {
    if (this.#over || this.#closing) return;
    this.#closing = true;
    if (!error) {
      this.#enqueue(undefined);
      this.#finish(undefined);
      return;
    }
    this.#finish(error);
    // The other end hears of it, unless nothing gets there.
    if (!this.#options.isHole()) this.#inner.close(error);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }

  /** Ends here, as when a cable is cut or a middlebox has forgotten it. What is on its way is lost. */
  break(): void {
    this.#queue = [];
    this.#finish(new CoreError({ code: "CLOSED", message: "The connection was reset.", retryable: true }));
  }

  /** Hands over what would have arrived by now. */
  flush(): void {
    while (this.#due > 0 && this.#queue.length > 0 && !this.#options.isHole()) {
      this.#due--;
      const message = this.#queue.shift();
      if (!message) {
        this.#inner.close();
        return;
      }
      this.#queuedBytes -= message.length;
      try {
        this.#inner.send(message);
      } catch {
        // The other end is gone, and says so itself.
      }
    }
    if (this.#queuedBytes > this.#lowWaterBytes) return;
    for (const waiter of this.#drains.splice(0)) waiter.resolve();
  }

  get #lowWaterBytes(): number {
    return this.#options.conditions.bufferBytes / 4;
  }

  #enqueue(item: Uint8Array | undefined): void {
    const { clock, random, conditions } = this.#options;
    const { latencyMs, jitterMs, rate, loss } = conditions;
    const nowMs = clock.monotonicMs();
    this.#busyUntilMs = Math.max(this.#busyUntilMs, nowMs) + ((item?.length ?? 0) * 1000) / rate;
    let travelMs = latencyMs + random() * jitterMs;
    for (let wait = retransmitMs; random() < loss; wait *= 2) travelMs += wait;
    this.#lastDueMs = Math.max(this.#lastDueMs, this.#busyUntilMs + travelMs);
    this.#queue.push(item);
    clock.setTimer(this.#lastDueMs - nowMs, () => {
      this.#due++;
      this.flush();
    });
  }

  #finish(error: FedError | undefined): void {
    if (this.#over) return;
    this.#over = true;
    this.#result = error;
    this.#options.over();
    for (const waiter of this.#drains.splice(0)) waiter.reject(closedError());
    const handler = this.#handler;
    queueMicrotask(() => handler?.closed(error));
  }
}

function closedError(): CoreError {
  return new CoreError({ code: "CLOSED", message: "The connection is closed." });
}
