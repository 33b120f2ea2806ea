/**
 * The session contract: an authenticated conversation between two hubs, made of streams of messages.
 * `@fed/session` implements it above any {@link Connection}; `@fed/core/memory` has an in-memory pair for tests.
 */
import type { FedError } from "./errors.js";
import type { PeerIdentity } from "./identity.js";

/** Control before call before event before bulk; a higher class is never queued behind a lower one's backlog. */
export type Priority = "control" | "call" | "event" | "bulk";

/** Options of {@link Session.open}. */
export interface OpenOptions {
  /** Default `call`. */
  readonly priority?: Priority;
  readonly signal?: AbortSignal;
}

/** One call or channel. Both directions carry whole messages, in order, each with its own credit. */
export interface Stream {
  /** Odd when the session's initiator opened it, even otherwise. */
  readonly id: number;
  /** What the opener sent with OPEN, at most 64 KiB; says what the stream is for. */
  readonly header: Uint8Array;
  /**
   * Sends one message (0..maxMessageBytes bytes) and resolves when credit has let all of it go.
   * The buffer must not be changed afterwards. `end: true` also finishes this direction, in the same flight.
   * @throws {FedError} CLOSED, MESSAGE_TOO_LARGE, or the code the peer reset with.
   */
  send(message: Uint8Array, options?: { readonly end?: boolean }): Promise<void>;
  /** Finishes this direction: the peer's receive() ends after what was sent. Idempotent. */
  end(): void;
  /**
   * The next message, or undefined when the peer has finished its direction. Receiving grants credit.
   * @throws {FedError} the code the peer reset with, or CLOSED when the session ended first.
   */
  receive(): Promise<Uint8Array | undefined>;
  /** Abandons both directions; the peer's operations fail with `error.code`. Idempotent. */
  reset(error: FedError): void;
  /** Resolves once both directions are finished or abandoned; undefined for a clean end. Never rejects. */
  readonly closed: Promise<FedError | undefined>;
}

/** One connection under a session. */
export interface SessionPath {
  /** The connection's id. */
  readonly id: string;
  readonly transport: string;
  /** `initiator` when this side dialled the connection. */
  readonly role: "initiator" | "responder";
  /**
   * Round trip over this connection alone, in milliseconds, with `bytes` there and back (default 8, at most 16 374).
   * @throws {FedError} CLOSED when the path ends first, ABORTED.
   */
  ping(options?: { readonly bytes?: number; readonly signal?: AbortSignal }): Promise<number>;
  /** Ends this connection alone: the session goes on over the others, or waits for one. Idempotent. */
  close(error?: FedError): void;
  /** Resolves when the connection is over; undefined for a clean close. Never rejects. */
  readonly closed: Promise<FedError | undefined>;
}

/** A live conversation. It may outlive the connections it runs over. */
export interface Session extends AsyncDisposable {
  /** Who is at the other end, as the newest connection proved. */
  readonly peer: PeerIdentity;
  /** The transport it sends over now, or did last. */
  readonly transport: string;
  /** Opposite on the two sides; says nothing about who dialled. */
  readonly role: "initiator" | "responder";
  /** The connections it has now, oldest first; empty while it waits for one. */
  readonly paths: readonly SessionPath[];
  /**
   * Sends over these paths from now on, the first being preferred. Over several, each carries everything and the other
   * side takes it once. Paths that are over are left out; without one that is not, the oldest is taken.
   */
  use(...paths: readonly SessionPath[]): void;
  /** The peer's boot nonce, base64url of 16 bytes: new after each restart; hop proofs name it as `epoch`. */
  readonly peerEpoch: string;
  /** Largest message a stream may carry, bytes. */
  readonly maxMessageBytes: number;
  /**
   * Opens a stream. Synchronous: the OPEN frame leaves with whatever is sent in the same turn.
   * `signal` resets the stream while it lives.
   * @throws {FedError} CLOSED, GOING_AWAY, TOO_MANY_STREAMS, MESSAGE_TOO_LARGE for the header, ABORTED.
   */
  open(header: Uint8Array, options?: OpenOptions): Stream;
  /** Round trip in milliseconds over the preferred path. @throws {FedError} NO_PATH while there is none. */
  ping(options?: { readonly signal?: AbortSignal }): Promise<number>;
  /** Tells the peer that no new stream will be taken; running ones finish. */
  goAway(error: FedError): void;
  /** Ends the session and its connections; every stream fails with `error` (default CLOSED). Idempotent. */
  close(error?: FedError): void;
  /** Resolves when the session is over; undefined for a clean close. Never rejects. */
  readonly closed: Promise<FedError | undefined>;
}

/** What a session tells its owner. */
export interface SessionHandler {
  /** The peer opened a stream. A throw resets it, and so does a promise that rejects. */
  stream(stream: Stream): void | Promise<void>;
}
