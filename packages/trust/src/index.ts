export { TrustError, type TrustErrorCode } from "./errors.js";
export {
  type CompactLimits,
  type GeneralDemands,
  type GeneralJws,
  type JsonObject,
  type JwsHeader,
  maxSignatures,
  type ParsedJws,
  parseCompact,
  signCompact,
  signGeneral,
  type VerifiedGeneral,
  verifyCompact,
  verifyGeneral,
} from "./jws.js";
export {
  assertPublicKey,
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
export { decodePem, encodePem, type PemLabel } from "./pem.js";
