/**
 * The manifest as a chain: each version is signed by enough keys of its predecessor's authority and of its own
 * (the root rule of TUF §5.3), names its predecessor's hash, and the hash of the first is the cluster's id.
 */
import {
  type ClusterId,
  canonicalJson,
  decodeBase64Url,
  encodeBase32,
  encodeBase64Url,
  encodeHex,
  type HubId,
} from "@fed/core";
import { parseCa } from "./ca.js";
import { TrustError, type TrustErrorCode } from "./errors.js";
import { decodePart, type GeneralJws, parseGeneral, signGeneral, verifyGeneral } from "./jws.js";
import { type Signer, sha256 } from "./keys.js";
import { type Leaf, verifyLeaf } from "./leaf.js";
import {
  authorityKeys,
  checkManifest,
  type Manifest,
  type ManifestAuthority,
  type ManifestMember,
  manifestLimits,
  parseManifest,
} from "./manifest-format.js";

/** A manifest's canonical bytes in JWS general JSON serialization: what is stored and sent. */
export type SignedManifest = GeneralJws;

/** A manifest whose whole history was verified. */
export interface VerifiedManifest {
  readonly manifest: Manifest;
  /** SHA-256 of the payload bytes, base64url: what the next one names as `previous`. */
  readonly hash: string;
  readonly clusterId: ClusterId;
  readonly signed: SignedManifest;
}

/** `typ` of the signatures on a manifest. */
const manifestType = "fed-manifest+json";

/** How far ahead of our clock an issuer's may be. */
const clockToleranceMs = 300_000;

/** Longest chain read; a cluster that changes every hour gets there in eleven years. */
const maxChainLength = 100_000;

/**
 * `manifest` in canonical form, signed by each of `signers`. To collect signatures on several machines, have each sign
 * the same manifest and join the `signatures`.
 * @throws {TrustError} MANIFEST_MALFORMED, MANIFEST_INVALID, MANIFEST_BAD_THRESHOLD, MANIFEST_TOO_LARGE.
 */
export function signManifest(manifest: Manifest, signers: readonly Signer[]): SignedManifest {
  const payload = canonicalJson(checkManifest(manifest));
  parseManifest(payload);
  return signGeneral(manifestType, payload, signers);
}

/** The id of the cluster whose genesis has these payload bytes. */
export function clusterIdOf(genesisPayload: Uint8Array): ClusterId {
  return encodeBase32(sha256(genesisPayload));
}

/**
 * The first manifest of a cluster. It proves no more than that its keys agree to it: pin its `clusterId`.
 * `atMs`, if given, refuses one from the future.
 * @throws {TrustError} MANIFEST_NOT_GENESIS, MANIFEST_NOT_YET_VALID; the codes of {@link parseManifest} and of
 * {@link verifyGeneral}.
 */
export function verifyGenesis(signed: unknown, { atMs }: { readonly atMs?: number } = {}): VerifiedManifest {
  const jws = parseGeneral(signed, manifestLimits.maxBytes);
  const payload = decodePart(jws.payload);
  const manifest = parseManifest(payload);
  if (manifest.version !== 1) throw refused("MANIFEST_NOT_GENESIS", "The chain does not begin with version 1.");
  verifyThreshold(jws, manifest.authority);
  if (atMs !== undefined) assertNotFromFuture(manifest, atMs);
  return { manifest, hash: encodeBase64Url(sha256(payload)), clusterId: clusterIdOf(payload), signed: jws };
}

/**
 * The manifest that follows `previous`. Its own expiry is not judged, so that history can be read: see {@link assertFresh}.
 * @throws {TrustError} TOO_FEW_SIGNATURES or BAD_SIGNATURE by either authority; MANIFEST_WRONG_VERSION,
 * MANIFEST_WRONG_PREVIOUS, MANIFEST_WRONG_CLUSTER, MANIFEST_BACKDATED, MANIFEST_NOT_YET_VALID; MANIFEST_INVALID when two
 * CAs have one key; the codes of {@link parseManifest}; the CA_ codes for its CAs, expiry apart.
 */
export function verifyNext(
  previous: VerifiedManifest,
  signed: unknown,
  { atMs }: { readonly atMs: number },
): VerifiedManifest {
  const { clusterId, manifest: before } = previous;
  const jws = parseGeneral(signed, manifestLimits.maxBytes);
  // Before anything inside is read, those who may speak must have spoken.
  const payload = verifyThreshold(jws, before.authority);
  const manifest = parseManifest(payload);
  if (manifest.version !== before.version + 1) {
    throw refused(
      "MANIFEST_WRONG_VERSION",
      `Version ${manifest.version} does not follow version ${before.version}.`,
      "Fetch the versions in between, in order.",
    );
  }
  if (manifest.previous !== previous.hash) {
    throw refused("MANIFEST_WRONG_PREVIOUS", "The manifest follows another one than ours: the history has forked.");
  }
  if (manifest.cluster.name !== before.cluster.name || manifest.cluster.salt !== before.cluster.salt) {
    throw refused("MANIFEST_WRONG_CLUSTER", "The manifest changes what names the cluster.");
  }
  if (manifest.issuedAt < before.issuedAt) {
    throw refused("MANIFEST_BACKDATED", "The manifest was issued before its predecessor.");
  }
  assertNotFromFuture(manifest, atMs);
  verifyThreshold(jws, manifest.authority);
  checkCas(manifest, clusterId);
  return { manifest, hash: encodeBase64Url(sha256(payload)), clusterId, signed: jws };
}

