/** The one error type of this room. */
import { FedError, type FedErrorInit, isFedError } from "@fed/core";

/** Codes of {@link AuditError}; README.md says what to do about each. */
export type AuditErrorCode =
  | "AUDIT_TAMPERED"
  | "AUDIT_TRUNCATED"
  | "AUDIT_LOCKED"
  | "AUDIT_FULL"
  | "AUDIT_READ_ONLY"
  | "AUDIT_FAILED"
  | "AUDIT_BUSY"
  | "AUDIT_CLOSED"
  | "INVALID_KEY"
  | "INVALID_RECORD"
  | "INVALID_RANGE";

/** Where in a log something is wrong. */
export interface AuditPlace {
  /** Number of the first bad record. */
  readonly seq?: number;
  /** Name of the segment it stands in. */
  readonly segment?: string;
  /** Byte offset in that segment. */
  readonly offset?: number;
}

/** Thrown by `@fed/audit-chain`; names the record where that makes sense. */
export class AuditError extends FedError<AuditErrorCode> implements AuditPlace {
  readonly seq: number | undefined;
  readonly segment: string | undefined;
  readonly offset: number | undefined;

  constructor(init: FedErrorInit<AuditErrorCode>, place: AuditPlace = {}) {
    super(init);
    this.seq = place.seq;
    this.segment = place.segment;
    this.offset = place.offset;
  }
}

/** AUDIT_TAMPERED at `place`; `what` completes "Record N …". */
export function tampered(what: string, place: AuditPlace & { readonly seq: number }): AuditError {
  return new AuditError(
    {
      code: "AUDIT_TAMPERED",
      message: `Record ${place.seq} ${what}.`,
      hint: "Keep a copy as evidence, check that the key is this log's own, then start a new log in another place.",
    },
    place,
  );
}

/** What a {@link SegmentStore} may reject with, made of whatever it did reject with. */
export function toAuditError(cause: unknown): AuditError {
  if (cause instanceof AuditError) return cause;
  return new AuditError({
    code: "AUDIT_FAILED",
    message: "The audit log could not be stored.",
    hint: "Look at the cause; the log tries again with the next append.",
    retryable: true,
    cause,
  });
}

/** `operation` of a store, failing with nothing but a FedError. */
export async function fromStore<T>(operation: Promise<T>): Promise<T> {
  try {
    return await operation;
  } catch (cause) {
    throw isFedError(cause) ? cause : toAuditError(cause);
  }
}
