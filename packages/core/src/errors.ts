/** Typed errors: every failure a caller can meet is a {@link FedError} with a stable code and, where there is one, a next step. */

const mark = Symbol.for("fed.error");

/** What {@link FedError} is made from. */
export interface FedErrorInit<Code extends string> {
  /** Stable, SCREAMING_SNAKE_CASE; public API. */
  readonly code: Code;
  /** One sentence. Never holds a secret or a whole token. */
  readonly message: string;
  /** What the reader can do next, one line. */
  readonly hint?: string | undefined;
  /** Whether the same request may succeed later without a change. Default false. */
  readonly retryable?: boolean | undefined;
  readonly cause?: unknown;
}

/**
 * The root of every error this project throws. Each room declares one subclass and one string union of codes.
 * Recognise one with {@link isFedError}, which also works across duplicate installs.
 */
export class FedError<Code extends string = string> extends Error {
  readonly code: Code;
  readonly hint: string | undefined;
  readonly retryable: boolean;

  constructor(init: FedErrorInit<Code>) {
    super(init.message, init.cause === undefined ? undefined : { cause: init.cause });
    this.name = new.target.name;
    this.code = init.code;
    this.hint = init.hint;
    this.retryable = init.retryable ?? false;
    Object.defineProperty(this, mark, { value: true });
  }
}

/** Whether `value` is a {@link FedError}, whichever copy of this package made it. */
export function isFedError(value: unknown): value is FedError {
  return typeof value === "object" && value !== null && mark in value;
}

/** Codes of errors that this package itself throws. */
export type CoreErrorCode =
  | "ABORTED"
  | "ADDRESS_IN_USE"
  | "ALREADY_STARTED"
  | "CLOSED"
  | "DEADLINE_EXCEEDED"
  | "DUPLICATE_KEY"
  | "GOING_AWAY"
  | "GUEST_REFUSED"
  | "INTERNAL"
  | "INVALID_BASE32"
  | "INVALID_BASE64URL"
  | "INVALID_HEX"
  | "INVALID_JSON"
  | "INVALID_UTF8"
  | "MESSAGE_TOO_LARGE"
  | "NOT_CANONICALIZABLE"
  | "PROTOCOL_ERROR"
  | "SEND_QUEUE_FULL"
  | "TOO_DEEP"
  | "TOO_LARGE"
  | "TOO_MANY_STREAMS"
  | "UNEXPECTED_PEER"
  | "UNREACHABLE";

/** Thrown by `@fed/core`. */
export class CoreError extends FedError<CoreErrorCode> {}

/** `cause` itself if it is a FedError, else an `INTERNAL` CoreError around it: untrusted input never ends in anything else. */
export function toFedError(cause: unknown, message = "Something failed that this code did not foresee."): FedError {
  if (isFedError(cause)) return cause;
  return new CoreError({ code: "INTERNAL", message, cause });
}

/** @throws {CoreError} ABORTED when `signal` is already aborted. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw abortedError(signal);
}

/** The error for an operation that `signal` ended: the signal's own reason if it is a FedError, else ABORTED. */
export function abortedError(signal: AbortSignal): FedError {
  if (isFedError(signal.reason)) return signal.reason;
  return new CoreError({ code: "ABORTED", message: "The operation was cancelled.", cause: signal.reason });
}
