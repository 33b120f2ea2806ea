/** RESUME, the first frame of each connection and direction: docs/spec/session.md §3. */

import { SessionError } from "./errors.js";
import { encodeFrame, FLAG_EARLY, FRAME_RESUME, RESUME_BYTES, readU32, readU64, writeU32, writeU64 } from "./frame.js";
import { MIN_CREDIT_BYTES, type SessionLimits } from "./limits.js";

/** What a RESUME frame says. */
export interface Resume {
  /** 16 bytes: the sender's boot nonce. */
  readonly epoch: Uint8Array;
  /** 16 bytes: the receiver's, as far as the sender knows it; zeros where it does not. */
  readonly peerEpoch: Uint8Array;
  /** Which session between these two boots: the one the sender holds, or else the next one it would begin. */
  readonly generation: number;
  /** How many sequenced frames of it the sender has received. */
  readonly received: number;
  /** What the sender takes; counts where the session begins. */
  readonly limits: PeerLimits;
  /** Whether the sender has begun that session, and goes on without an answer. */
  readonly early: boolean;
}

/** The limits a peer announces. */
export type PeerLimits = Pick<
  SessionLimits,
  "streamCreditBytes" | "sessionCreditBytes" | "maxMessageBytes" | "maxStreams"
>;

/** Bytes of {@link PeerLimits}, wherever they are told. */
export const PEER_LIMITS_BYTES = 16;

/** The whole frame: 70 bytes. */
export function encodeResume(resume: Resume): Uint8Array {
  const body = new Uint8Array(RESUME_BYTES);
  body.set(resume.epoch, 0);
  body.set(resume.peerEpoch, 16);
  writeU32(body, 32, resume.generation);
  writeU64(body, 36, resume.received);
  writePeerLimits(body, 44, resume.limits);
  return encodeFrame(FRAME_RESUME, resume.early ? FLAG_EARLY : 0, 0, body);
}

/**
 * Reads a body of 60 bytes and the flags of its frame; the nonces are copied.
 * @throws {SessionError} FRAME_MALFORMED when a limit or a count is out of range.
 */
export function decodeResume(body: Uint8Array, flags: number): Resume {
  return {
    epoch: body.slice(0, 16),
    peerEpoch: body.slice(16, 32),
    generation: readU32(body, 32),
    received: readU64(body, 36),
    limits: readPeerLimits(body, 44),
    early: flags === FLAG_EARLY,
  };
}

/** Writes 16 bytes at `offset`. */
export function writePeerLimits(target: Uint8Array, offset: number, limits: PeerLimits): void {
  writeU32(target, offset, limits.streamCreditBytes);
  writeU32(target, offset + 4, limits.sessionCreditBytes);
  writeU32(target, offset + 8, limits.maxMessageBytes);
  writeU32(target, offset + 12, limits.maxStreams);
}

/** @throws {SessionError} FRAME_MALFORMED when a limit is out of range. */
export function readPeerLimits(bytes: Uint8Array, offset: number): PeerLimits {
  const limits: PeerLimits = {
    streamCreditBytes: readU32(bytes, offset),
    sessionCreditBytes: readU32(bytes, offset + 4),
    maxMessageBytes: readU32(bytes, offset + 8),
    maxStreams: readU32(bytes, offset + 12),
  };
  const inRange = Object.values(limits).every((value) => value >= 1 && value <= 0x7fffffff);
  if (!inRange || limits.streamCreditBytes < MIN_CREDIT_BYTES || limits.sessionCreditBytes < limits.streamCreditBytes) {
    throw new SessionError({ code: "FRAME_MALFORMED", message: "A peer announces limits out of range." });
  }
  return limits;
}
