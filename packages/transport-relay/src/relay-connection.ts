/** A {@link Connection} of encrypted records through a relay. docs/spec/relay.md §7. */
import {
  type Clock,
  type Connection,
  type ConnectionHandler,
  CoreError,
  concatBytes,
  encodeUtf8,
  type FedError,
  PeerError,
  type PeerIdentity,
  toFedError,
} from "@fed/core";
import { RelayError } from "./errors.js";
import { decodeErrorCode, encodeErrorCode } from "./handshake-payload.js";
import { createKeyRenewal, type KeyRenewal, type RekeyLimits } from "./key-renewal.js";
import type { NoiseKeyPair, NoiseKeys } from "./noise.js";
import { createOrderedChannel, type OrderedChannel, recordType } from "./ordered-channel.js";
import { createRecordCipher, maxRecordBytes } from "./record.js";

/** Largest message of a relay connection. */
export const maxRelayMessageBytes = 1_048_576;

const highWaterBytes = 1_048_576;
const lowWaterBytes = 262_144;
const maxBacklogBytes = 16 * 1_048_576;
const lingerMs = 5_000;

/** What a connection is made of once the Noise handshake is done. */
export interface RelayConnectionOptions {
  readonly role: "initiator" | "responder";
  readonly index: number;
  readonly keys: NoiseKeys;
  readonly own: NoiseKeyPair;
  readonly peerNoiseKey: Uint8Array;
  readonly peer: PeerIdentity | undefined;
  readonly remoteAddress: string;
  readonly clock: Clock;
  readonly rekey: RekeyLimits;
  transmit(record: Uint8Array): void;
  /** The other side's first record proves that it has the keys too; or it refuses with an error. */
  confirmed(refusal: FedError | undefined): void;
  /** The connection needs no more records; `error` is undefined for a clean end. */
  finished(error: FedError | undefined): void;
}

let lastId = 0;

/** One connection; `receive`, `dropped` and `lost` are for the endpoint that owns it. */
export class RelayConnection implements Connection {
  readonly id = `relay-${++lastId}`;
  readonly transport = "relay";
  readonly maxMessageBytes = maxRelayMessageBytes;
  readonly #options: RelayConnectionOptions;
  readonly #channel: OrderedChannel;
  readonly #renewal: KeyRenewal;
  readonly #pending: { type: number; body: Uint8Array }[] = [];
  readonly #drainers: { resolve(): void; reject(error: FedError): void }[] = [];
  #state: "opening" | "open" | "closing" | "closed" = "opening";
  #handler: ConnectionHandler | undefined;
  #ended: { error: FedError | undefined } | undefined;
  #closedByPeer: { error: FedError | undefined } | undefined;
  #toldEnd = false;
  #paused = false;
  #delivering = false;
  #parts: Uint8Array[] = [];
  #partBytes = 0;

