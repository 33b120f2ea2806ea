/** The one error class of this package and its codes; the README says what each means and what to do next. */
import { FedError } from "@fed/core";

/** Codes of {@link TrustError}; public API. */
export type TrustErrorCode =
  // keys
  | "BAD_KEY"
  | "BAD_SIGNATURE"
  // jws
  | "JWS_TOO_LARGE"
  | "JWS_MALFORMED"
  | "JWS_WRONG_TYPE"
  | "JWS_UNSUPPORTED"
  | "TOO_FEW_SIGNATURES"
  // certificates
  | "PEM_MALFORMED"
  | "DER_MALFORMED"
  | "BAD_NAME"
  | "CSR_MALFORMED"
  | "CSR_BAD_SIGNATURE"
  | "CA_MALFORMED"
  | "CA_BAD_SIGNATURE"
  | "CA_BAD_NAME"
  | "CA_BAD_USAGE"
  | "CA_EXPIRED"
  | "CA_NOT_YET_VALID"
  | "LEAF_MALFORMED"
  | "LEAF_UNTRUSTED"
  | "LEAF_EXPIRED"
  | "LEAF_NOT_YET_VALID"
  | "LEAF_BAD_NAME"
  | "LEAF_BAD_USAGE"
  | "LEAF_NOT_IN_MANIFEST"
  // manifest
  | "MANIFEST_TOO_LARGE"
  | "MANIFEST_MALFORMED"
  | "MANIFEST_INVALID"
  | "MANIFEST_EXPIRED"
  | "MANIFEST_NOT_YET_VALID"
  | "MANIFEST_NOT_GENESIS"
  | "MANIFEST_WRONG_CLUSTER"
  | "MANIFEST_WRONG_VERSION"
  | "MANIFEST_WRONG_PREVIOUS"
  | "MANIFEST_BACKDATED"
  | "MANIFEST_BAD_THRESHOLD"
  // principal
  | "PRINCIPAL_MALFORMED"
  // envelope
  | "ENVELOPE_TOO_LARGE"
  | "ENVELOPE_MALFORMED"
  | "ENVELOPE_EXPIRED"
  | "ENVELOPE_NOT_YET_VALID"
  | "ENVELOPE_LIFETIME"
  | "WRONG_SENDER"
  | "WRONG_AUDIENCE"
  | "WRONG_EPOCH"
  | "UNKNOWN_HUB"
  | "BODY_MISMATCH"
  | "ORIGIN_MISMATCH"
  | "FOREIGN_OPERATOR"
  | "BROKEN_CHAIN"
  | "SCOPE_WIDENED"
  | "TOO_MANY_HOPS"
  | "REPLAYED"
  | "REPLAY_GUARD_FULL"
  // sharing policy
  | "POLICY_MALFORMED"
  | "SHARE_TARGET_MALFORMED";

/** Thrown by `@fed/trust`. */
export class TrustError extends FedError<TrustErrorCode> {}
