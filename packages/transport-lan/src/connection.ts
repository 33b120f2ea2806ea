/** A finished handshake's socket as a {@link Connection}: frames, marks, pausing and an orderly end. */
import type { TLSSocket } from "node:tls";
import {
  type Clock,
  type Connection,
  type ConnectionHandler,
  CoreError,
  encodeHex,
  type FedError,
  type PeerIdentity,
  randomBytes,
  type Timer,
  toFedError,
} from "@fed/core";
import { LanError } from "./errors.js";
import { encodeFrameHeader, type FrameReader, frameHeaderBytes } from "./framing.js";
import { noVerdictError, otherLimitError, timeoutError } from "./handshake.js";
import { closeLingerMs, type LanLimits } from "./limits.js";
import { decodeVerdict } from "./verdict.js";

/** Messages up to this size are copied behind their header into one buffer; above it the copy costs more than it saves. */
const copyBelowBytes = 4_096;

/** What a {@link LanConnection} is made from. */
export interface LanConnectionInit {
  /** Handshake finished but for the verdict that may be due, paused, listeners of the handshake removed. */
  readonly socket: TLSSocket;
  /** Holds what arrived behind the verdict. */
  readonly reader: FrameReader;
  readonly role: "initiator" | "responder";
  readonly peer: PeerIdentity | undefined;
  readonly remoteAddress: string;
  readonly maxMessageBytes: number;
  readonly greeting?: Uint8Array | undefined;
  /** The peer's verdict is still to come; undefined: it has accepted. */
  readonly verdict?: DueVerdict;
  readonly limits: Pick<LanLimits, "sendHighWaterBytes" | "sendLowWaterBytes" | "maxQueuedBytes">;
  readonly clock: Clock;
}

/** A verdict that has not come yet. */
export interface DueVerdict {
  /** What it must say. */
  readonly maxMessageBytes: number;
  /** When it is too late. */
  readonly timeoutMs: number;
  /** None will come, or it was another: whatever ends the connection but {@link LanConnection.close}. */
  missed(): void;
}

interface DrainWaiter {
  resolve(): void;
  reject(error: FedError): void;
}

/** The LAN's {@link Connection}. */
export class LanConnection implements Connection {
  readonly id = `lan-${encodeHex(randomBytes(8))}`;
  readonly transport = "lan";
  readonly role: "initiator" | "responder";
  readonly peer: PeerIdentity | undefined;
  readonly remoteAddress: string;
  readonly maxMessageBytes: number;
  readonly greeting: Uint8Array | undefined;

  readonly #socket: TLSSocket;
  readonly #reader: FrameReader;
  readonly #limits: LanConnectionInit["limits"];
  readonly #clock: Clock;
  #handler: ConnectionHandler | undefined;
  #paused = false;
  #delivering = false;
  /** close() was called or something failed: nothing more is sent or delivered. */
  #closing = false;
  #error: FedError | undefined;
  /** The peer has finished; told to the handler once everything before it was delivered. */
  #ended = false;
  #gone = false;
  #told = false;
  #drainWaiters: DrainWaiter[] = [];
  #linger: Timer | undefined;
  #due: DueVerdict | undefined;
  #dueTimer: Timer | undefined;

