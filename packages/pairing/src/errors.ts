/** What can go wrong while trust starts. */
import { FedError } from "@fed/core";

/** Codes of {@link PairingError}; public API. */
export type PairingErrorCode =
  // tokens
  | "INVITE_CLOSED"
  | "INVITE_INVALID"
  | "TOKEN_BOOK_CORRUPT"
  | "TOKEN_EXPIRED"
  | "TOKEN_MALFORMED"
  | "TOKEN_UNKNOWN"
  | "TOKEN_USED"
  | "TOO_MANY_TOKENS"
  // joining
  | "ISSUER_INVALID"
  | "ISSUER_UNREACHABLE"
  | "JOIN_BROKEN_OFF"
  | "JOIN_FAILED"
  | "JOIN_MALFORMED"
  | "JOIN_PROOF_INVALID"
  | "JOIN_TIMEOUT"
  | "JOIN_UNCONFIRMED"
  | "PIN_MISMATCH"
  | "WELCOME_TOO_LARGE"
  // peers
  | "PEER_TRANSITION_FORBIDDEN";

/** Thrown by `@fed/pairing`. */
export class PairingError extends FedError<PairingErrorCode> {}
