/** The errors of this package. */
import { FedError } from "@fed/core";

/** Codes of {@link RelayError}. */
export type RelayErrorCode =
  | "ADMISSION_REFUSED"
  | "ADMISSION_TIMEOUT"
  | "FRAME_MALFORMED"
  | "FRAME_TOO_LARGE"
  | "GUEST_ADDRESS_INVALID"
  | "HANDSHAKE_FAILED"
  | "HANDSHAKE_MALFORMED"
  | "HANDSHAKE_REPLAYED"
  | "HANDSHAKE_TIMEOUT"
  | "HANDSHAKE_TOO_MANY"
  | "KEY_INVALID"
  | "NOISE_KEY_UNKNOWN"
  | "PROTOCOL_ERROR"
  | "REKEY_REQUIRED"
  | "RELAY_CLOSED"
  | "RELAY_ELSEWHERE"
  | "RELAY_FULL"
  | "RELAY_LOST"
  | "RELAY_RATE_EXCEEDED"
  | "RELAY_REPLACED"
  | "RELAY_RESTARTING"
  | "RELAY_SLOW_READER"
  | "RELAY_STALLED"
  | "RELAY_URL_INVALID"
  | "SESSION_LOST"
  | "TOKEN_AUDIENCE"
  | "TOKEN_EXPIRED"
  | "TOKEN_INVALID"
  | "TOKEN_KEY_UNKNOWN";

/** Thrown by `@fed/transport-relay`. */
export class RelayError extends FedError<RelayErrorCode> {}
