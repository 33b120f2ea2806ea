/** RESUME, the first frame of each direction: docs/spec/session.md §3. */

import { SessionError } from "./errors.js";
import { RESUME_BYTES, readU32, readU64, writeU32, writeU64 } from "./frame.js";
import { MIN_CREDIT_BYTES, type SessionLimits } from "./limits.js";

/** What a RESUME frame says. */
export interface Resume {
  /** 16 bytes, chosen by the initiator; the responder repeats it when it agrees. */
  readonly sessionId: Uint8Array;
  /** 16 bytes: the sender's boot nonce. */
  readonly epoch: Uint8Array;
  /** The sequenced frame the sender expects next; 0 for a fresh session. */
  readonly nextSequence: number;
  /** What the sender takes. */
  readonly limits: PeerLimits;
}

/** The limits a peer announces. */
export type PeerLimits = Pick<
  SessionLimits,
  "streamCreditBytes" | "sessionCreditBytes" | "maxMessageBytes" | "maxStreams"
>;

/** The 56-byte body. */
export function encodeResume(resume: Resume): Uint8Array {
  const body = new Uint8Array(RESUME_BYTES);
  body.set(resume.sessionId, 0);
  body.set(resume.epoch, 16);
  writeU64(body, 32, resume.nextSequence);
  writeU32(body, 40, resume.limits.streamCreditBytes);
  writeU32(body, 44, resume.limits.sessionCreditBytes);
  writeU32(body, 48, resume.limits.maxMessageBytes);
  writeU32(body, 52, resume.limits.maxStreams);
  return body;
}

/**
 * Reads a body of 56 bytes; the ids are copied.
 * @throws {SessionError} FRAME_MALFORMED when a limit is out of range.
 */
export function decodeResume(body: Uint8Array): Resume {
  const limits: PeerLimits = {
    streamCreditBytes: readU32(body, 40),
    sessionCreditBytes: readU32(body, 44),
    maxMessageBytes: readU32(body, 48),
    maxStreams: readU32(body, 52),
  };
  const inRange = Object.values(limits).every((value) => value >= 1 && value <= 0x7fffffff);
  if (!inRange || limits.streamCreditBytes < MIN_CREDIT_BYTES || limits.sessionCreditBytes < limits.streamCreditBytes) {
    throw new SessionError({ code: "FRAME_MALFORMED", message: "A RESUME frame announces limits out of range." });
  }
  return { sessionId: body.slice(0, 16), epoch: body.slice(16, 32), nextSequence: readU64(body, 32), limits };
}
