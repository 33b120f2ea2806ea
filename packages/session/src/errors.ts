/** What a session fails with. */
import { FedError, toFedError } from "@fed/core";

/** Codes of errors that this package itself throws. */
export type SessionErrorCode =
  | "CLOSED"
  | "CONNECTION_TOO_NARROW"
  | "FLOOD"
  | "FRAME_MALFORMED"
  | "FRAME_TOO_LARGE"
  | "FRAME_TRUNCATED"
  | "FRAME_UNKNOWN"
  | "GOING_AWAY"
  | "HANDSHAKE_TIMEOUT"
  | "HUB_DUPLICATE"
  | "HUB_RESTARTED"
  | "INVALID_OPTION"
  | "MESSAGE_TOO_LARGE"
  | "NOT_AUTHENTICATED"
  | "NO_PATH"
  | "PROTOCOL_ERROR"
  | "SESSION_EXPIRED"
  | "TOO_MANY_PEERS"
  | "TOO_MANY_STREAMS"
  | "UNRESPONSIVE";

/** Thrown by `@fed/session`. */
export class SessionError extends FedError<SessionErrorCode> {}

/** The peer broke a rule of the protocol: the session that raises it ends. */
export function protocolError(message: string, cause?: unknown): SessionError {
  return new SessionError({
    code: "PROTOCOL_ERROR",
    message,
    hint: "One side has a defect or speaks another version; compare the versions of both hubs.",
    cause,
  });
}

/** What a session ends with when taking a message threw `cause`: a bad frame is a broken protocol. */
export function asSessionEnd(cause: unknown): FedError {
  const error = toFedError(cause);
  const isBadFrame = error instanceof SessionError && error.code.startsWith("FRAME_");
  return isBadFrame ? protocolError(error.message, error) : error;
}

export function closedError(cause: FedError | undefined): SessionError {
  return new SessionError({ code: "CLOSED", message: "The session is over.", cause });
}

export function handshakeTimeoutError(): SessionError {
  return new SessionError({
    code: "HANDSHAKE_TIMEOUT",
    message: "The peer did not start the session in time.",
    hint: "Check that the other end is a hub of this version.",
    retryable: true,
  });
}

export function closedEarlyError(): SessionError {
  return new SessionError({
    code: "CLOSED",
    message: "The connection ended before the session began.",
    retryable: true,
  });
}

export function noPathError(): SessionError {
  return new SessionError({
    code: "NO_PATH",
    message: "The session has no connection now and waits for one.",
    retryable: true,
  });
}

export function sessionExpiredError(cause: FedError | undefined): SessionError {
  return new SessionError({
    code: "SESSION_EXPIRED",
    message: "The session could not go on: no connection came in time, or the other side has given it up.",
    hint: "What was under way may or may not have arrived.",
    cause,
  });
}

export function hubRestartedError(): SessionError {
  return new SessionError({
    code: "HUB_RESTARTED",
    message: "The other hub has started anew and knows nothing of this session.",
    hint: "What was under way may or may not have arrived.",
  });
}

export function hubDuplicateError(): SessionError {
  return new SessionError({
    code: "HUB_DUPLICATE",
    message: "Another process with the same hub id has connected since.",
    hint: "One hub runs from one state directory: stop the copy, or let it join anew.",
  });
}

export function goingAwayError(cause: FedError | undefined): SessionError {
  return new SessionError({
    code: "GOING_AWAY",
    message: "The session takes no new streams.",
    hint: "Use another path or hub, or try again on a new session.",
    retryable: true,
    cause,
  });
}

export function tooManyStreamsError(): SessionError {
  return new SessionError({
    code: "TOO_MANY_STREAMS",
    message: "Too many streams are open.",
    hint: "Wait until some have ended.",
    retryable: true,
  });
}

export function unresponsiveError(): SessionError {
  return new SessionError({
    code: "UNRESPONSIVE",
    message: "The peer has stopped answering.",
    hint: "Check the network and the other hub.",
    retryable: true,
  });
}

export function floodError(message: string): SessionError {
  return new SessionError({ code: "FLOOD", message, hint: "The other hub is overloaded or hostile; see its log." });
}

export function headerTooLargeError(bytes: number, maxBytes: number): SessionError {
  return messageTooLargeError(`A stream header of ${bytes} bytes; at most ${maxBytes} are sent.`);
}

export function messageTooLargeError(message: string): SessionError {
  return new SessionError({ code: "MESSAGE_TOO_LARGE", message, hint: "Send it as several messages." });
}
