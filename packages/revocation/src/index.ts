export {
  type CallPrincipals,
  createRevocationChecker,
  type RevocationChecker,
  type RevocationCheckerOptions,
} from "./checker.js";
export { type RevocationEntry, type RevocationKind, revocationKinds } from "./entry.js";
export { RevocationError, type RevocationErrorCode, type RevokedCode } from "./errors.js";
export {
  appendEntries,
  emptyList,
  type ListDemands,
  maxListBytes,
  maxSignedListBytes,
  type RevocationList,
  signList,
  type VerifiedList,
  verifyList,
} from "./list.js";
