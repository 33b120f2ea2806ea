/**
 * The transport contract: authenticated connections that carry opaque messages.
 *
 * Transports move bytes and prove keys; what a key may do is decided by the {@link PeerAuthenticator} they are handed.
 * `@fed/core/memory` has an in-memory implementation and `@fed/core/testing` the suite every implementation passes.
 */
import type { FedError } from "./errors.js";
import type { HubId, PeerIdentity } from "./identity.js";

/** What a connection tells the one who reads it. Set once, with {@link Connection.start}. */
export interface ConnectionHandler {
  /**
   * One whole message, in the order sent. The buffer belongs to the handler from now on. Never empty.
   * A handler that throws closes the connection.
   */
  message(bytes: Uint8Array): void;
  /** The connection is over; called exactly once. `error` is undefined for a clean close by either side. */
  closed(error: FedError | undefined): void;
}

/**
 * An ordered, reliable, authenticated message pipe between two hubs. Messages keep their boundaries.
 * One whose handshake is not complete on both sides is never handed out, save to an initiator with a {@link greeting}.
 */
export interface Connection extends AsyncDisposable {
  /** Unique in this process; connections are closed by this, never by peer. */
  readonly id: string;
  /** The transport's name, e.g. `lan`, `relay`, `memory`. */
  readonly transport: string;
  /** `initiator` dialled, `responder` accepted. */
  readonly role: "initiator" | "responder";
  /** Who is at the other end; undefined where one end is a guest (see {@link GuestDial}). */
  readonly peer: PeerIdentity | undefined;
  /** Where the other end is, for people and logs; decides nothing. */
  readonly remoteAddress: string;
  /** Largest message in bytes that either side may send. */
  readonly maxMessageBytes: number;
  /**
   * What the responder says of itself in the handshake, proved by it, at most {@link MAX_GREETING_BYTES}: at the initiator, and
   * only where the responder may still be judging. It then takes nothing before it has accepted; where it refuses, it takes
   * nothing at all, and the connection ends with a PeerError of its code.
   */
  readonly greeting?: Uint8Array | undefined;
  /** Begins delivery. Messages that arrive earlier are held (bounded by the transport). Throws if called twice. */
  start(handler: ConnectionHandler): void;
  /**
   * Queues one message, 1..maxMessageBytes bytes; the buffer must not be changed afterwards.
   * @returns true while more may be queued at once; false when the sender should wait for {@link drained}.
   * @throws {CoreError} CLOSED after close, MESSAGE_TOO_LARGE when it is empty or too large.
   */
  send(message: Uint8Array): boolean;
  /** Resolves when the send queue has fallen below its low-water mark. Rejects with CLOSED if that never happens. */
  drained(): Promise<void>;
  /** Stop or go on reading; a paused connection pushes back on the sender where the medium can. Optional power. */
  pause(): void;
  resume(): void;
  /** Closes after what is queued has been handed to the medium, or at once when `error` is given. Idempotent. */
  close(error?: FedError): void;
}

/** Longest {@link Connection.greeting}. */
export const MAX_GREETING_BYTES = 64;

/** Accepts connections until closed. */
export interface Listener extends AsyncDisposable {
  /** Addresses that a peer can dial, in this transport's own syntax. */
  readonly addresses: readonly string[];
  /** Stops accepting; connections already handed out live on. Idempotent. */
  close(): Promise<void>;
}

/** Options of anything that dials. */
export interface DialOptions {
  readonly signal?: AbortSignal;
  /** Refuse any other hub with `UNEXPECTED_PEER`. */
  readonly expect?: HubId;
}

/** Callbacks of {@link Transport.listen}. */
export interface ListenHandler {
  /** A member connected; already authenticated. */
  connection(connection: Connection): void;
  /**
   * Somebody without a leaf connected, to join. Absent: guests are refused at the handshake.
   * The connection's `peer` is undefined, and nothing but the pairing protocol may be spoken on it.
   */
  guest?(connection: Connection): void;
  /** An attempt was refused; for the audit log. `remoteAddress` decides nothing. */
  refused?(remoteAddress: string, error: FedError): void;
}

/** A way to reach hubs. */
export interface Transport {
  /** `lan`, `relay`, `memory`: also the path's name in the CLI. */
  readonly name: string;
  /** Lower is better; LAN 10, relay 50. */
  readonly preference: number;
  /**
   * Connects and authenticates both ways. Resolves only after the responder has accepted us, or, where it greets, as soon as
   * this side has accepted it: see {@link Connection.greeting}.
   * @throws {FedError} UNREACHABLE when nobody answers, ABORTED, UNEXPECTED_PEER, or the authenticator's code.
   */
  dial(address: string, options?: DialOptions): Promise<Connection>;
  listen(handler: ListenHandler, options?: { readonly signal?: AbortSignal }): Promise<Listener>;
  /** Watches for peers that might be reachable. Absent where nothing can be discovered. */
  discover?(onCandidate: (candidate: Candidate) => void): Discovery;
  /**
   * Addresses to put into a pairing token, `<transport name>:<rest>`, usable without membership until `expiresAtMs`
   * (Unix milliseconds). Absent or empty where a guest cannot come in this way.
   */
  guestAddresses?(expiresAtMs: number): readonly string[];
}

/** Options of {@link GuestDial}. */
export interface GuestDialOptions {
  readonly signal?: AbortSignal;
  /**
   * Judges the responder's chain (DER, leaf first) before the dial resolves, so before the guest sends a byte of its own.
   * @throws {FedError} to refuse; the connection is then closed and the dial rejects with that error.
   */
  authenticateResponder(chain: readonly Uint8Array[]): void;
}

/** Connects as a guest, who has no leaf yet, to an address of {@link Transport.guestAddresses}. */
export type GuestDial = (address: string, options: GuestDialOptions) => Promise<Connection>;

/** A running search. */
export interface Discovery extends AsyncDisposable {
  /** Idempotent. */
  close(): Promise<void>;
}

/** A place where a member may be. A hint and never trust: only the handshake decides. */
export interface Candidate {
  readonly transport: string;
  readonly address: string;
  /** Known only where the address names the hub (relay) or the hub itself told it; elsewhere the handshake tells. */
  readonly hubId?: HubId;
  readonly source: "mdns" | "static" | "manifest" | "presence" | "peer";
  /** False when the candidate was withdrawn (goodbye, expiry). */
  readonly present: boolean;
}
