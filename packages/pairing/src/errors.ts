/** What can go wrong while trust starts. */
import { FedError } from "@fed/core";

/** Codes of {@link PairingError}. */
export type PairingErrorCode =
  | "INVITE_CLOSED"
  | "JOIN_MALFORMED"
  | "JOIN_PROOF_INVALID"
  | "JOIN_REFUSED"
  | "JOIN_TIMEOUT"
  | "PEER_TRANSITION_FORBIDDEN"
  | "PIN_MISMATCH"
  | "TOKEN_EXPIRED"
  | "TOKEN_MALFORMED"
  | "TOKEN_UNKNOWN"
  | "TOKEN_USED"
  | "TOO_MANY_TOKENS";

/** Thrown by `@fed/pairing`. */
export class PairingError extends FedError<PairingErrorCode> {}
