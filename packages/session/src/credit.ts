/**
 * Credit: docs/spec/session.md §5. A DATA frame costs its whole length, header included, on its stream and on the
 * session, so that empty frames are not free.
 */
import { protocolError } from "./errors.js";

/** What the peer still takes. */
export class SendCredit {
  /** Bytes that may be sent now; never negative. */
  available: number;
  readonly #window: number;

  constructor(windowBytes: number) {
    this.#window = windowBytes;
    this.available = windowBytes;
  }

  /** Bytes sent and not yet granted again. */
  get outstanding(): number {
    return this.#window - this.available;
  }

  /** The caller has checked that `bytes` are available. */
  spend(bytes: number): void {
    this.available -= bytes;
  }

  /** @throws {SessionError} PROTOCOL_ERROR when the peer gives back more than it was sent. */
  grant(bytes: number): void {
    if (bytes > this.outstanding) throw protocolError("The peer granted more credit than was outstanding.");
    this.available += bytes;
  }
}

/** A grant below this is not worth a frame; a peer that sends many of them is charged for it. */
export const CRUMB_BYTES = 1024;

/** What this side still takes. */
export class ReceiveCredit {
  #allowed: number;
  #owed = 0;

  constructor(windowBytes: number) {
    this.#allowed = windowBytes;
  }

  /** Bytes the peer may still send. */
  get allowed(): number {
    return this.#allowed;
  }

  /** @throws {SessionError} PROTOCOL_ERROR when the peer sends more than it was granted. */
  receive(bytes: number): void {
    if (bytes > this.#allowed) throw protocolError("The peer sent more than its credit.");
    this.#allowed -= bytes;
  }

  /**
   * Bytes were read; returns the grant to send now. It is 0 while less is owed than the peer has left, so half the window
   * when all is read, and sooner when others hold the window: `atLeastAt` says at which debt a grant must go anyway.
   */
  consume(bytes: number, atLeastAt: number = this.#allowed): number {
    this.#owed += bytes;
    if (this.#owed < CRUMB_BYTES || (this.#owed < this.#allowed && this.#owed < atLeastAt)) return 0;
    const grant = this.#owed;
    this.#allowed += grant;
    this.#owed = 0;
    return grant;
  }
}
