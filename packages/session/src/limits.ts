/** Bounds of a session. Each side chooses its own and announces those that the other must keep. */
import { SessionError } from "./errors.js";

/** What one side of a session takes from the other. Every value is a positive integer. */
export interface SessionLimits {
  /** Bytes of DATA frames, headers included, that may wait unread on one stream at first. Default 256 KiB, at least 16 KiB. */
  readonly streamCreditBytes: number;
  /** The same for the whole session. Default 1 MiB, at least `streamCreditBytes`. */
  readonly sessionCreditBytes: number;
  /** What they may grow to where a reader is faster than the round trip allows. Default 4 MiB and 8 MiB; not less than those. */
  readonly maxStreamCreditBytes: number;
  readonly maxSessionCreditBytes: number;
  /** Largest message taken or sent. Default 4 MiB. */
  readonly maxMessageBytes: number;
  /** Bytes of unfinished messages above which only the oldest of them goes on growing. Default 32 MiB. */
  readonly maxAssemblyBytes: number;
  /** Streams the peer may have open at a time. Default 1024. */
  readonly maxStreams: number;
  /** Streams the peer opened that the handler has neither read nor written. Default 256. */
  readonly maxUntouchedStreams: number;
  /** Resets and other costly but legal frames taken at once, before the peer is asked to stop. Default 2048. */
  readonly abuseBurst: number;
  /** How many of those are forgiven each second. Default 256. */
  readonly abusePerSecond: number;
  /** Own frames that may wait for the transport outside of streams. Default 4096. */
  readonly maxQueuedFrames: number;
  /** Bytes sent and not acknowledged above which nothing new is sent. Default 4 MiB. */
  readonly maxResendBytes: number;
  /** The same in transport messages. Default 1024. */
  readonly maxResendMessages: number;
  /** Silence after which a ping is sent. Default 15 000 ms. */
  readonly idlePingMs: number;
  /** Further silent periods of `idlePingMs` after which the connection counts as dead. Default 2. */
  readonly missedPings: number;
}

/** The defaults of {@link SessionLimits}. */
export const defaultSessionLimits: SessionLimits = {
  streamCreditBytes: 256 * 1024,
  sessionCreditBytes: 1024 * 1024,
  maxStreamCreditBytes: 4 * 1024 * 1024,
  maxSessionCreditBytes: 8 * 1024 * 1024,
  maxMessageBytes: 4 * 1024 * 1024,
  maxAssemblyBytes: 32 * 1024 * 1024,
  maxStreams: 1024,
  maxUntouchedStreams: 256,
  abuseBurst: 2048,
  abusePerSecond: 256,
  maxQueuedFrames: 4096,
  maxResendBytes: 4 * 1024 * 1024,
  maxResendMessages: 1024,
  idlePingMs: 15_000,
  missedPings: 2,
};

/** Smallest stream credit either side may announce, bytes: one full DATA frame. */
export const MIN_CREDIT_BYTES = 16 * 1024;

/**
 * The defaults with `overrides` laid over them.
 * @throws {SessionError} INVALID_OPTION when a value is no positive 31-bit integer or the credits contradict each other.
 */
export function resolveLimits(overrides: Partial<SessionLimits> = {}): SessionLimits {
  const limits = { ...defaultSessionLimits, ...overrides };
  for (const [name, value] of Object.entries(limits)) {
    if (!Number.isInteger(value) || value < 1 || value > 0x7fffffff) {
      throw new SessionError({
        code: "INVALID_OPTION",
        message: `The limit ${name} is not a positive 31-bit integer.`,
      });
    }
  }
  if (
    limits.streamCreditBytes < MIN_CREDIT_BYTES ||
    limits.sessionCreditBytes < limits.streamCreditBytes ||
    limits.maxStreamCreditBytes < limits.streamCreditBytes ||
    limits.maxSessionCreditBytes < limits.sessionCreditBytes
  ) {
    throw new SessionError({
      code: "INVALID_OPTION",
      message: `Credit must be at least ${MIN_CREDIT_BYTES} bytes per stream, and per session no less than per stream, and may not shrink.`,
    });
  }
  return limits;
}