  constructor(options: RelayConnectionOptions) {
    this.#options = options;
    const { role, own, peerNoiseKey, clock, rekey } = options;
    const { handshakeHash } = options.keys;
    const cipher = createRecordCipher(options.index, options.keys);
    this.#renewal = createKeyRenewal({
      role,
      own,
      peerNoiseKey,
      handshakeHash,
      cipher,
      clock,
      limits: rekey,
      request: (message) => this.#channel.sendNow(recordType.rekeyRequest, message),
      answer: (message) => this.#channel.sendNow(recordType.rekeyAnswer, message),
    });
    this.#channel = createOrderedChannel({
      cipher,
      clock,
      transmit: (record) => options.transmit(record),
      deliver: (type, body) => this.#arrived(type, body),
      progress: () => this.#progress(),
      failed: (error) => this.#fail(error),
    });
  }

  get role(): "initiator" | "responder" {
    return this.#options.role;
  }

  get peer(): PeerIdentity | undefined {
    return this.#options.peer;
  }

  /** The X25519 key that the other side proved. */
  get peerNoiseKey(): Uint8Array {
    return this.#options.peerNoiseKey;
  }

  /** Whether the other side's first record is still awaited. */
  get opening(): boolean {
    return this.#state === "opening";
  }

  /** Whether it is over. */
  get ended(): boolean {
    return this.#state === "closed";
  }

  get remoteAddress(): string {
    return this.#options.remoteAddress;
  }

  start(handler: ConnectionHandler): void {
    if (this.#handler !== undefined) {
      throw new CoreError({ code: "ALREADY_STARTED", message: "The connection has been started before." });
    }
    this.#handler = handler;
    queueMicrotask(() => this.#deliver());
  }

  send(message: Uint8Array): boolean {
    if (this.#state !== "open") throw closed();
    if (message.length === 0 || message.length > maxRelayMessageBytes) {
      throw new CoreError({
        code: "MESSAGE_TOO_LARGE",
        message: `A message of ${message.length} bytes; 1 to ${maxRelayMessageBytes} are allowed.`,
      });
    }
    if (this.#channel.backlogBytes + message.length > maxBacklogBytes) {
      this.close(
        new CoreError({
          code: "SEND_QUEUE_FULL",
          message: `More than ${maxBacklogBytes} bytes were queued although send() returned false.`,
          hint: "Wait for drained() when send() returns false.",
        }),
      );
      return false;
    }
    this.#checkKeys();
    for (let offset = 0; offset < message.length; offset += maxRecordBytes) {
      const end = Math.min(offset + maxRecordBytes, message.length);
      const last = end === message.length;
      this.#channel.enqueue(last ? recordType.dataLast : recordType.dataMore, message.subarray(offset, end));
    }
    return this.#channel.backlogBytes <= highWaterBytes;
  }

  drained(): Promise<void> {
    if (this.#state !== "open") return Promise.reject(closed());
    if (this.#channel.backlogBytes <= lowWaterBytes) return Promise.resolve();
    return new Promise((resolve, reject) => this.#drainers.push({ resolve, reject }));
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    queueMicrotask(() => this.#deliver());
  }

  close(error?: FedError): void {
    if (this.#closedByPeer !== undefined) {
      // The reader wants nothing more of what is still to be delivered.
      this.#pending.length = 0;
      this.#end(error ?? this.#closedByPeer.error);
    }
    if (this.#state === "closed" || this.#state === "closing") return;
    if (error !== undefined) {
      this.#fail(error);
      return;
    }
    this.#state = "closing";
    this.#rejectDrainers();
    this.#channel.enqueue(recordType.close, new Uint8Array(0));
    // What is unacknowledged is sent again until the other side has it; a dead one is not waited for.
    this.#options.clock.setTimer(lingerMs, () => this.lost(undefined));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }

  /** One record for this connection. */
  receive(record: Uint8Array): void {
    this.#channel.receive(record);
    if (this.#state === "open") this.#checkKeys();
  }

  /** The relay dropped something that went to this connection's peer. */
  dropped(): void {
    this.#channel.dropped();
  }

  /** The initiator has judged the responder and wants the connection. */
  confirm(): void {
    this.#channel.sendNow(recordType.confirm, new Uint8Array(0));
  }

  /** The responder hands the connection out. */
  accept(): void {
    this.#channel.sendNow(recordType.accept, new Uint8Array(0));
  }

  /** Nothing more can come or go: the path is gone. What was not delivered yet is dropped. */
  lost(error: FedError | undefined): void {
    if (this.#state === "closed") return;
    const opening = this.#state === "opening";
    this.#stop(error);
    this.#pending.length = 0;
    this.#end(error);
    if (opening) this.#options.confirmed(error ?? closed());
  }

  /** Tells the other side why, and is over at once. */
  #fail(error: FedError): void {
    if (this.#state === "closed") {
      this.#pending.length = 0;
      this.#end(error);
      return;
    }
    this.#channel.clearQueue();
    this.#channel.sendNow(recordType.close, encodeUtf8(encodeErrorCode(error)));
    this.lost(error);
  }

  #arrived(type: number, body: Uint8Array): void {
    if (this.#state === "opening") {
      this.#opening(type, body);
      return;
    }
    switch (type) {
      case recordType.dataMore:
      case recordType.dataLast:
        // Parts are cut in one way only: a message of a million crumbs would cost hundreds of times its length.
        if (type === recordType.dataMore ? body.length !== maxRecordBytes : body.length === 0) throw violation();
        if (body.length > maxRecordBytes) throw violation();
        this.#pending.push({ type, body });
        this.#deliver();
        return;
      case recordType.close:
        this.#endByPeer(body.length === 0 ? undefined : peerError(body));
        return;
      case recordType.rekeyRequest:
        this.#renewal.requested(body);
        return;
      case recordType.rekeyAnswer:
        this.#renewal.answered(body);
        // Proves the new keys to the responder even when the application has nothing to say.
        this.#channel.acknowledge();
        return;
      default:
        throw violation();
    }
  }

  /** Until the other side's first record nothing but a confirmation, or a refusal, is heard. */
  #opening(type: number, body: Uint8Array): void {
    const expected = this.#options.role === "responder" ? recordType.confirm : recordType.accept;
    if (type === expected && body.length === 0) {
      this.#state = "open";
      this.#options.confirmed(undefined);
    } else if (type === recordType.close) {
      this.lost(peerError(body));
    } else throw violation();
  }

  #deliver(): void {
    if (this.#delivering || this.#handler === undefined) return;
    this.#delivering = true;
    try {
      while (!this.#paused && this.#pending.length > 0) {
        const { type, body } = this.#pending.shift()!;
        this.#data(type, body);
      }
    } catch (error) {
      this.#fail(toFedError(error, "The connection's handler failed."));
    } finally {
      this.#delivering = false;
    }
    if (this.#closedByPeer !== undefined && this.#pending.length === 0) {
      const { error } = this.#closedByPeer;
      // A message without its end was cut, whatever the other side calls it.
      this.#end(this.#partBytes > 0 ? (error ?? violation()) : error);
    }
    this.#tellEnd();
  }

  #data(type: number, body: Uint8Array): void {
    this.#partBytes += body.length;
    if (this.#partBytes > maxRelayMessageBytes) throw violation();
    this.#parts.push(body);
    this.#channel.consumed(body.length);
    if (type === recordType.dataMore) return;
    const message = this.#parts.length === 1 ? this.#parts[0]! : concatBytes(...this.#parts);
    this.#parts = [];
    this.#partBytes = 0;
    if (this.#state !== "closing") this.#handler!.message(message);
  }

  /** Nothing more goes either way; what has arrived is still to be delivered. */
  #endByPeer(error: FedError | undefined): void {
    // Acknowledged at once, so that the other side need not repeat it.
    this.#channel.acknowledge();
    if (this.#state === "closing") {
      this.lost(undefined);
      return;
    }
    this.#closedByPeer = { error };
    this.#stop(error);
    this.#deliver();
  }

  #stop(error: FedError | undefined): void {
    this.#state = "closed";
    this.#channel.stop();
    this.#rejectDrainers();
    this.#options.finished(error);
  }

  #end(error: FedError | undefined): void {
    this.#ended ??= { error };
    queueMicrotask(() => this.#tellEnd());
  }

  #tellEnd(): void {
    if (this.#ended === undefined || this.#toldEnd || this.#handler === undefined || this.#delivering) return;
    this.#toldEnd = true;
    this.#handler.closed(this.#ended.error);
  }

  #progress(): void {
    if (this.#channel.backlogBytes <= lowWaterBytes) {
      for (const drainer of this.#drainers.splice(0)) drainer.resolve();
    }
    if (this.#state === "closing" && this.#channel.settled) this.lost(undefined);
  }

  #rejectDrainers(): void {
    for (const drainer of this.#drainers.splice(0)) drainer.reject(closed());
  }

  /** Looks at the keys' age when they are used, so that an idle connection costs nothing. */
  #checkKeys(): void {
    try {
      this.#renewal.check();
    } catch (error) {
      this.#fail(toFedError(error));
    }
  }
}

function peerError(body: Uint8Array): PeerError {
  const code = decodeErrorCode(body);
  return new PeerError({ code, message: `The other side refused or ended the connection: ${code}.` });
}

function closed(): CoreError {
  return new CoreError({ code: "CLOSED", message: "The connection is closed." });
}

function violation(): RelayError {
  return new RelayError({ code: "PROTOCOL_ERROR", message: "The other hub broke the record protocol." });
}