  constructor(init: LanConnectionInit) {
    this.role = init.role;
    this.peer = init.peer;
    this.remoteAddress = init.remoteAddress;
    this.maxMessageBytes = init.maxMessageBytes;
    this.#socket = init.socket;
    this.#reader = init.reader;
    this.#limits = init.limits;
    this.#clock = init.clock;
    this.greeting = init.greeting;
    this.#due = init.verdict;
    if (this.#due) this.#dueTimer = this.#clock.setTimer(this.#due.timeoutMs, () => this.#fail(timeoutError()));
    else this.#reader.maxMessageBytes = init.maxMessageBytes;
    this.#socket.on("data", (chunk: Uint8Array) => {
      if (this.#closing) return;
      this.#reader.push(chunk);
      this.#deliver();
    });
    // A listener for data sets the socket flowing; until start() nothing may be taken from it.
    this.#socket.pause();
    this.#socket.on("end", () => {
      this.#ended = true;
      this.#deliver();
    });
    this.#socket.on("error", (cause) => this.#lost(cause));
    // What was queued is with the kernel: closed for us, though the socket still waits for the peer's end.
    this.#socket.on("finish", () => {
      if (this.#closing) this.#tell();
    });
    this.#socket.on("close", () => {
      this.#gone = true;
      this.#ended = true;
      this.#linger?.cancel();
      this.#endSending();
      this.#deliver();
    });
  }

  start(handler: ConnectionHandler): void {
    if (this.#handler) throw new CoreError({ code: "ALREADY_STARTED", message: "A connection is started once." });
    this.#handler = handler;
    // Messages that are already here must not reach a caller that is still inside start().
    queueMicrotask(() => this.#proceed());
  }

  send(message: Uint8Array): boolean {
    if (this.#closing || this.#ended || this.#gone) throw closedError();
    if (message.length === 0 || message.length > this.maxMessageBytes) {
      throw new CoreError({
        code: "MESSAGE_TOO_LARGE",
        message: `A message of ${message.length} bytes; 1 to ${this.maxMessageBytes} can be sent.`,
      });
    }
    const socket = this.#socket;
    if (socket.writableLength + message.length > this.#limits.maxQueuedBytes) {
      this.close(
        new CoreError({
          code: "SEND_QUEUE_FULL",
          message: "More was queued than the peer takes.",
          hint: "Wait for drained() when send() answers false.",
        }),
      );
      return false;
    }
    // No corking beyond this message: what is sent while a write is under way, Node joins by itself.
    if (message.length <= copyBelowBytes) {
      const frame = Buffer.allocUnsafe(frameHeaderBytes + message.length);
      frame.writeUInt32BE(message.length);
      frame.set(message, frameHeaderBytes);
      socket.write(frame, this.#written);
    } else {
      socket.cork();
      socket.write(encodeFrameHeader(message.length));
      socket.write(message, this.#written);
      socket.uncork();
    }
    return socket.writableLength < this.#limits.sendHighWaterBytes;
  }

  drained(): Promise<void> {
    if (this.#closing || this.#gone) return Promise.reject(closedError());
    if (this.#socket.writableLength <= this.#limits.sendLowWaterBytes) return Promise.resolve();
    return new Promise((resolve, reject) => this.#drainWaiters.push({ resolve, reject }));
  }

  pause(): void {
    this.#paused = true;
    if (!this.#closing) this.#socket.pause();
  }

  resume(): void {
    this.#paused = false;
    queueMicrotask(() => this.#proceed());
  }

  close(error?: FedError): void {
    if (this.#closing) return;
    this.#closing = true;
    this.#error = error;
    this.#endSending();
    if (error) {
      this.#socket.destroy();
      return;
    }
    this.#socket.end();
    // Nothing is read any more, but the peer's end must be: an unread byte would turn our end into a reset.
    this.#socket.resume();
    if (!this.#gone) {
      this.#linger = this.#clock.setTimer(closeLingerMs, () => this.#giveUp());
    }
  }

  /** Something is wrong with the peer, or with the way to it. */
  #fail(error: FedError): void {
    if (!this.#closing) this.#due?.missed();
    this.close(error);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }

  readonly #written = (): void => {
    if (
      this.#drainWaiters.length === 0 ||
      this.#closing ||
      this.#socket.writableLength > this.#limits.sendLowWaterBytes
    )
      return;
    for (const waiter of this.#drainWaiters.splice(0)) waiter.resolve();
  };

  #proceed(): void {
    this.#deliver();
    if (!this.#paused && !this.#closing) this.#socket.resume();
  }

  /** Hands over what is whole, then, once there is nothing left to hand over, the end. */
  #deliver(): void {
    if (this.#handler === undefined || this.#delivering) return;
    this.#delivering = true;
    try {
      while (!this.#paused && !this.#closing) {
        const message = this.#reader.next();
        if (message === undefined) break;
        if (this.#due) this.#judged(message, this.#due);
        else this.#handler.message(message);
      }
    } catch (cause) {
      this.#fail(toFedError(cause));
    } finally {
      this.#delivering = false;
    }
    if (this.#ended && !this.#closing && !this.#paused) this.#finish();
    const over = this.#gone || (this.#closing && this.#socket.writableFinished);
    if (over && (this.#closing || !this.#paused)) this.#tell();
  }

  /** The peer's verdict. @throws {PeerError} what it refuses with; {@link LanError} HANDSHAKE_MALFORMED. */
  #judged(message: Uint8Array, due: DueVerdict): void {
    const verdict = decodeVerdict(message);
    if (!verdict.accepted) throw verdict.error;
    if (verdict.maxMessageBytes !== due.maxMessageBytes) throw otherLimitError();
    this.#due = undefined;
    this.#dueTimer?.cancel();
    this.#reader.maxMessageBytes = this.maxMessageBytes;
  }

  /** The peer ended and everything it sent was delivered. */
  #finish(): void {
    if (this.#due) this.#fail(noVerdictError());
    else if (this.#reader.midway) {
      this.close(new LanError({ code: "FRAME_TRUNCATED", message: "The connection ended inside a message." }));
    } else {
      this.close();
    }
  }

  #endSending(): void {
    this.#dueTimer?.cancel();
    for (const waiter of this.#drainWaiters.splice(0)) waiter.reject(closedError());
  }

  #lost(cause: unknown): void {
    if (this.#closing) {
      if (this.#error === undefined && !this.#socket.writableFinished) this.#error = lostError(cause);
      return;
    }
    this.#due?.missed();
    this.#closing = true;
    this.#error = lostError(cause);
    this.#endSending();
    this.#socket.destroy();
  }

  /** The peer takes neither our queue nor our end. */
  #giveUp(): void {
    if (!this.#socket.writableFinished) this.#error = lostError(undefined);
    this.#socket.destroy();
  }

  #tell(): void {
    if (this.#told || !this.#handler) return;
    this.#told = true;
    this.#handler.closed(this.#error);
  }
}

function closedError(): CoreError {
  return new CoreError({ code: "CLOSED", message: "The connection is closed.", retryable: true });
}

function lostError(cause: unknown): LanError {
  return new LanError({ code: "CONNECTION_LOST", message: "The connection broke.", retryable: true, cause });
}
