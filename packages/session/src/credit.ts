/**
 * Credit: docs/spec/session.md §5. A DATA frame costs its whole length, header included, on its stream and on the
 * session, and at least what a message that waits unread takes in memory, so that empty ones are not free.
 */
import type { Clock } from "@fed/core";
import { protocolError } from "./errors.js";
import { HEADER_BYTES } from "./frame.js";
import type { SessionLimits } from "./limits.js";

/** Most credit that either side may have at a time, bytes. */
const MAX_CREDIT_BYTES = 0x7fffffff;

const MIN_COST_BYTES = 256;

/** What a DATA frame with a body of `bodyBytes` bytes costs. */
export function costOf(bodyBytes: number): number {
  return Math.max(HEADER_BYTES + bodyBytes, MIN_COST_BYTES);
}

/** What the peer still takes. */
export class SendCredit {
  /** Bytes that may be sent now; never negative. */
  available: number;
  #window: number;

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

  /**
   * The peer returns what was read; what is more than was outstanding makes the window larger.
   * @throws {SessionError} PROTOCOL_ERROR above 2^31-1.
   */
  grant(bytes: number): void {
    this.available += bytes;
    if (this.available > MAX_CREDIT_BYTES) throw protocolError("The peer granted more credit than there can be.");
    if (this.available > this.#window) this.#window = this.available;
  }
}

/** A grant below this is not worth a frame; a peer that sends many of them is charged for it. */
export const CRUMB_BYTES = 1024;

/** How a window grows. */
export interface CreditTuning {
  /** The window to begin with, and the largest. */
  readonly windowBytes: number;
  readonly maxWindowBytes: number;
  readonly clock: Clock;
  /** The round trip to the peer now, ms; undefined while it is not known. */
  rttMs(): number | undefined;
}

/** How the windows of a session and of each of its streams grow. */
export function tuneCredit(
  limits: SessionLimits,
  clock: Clock,
  rttMs: () => number | undefined,
): { readonly session: CreditTuning; readonly stream: CreditTuning } {
  const { sessionCreditBytes, maxSessionCreditBytes, streamCreditBytes, maxStreamCreditBytes } = limits;
  return {
    session: { windowBytes: sessionCreditBytes, maxWindowBytes: maxSessionCreditBytes, clock, rttMs },
    stream: { windowBytes: streamCreditBytes, maxWindowBytes: maxStreamCreditBytes, clock, rttMs },
  };
}

/** What this side still takes. */
export class ReceiveCredit {
  readonly #tuning: CreditTuning;
  #window: number;
  #allowed: number;
  #owed = 0;
  /** Monotonic, of the last grant. */
  #grantedAtMs = Number.NEGATIVE_INFINITY;

  constructor(tuning: CreditTuning) {
    this.#tuning = tuning;
    this.#window = tuning.windowBytes;
    this.#allowed = tuning.windowBytes;
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
    const grant = this.#owed + this.#growth();
    this.#allowed += grant;
    this.#owed = 0;
    return grant;
  }

  /**
   * The window doubles when half of it was read within two round trips: then the peer waits for grants more than the
   * reader for bytes. A slow reader never gets there, so memory goes to those that use it.
   */
  #growth(): number {
    const { clock, maxWindowBytes, rttMs } = this.#tuning;
    const nowMs = clock.monotonicMs();
    const elapsedMs = nowMs - this.#grantedAtMs;
    this.#grantedAtMs = nowMs;
    const roundTripMs = rttMs();
    if (roundTripMs === undefined || elapsedMs >= 2 * roundTripMs || this.#owed * 4 < this.#window) return 0;
    const growth = Math.min(this.#window, maxWindowBytes - this.#window);
    this.#window += growth;
    return growth;
  }
}
