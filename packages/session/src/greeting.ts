/**
 * What a hub says of itself in the handshake of a transport, so that whoever dialled it can begin a session before its
 * RESUME has come: docs/spec/session.md §3.
 */
import { protocolError, SessionError } from "./errors.js";
import { resolveLimits, type SessionLimits } from "./limits.js";
import { PEER_LIMITS_BYTES, type PeerLimits, readPeerLimits, writePeerLimits } from "./resume.js";

const EPOCH_BYTES = 16;
const GREETING_BYTES = EPOCH_BYTES + PEER_LIMITS_BYTES;

/** What one side must know of the other before it begins a session. */
export interface Greeting {
  /** 16 bytes: the sender's boot nonce. */
  readonly epoch: Uint8Array;
  /** What the sender takes. */
  readonly limits: PeerLimits;
}

/**
 * The 32 bytes for a transport to greet with, of a hub whose {@link createSessions} has the same epoch (16 bytes) and limits.
 * @throws {SessionError} INVALID_OPTION
 */
export function encodeGreeting(epoch: Uint8Array, limits?: Partial<SessionLimits>): Uint8Array {
  checkEpoch(epoch);
  const bytes = new Uint8Array(GREETING_BYTES);
  bytes.set(epoch, 0);
  writePeerLimits(bytes, EPOCH_BYTES, resolveLimits(limits));
  return bytes;
}

/**
 * Reads a greeting; the nonce is copied.
 * @throws {SessionError} PROTOCOL_ERROR for another length, FRAME_MALFORMED when a limit is out of range.
 */
export function decodeGreeting(bytes: Uint8Array): Greeting {
  if (bytes.length !== GREETING_BYTES) throw protocolError(`A greeting has ${bytes.length} bytes.`);
  return { epoch: bytes.slice(0, EPOCH_BYTES), limits: readPeerLimits(bytes, EPOCH_BYTES) };
}

/** @throws {SessionError} INVALID_OPTION unless `epoch` has 16 bytes. */
export function checkEpoch(epoch: Uint8Array): void {
  if (epoch.length === EPOCH_BYTES) return;
  throw new SessionError({ code: "INVALID_OPTION", message: "The epoch is not 16 bytes long." });
}
