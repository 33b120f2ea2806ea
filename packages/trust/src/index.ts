export { type CertificateAuthority, type CreateCaOptions, createCa, verifyCa } from "./ca.js";
export { hubDnsName, isClusterId, isHubId, parseSpiffeUri, spiffeUri } from "./cluster-name.js";
export { createCsr, verifyCsr } from "./csr.js";
export { type Envelope, type EnvelopeContext, type VerifiedEnvelope, verifyEnvelope } from "./envelope.js";
export {
  clockToleranceMs,
  type HopClaims,
  hopType,
  maxEnvelopeBytes,
  maxHopLifetimeMs,
  maxHops,
  maxOriginLifetimeMs,
  type OriginClaims,
  originType,
} from "./envelope-claims.js";
export {
  createEnvelopeSigner,
  type EnvelopeSigner,
  type EnvelopeSignerOptions,
  type SignRequest,
} from "./envelope-signer.js";
export { TrustError, type TrustErrorCode } from "./errors.js";
export { type HopStatement, signHop } from "./hop.js";
export {
  type GeneralDemands,
  type GeneralJws,
  maxSignatures,
  signGeneral,
  type VerifiedGeneral,
  verifyGeneral,
} from "./jws.js";
export {
  createSigner,
  encodePrivateKeyPem,
  encodeSpki,
  generateKeyPair,
  type KeyPair,
  keyId,
  keyPairFromSecret,
  type Signer,
  sha256,
  spkiHash,
  verifySignature,
} from "./keys.js";
export {
  type IssueLeafOptions,
  issueLeaf,
  type Leaf,
  type LeafClaims,
  readLeafClaims,
  type VerifyLeafOptions,
  verifyLeaf,
} from "./leaf.js";
export {
  acceptLeaf,
  assertFresh,
  clusterIdOf,
  memberOf,
  type SignedManifest,
  signManifest,
  type VerifiedManifest,
  verifyChain,
  verifyGenesis,
  verifyNext,
} from "./manifest.js";
export {
  type CaStatus,
  type Manifest,
  type ManifestAuthority,
  type ManifestCa,
  type ManifestMember,
  type ManifestRelay,
  manifestLimits,
  parseManifest,
} from "./manifest-format.js";
export { createOriginCache, type Origin, type OriginCache, type OriginStatement, signOrigin } from "./origin.js";
export { decodePem, encodePem, type PemLabel } from "./pem.js";
export { formatPrincipal, type Principal, parsePrincipal } from "./principal.js";
export { createReplayGuard, type ReplayGuard, type ReplayGuardOptions } from "./replay-guard.js";
export { type ShareOptions, share, unshare } from "./sharing-edit.js";
export {
  type AppPolicy,
  type Decision,
  decide,
  emptyPolicy,
  type PolicyCaller,
  type PolicyRequest,
  parsePolicy,
  type Risk,
  type Rule,
  type SharingPolicy,
} from "./sharing-policy.js";
