/** Every way this room fails. */
import { FedError } from "@fed/core";

/** Codes of {@link LanError}; the README says what each means and what to do next. */
export type LanErrorCode =
  | "CERTIFICATE_MISSING"
  | "CERTIFICATE_UNTRUSTED"
  | "CONNECTION_LOST"
  | "CREDENTIALS_INVALID"
  | "FRAME_EMPTY"
  | "FRAME_TOO_LARGE"
  | "FRAME_TRUNCATED"
  | "GREETING_INVALID"
  | "GUEST_EXPIRED"
  | "GUEST_LIMIT"
  | "HANDSHAKE_MALFORMED"
  | "HANDSHAKE_TIMEOUT"
  | "INVALID_ADDRESS"
  | "LAN_LISTEN_FAILED"
  | "LAN_PORT_IN_USE"
  | "SELF_CONNECTION"
  | "SESSION_RESUMED"
  | "TLS_FAILED"
  | "TOO_MANY_CONNECTIONS"
  | "WRONG_PROTOCOL";

/** Thrown by `@fed/transport-lan`. */
export class LanError extends FedError<LanErrorCode> {}