/**
 * The last manifest of a whole chain, genesis first. Call {@link assertFresh} before relying on it.
 * @throws {TrustError} MANIFEST_WRONG_CLUSTER when the genesis is not that of `clusterId`; MANIFEST_NOT_GENESIS for an
 * empty chain; MANIFEST_TOO_LARGE; the codes of {@link verifyGenesis} and {@link verifyNext}.
 */
export function verifyChain(
  chain: readonly unknown[],
  { clusterId, atMs }: { readonly clusterId?: ClusterId; readonly atMs: number },
): VerifiedManifest {
  const [genesis, ...rest] = chain;
  if (genesis === undefined) throw refused("MANIFEST_NOT_GENESIS", "The chain is empty.");
  if (chain.length > maxChainLength) throw refused("MANIFEST_TOO_LARGE", "The chain is too long.");
  let verified = verifyGenesis(genesis, { atMs });
  if (clusterId !== undefined && verified.clusterId !== clusterId) {
    throw refused("MANIFEST_WRONG_CLUSTER", "The chain is another cluster's.");
  }
  for (const signed of rest) verified = verifyNext(verified, signed, { atMs });
  return verified;
}

/** @throws {TrustError} MANIFEST_EXPIRED from `expiresAt` on. */
export function assertFresh({ manifest }: VerifiedManifest, atMs: number): void {
  if (atMs >= manifest.expiresAt * 1000) {
    throw refused("MANIFEST_EXPIRED", "The manifest has expired.", "Have the authority sign the next version.");
  }
}

/** The member `hubId`, or undefined. */
export function memberOf(manifest: Manifest, hubId: HubId): ManifestMember | undefined {
  return manifest.members.find((member) => member.hubId === hubId);
}

/**
 * The leaf in `leafDer` and the member it belongs to: the certificate is valid and the manifest names its key, so a
 * stolen CA key alone adds nobody.
 * @throws {TrustError} MANIFEST_EXPIRED; LEAF_NOT_IN_MANIFEST; the codes of {@link verifyLeaf}.
 */
export function acceptLeaf(
  leafDer: Uint8Array,
  verified: VerifiedManifest,
  { atMs }: { readonly atMs: number },
): { readonly leaf: Leaf; readonly member: ManifestMember } {
  const { manifest, clusterId } = verified;
  assertFresh(verified, atMs);
  const leaf = verifyLeaf(leafDer, { cas: decodeCas(manifest), clusterId, atMs });
  const member = memberOf(manifest, leaf.hubId);
  if (member?.spki !== leaf.spki) {
    throw refused(
      "LEAF_NOT_IN_MANIFEST",
      "The certificate is valid, but the manifest does not name this hub with this key.",
      "Check that both hubs have the current manifest.",
    );
  }
  return { leaf, member };
}

function verifyThreshold(jws: GeneralJws, authority: ManifestAuthority): Uint8Array {
  const { threshold } = authority;
  return verifyGeneral(jws, {
    typ: manifestType,
    maxBytes: manifestLimits.maxBytes,
    keys: authorityKeys(authority),
    threshold,
  }).payload;
}

function checkCas(manifest: Manifest, clusterId: ClusterId): void {
  const keys = decodeCas(manifest).map((certificate) => encodeHex(parseCa(certificate, clusterId).keyIdentifier));
  // A leaf points at its issuer by key, so one key with two certificates would leave it open which one judges.
  if (new Set(keys).size !== keys.length) throw refused("MANIFEST_INVALID", "Two CAs have the same key.");
}

function assertNotFromFuture(manifest: Manifest, atMs: number): void {
  if (manifest.issuedAt * 1000 > atMs + clockToleranceMs) {
    throw refused("MANIFEST_NOT_YET_VALID", "The manifest is from the future.", "Check this machine's clock.");
  }
}

function decodeCas({ cas }: Manifest): Uint8Array[] {
  return cas.map(({ certificate }) => {
    try {
      return decodeBase64Url(certificate);
    } catch (cause) {
      throw refused("MANIFEST_MALFORMED", "A CA certificate is not base64url.", undefined, cause);
    }
  });
}

function refused(code: TrustErrorCode, message: string, hint?: string, cause?: unknown): TrustError {
  return new TrustError({ code, message, hint, cause });
}
