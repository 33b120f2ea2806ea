/** RESUME, the first frame of each connection and direction: docs/spec/session.md §3. */

import { SessionError } from "./errors.js";
import { RESUME_BYTES, readU32, readU64, writeU32, writeU64 } from "./frame.js";
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
}

/** The limits a peer announces. */
export type PeerLimits = Pick<
  SessionLimits,
  "streamCreditBytes" | "sessionCreditBytes" | "maxMessageBytes" | "maxStreams"
>;

/** The 60-byte body. */
export function encodeResume(resume: Resume): Uint8Array {
  const body = new Uint8Array(RESUME_BYTES);
  body.set(resume.epoch, 0);
  body.set(resume.peerEpoch, 16);
  writeU32(body, 32, resume.generation);
  writeU64(body, 36, resume.received);
  writeU32(body, 44, resume.limits.streamCreditBytes);
  writeU32(body, 48, resume.limits.sessionCreditBytes);
  writeU32(body, 52, resume.limits.maxMessageBytes);
  writeU32(body, 56, resume.limits.maxStreams);
  return body;
}

/**
 * Reads a body of 60 bytes; the nonces are copied.
 * @throws {SessionError} FRAME_MALFORMED when a limit or a count is out of range.
 */
export function decodeResume(body: Uint8Array): Resume {
  const limits: PeerLimits = {
    streamCreditBytes: readU32(body, 44),
    sessionCreditBytes: readU32(body, 48),
    maxMessageBytes: readU32(body, 52),
    maxStreams: readU32(body, 56),
  };
  const inRange = Object.values(limits).every((value) => value >= 1 && value <= 0x7fffffff);
  if (!inRange || limits.streamCreditBytes < MIN_CREDIT_BYTES || limits.sessionCreditBytes < limits.streamCreditBytes) {
    throw new SessionError({ code: "FRAME_MALFORMED", message: "A RESUME frame announces limits out of range." });
  }
  return {
    epoch: body.slice(0, 16),
    peerEpoch: body.slice(16, 32),
    generation: readU32(body, 32),
    received: readU64(body, 36),
    limits,
  };
}
