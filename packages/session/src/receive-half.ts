/** The receiving direction of one stream. */
import type { FedError } from "@fed/core";
import { type Assembler, Assembly, type AssemblyBudget } from "./assembly.js";
import { type CreditTuning, costOf, ReceiveCredit } from "./credit.js";
import { messageTooLargeError, protocolError, type SessionError } from "./errors.js";
import { Fifo } from "./fifo.js";
import { FLAG_END_MESSAGE, FLAG_END_STREAM, FRAME_CREDIT, writeU32 } from "./frame.js";
import type { Outbox } from "./outbox.js";

/** What a receiving half needs from its session. */
export interface ReceiveHost {
  readonly outbox: Outbox;
  readonly assemblyBudget: AssemblyBudget;
  /** Largest message taken, bytes. */
  readonly maxReceiveBytes: number;
  /** Bytes the peer may still send on the session. */
  readonly receiveRoom: number;
  /** The application has read bytes that cost `cost` of the session's credit. */
  consumed(cost: number): void;
}

interface Received {
  readonly message: Uint8Array;
  readonly cost: number;
}

interface Waiter {
  readonly resolve: (message: Uint8Array | undefined) => void;
  readonly reject: (error: FedError) => void;
}

/** The receiving direction of one stream. */
export class ReceiveHalf implements Assembler {
  readonly #host: ReceiveHost;
  readonly #id: number;
  readonly #credit: ReceiveCredit;
  readonly #queue = new Fifo<Received>();
  readonly #waiters = new Fifo<Waiter>();
  #assembly: Assembly | undefined;
  /** Cost of the assembled part that the session has not been given back. */
  #assembledCost = 0;
  /** Cost of the assembled part that the stream has not been given back. */
  #withheldCost = 0;
  /** Cost of what waits unread, for the session. */
  #heldCost = 0;
  #ended = false;
  #error: FedError | undefined;

  constructor(host: ReceiveHost, id: number, tuning: CreditTuning) {
    this.#host = host;
    this.#id = id;
    this.#credit = new ReceiveCredit(tuning);
  }

  /** Why it was given up. */
  get error(): FedError | undefined {
    return this.#error;
  }

  /** Whether the peer has finished this direction, or it was given up. */
  get done(): boolean {
    return this.#ended;
  }

  /**
   * Takes the body of a DATA frame, a view into a transport message.
   * @returns an error when the message grows above the limit: the caller tells the peer to stop.
   * @throws {SessionError} PROTOCOL_ERROR when the peer had finished, or has no credit for it.
   */
  data(body: Uint8Array, flags: number): SessionError | undefined {
    if (this.#ended) throw protocolError("The peer sent on a direction that it had finished.");
    const cost = costOf(body.length);
    this.#credit.receive(cost);
    if (this.#error) {
      this.#host.consumed(cost);
    } else if (!this.#assembly && flags & FLAG_END_MESSAGE) {
      if (body.length > this.#host.maxReceiveBytes) return this.#refuse(cost);
      this.#deliver(body, cost, cost);
    } else {
      this.#assembly ??= new Assembly(this.#host.maxReceiveBytes);
      if (this.#assembly.length + body.length > this.#host.maxReceiveBytes) return this.#refuse(cost);
      this.#assemble(this.#assembly, body, cost, (flags & FLAG_END_MESSAGE) !== 0);
    }
    if (flags & FLAG_END_STREAM) this.end();
    return undefined;
  }

  /**
   * The peer has finished this direction.
   * @throws {SessionError} PROTOCOL_ERROR inside a message, or twice.
   */
  end(): void {
    if (this.#ended || this.#assembly) throw protocolError("The peer ended a direction twice or inside a message.");
    this.#ended = true;
    for (let waiter = this.#waiters.shift(); waiter; waiter = this.#waiters.shift()) waiter.resolve(undefined);
  }

  receive(): Promise<Uint8Array | undefined> {
    const received = this.#queue.shift();
    if (received) {
      const held = Math.min(received.cost, this.#heldCost);
      this.#heldCost -= held;
      this.#host.consumed(held);
      this.#grant(received.cost);
      return Promise.resolve(received.message);
    }
    if (this.#error) return Promise.reject(this.#error);
    if (this.#ended) return Promise.resolve(undefined);
    return new Promise((resolve, reject) => {
      this.#waiters.push({ resolve, reject });
      this.resume();
    });
  }

  /** Grants what has been assembled, as far as somebody waits for the message and the budget allows. */
  resume(): void {
    if (this.#waiters.size === 0 || !this.#assembly) return;
    this.#host.consumed(this.#assembledCost);
    this.#assembledCost = 0;
    if (this.#withheldCost === 0 || !this.#host.assemblyBudget.admits(this)) return;
    const cost = this.#withheldCost;
    this.#withheldCost = 0;
    this.#grant(cost);
  }

  /** Grants what is owed if it has become much for the room that the session has left. */
  relieve(): void {
    this.#grant(0);
  }

  /** Gives the session its credit back for what nobody may ever read; the messages stay readable. */
  release(): void {
    this.#host.consumed(this.#heldCost);
    this.#heldCost = 0;
  }

  /** Gives this direction up: what was not read is dropped, and every receive fails with `error`. */
  fail(error: FedError): void {
    this.#error ??= error;
    this.#queue.clear();
    this.release();
    this.#dropAssembly();
    this.#ended = true;
    for (let waiter = this.#waiters.shift(); waiter; waiter = this.#waiters.shift()) waiter.reject(error);
  }

  #deliver(message: Uint8Array, cost: number, unpaid: number): void {
    const waiter = this.#waiters.shift();
    if (waiter) {
      this.#host.consumed(unpaid);
      this.#grant(cost);
      waiter.resolve(message);
      return;
    }
    this.#heldCost += unpaid;
    this.#queue.push({ message: compact(message), cost });
  }

  #assemble(assembly: Assembly, body: Uint8Array, cost: number, last: boolean): void {
    assembly.append(body);
    this.#assembledCost += cost;
    this.#withheldCost += cost;
    if (last) {
      const unpaid = this.#assembledCost;
      const withheld = this.#withheldCost;
      this.#dropAssembly(true);
      this.#deliver(assembly.finish(), withheld, unpaid);
    } else {
      this.#host.assemblyBudget.add(this, body.length);
      this.resume();
    }
  }

  /** Stops reading: the direction fails here, and what still arrives until the peer closes it is discarded. */
  #refuse(cost: number): SessionError {
    const error = messageTooLargeError(`The peer sent a message of more than ${this.#host.maxReceiveBytes} bytes.`);
    this.fail(error);
    this.#ended = false;
    this.#host.consumed(cost);
    return error;
  }

  #dropAssembly(finished = false): void {
    if (!this.#assembly) return;
    this.#assembly = undefined;
    if (!finished) this.#host.consumed(this.#assembledCost);
    this.#assembledCost = this.#withheldCost = 0;
    this.#host.assemblyBudget.release(this);
  }

  #grant(cost: number): void {
    if (this.#ended) return;
    // The sender gives a stream no more of the session's credit than it leaves: what is owed must stay well below that.
    const increment = this.#credit.consume(cost, this.#host.receiveRoom / 4);
    if (increment === 0) return;
    const body = new Uint8Array(4);
    writeU32(body, 0, increment);
    this.#host.outbox.send(FRAME_CREDIT, 0, this.#id, body);
  }
}

/** The message in a buffer not much larger than itself: a small one must not keep a whole transport message alive. */
function compact(message: Uint8Array): Uint8Array {
  return message.buffer.byteLength > 2 * message.length ? message.slice() : message;
}
