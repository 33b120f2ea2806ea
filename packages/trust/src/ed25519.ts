/**
 * Ed25519 (RFC 8032) as every hub computes it, and the byte prefixes of its key encodings (RFC 8410).
 *
 * There is one verification rule, whatever the platform, so that no crafted signature can split a cluster:
 * S below the group order, cofactorless equation, R compared as bytes, keys and R of small order refused.
 * `#ed25519` is OpenSSL on Node and noble elsewhere. Node releases differ on small order, so it is checked here.
 */
import { encodeHex } from "@fed/core";

/** Makes signatures with one secret key; returns 64 bytes. */
export type Sign = (message: Uint8Array) => Uint8Array;

/** Judges signatures of one public key. */
export type Verify = (message: Uint8Array, signature: Uint8Array) => boolean;

/** What `#ed25519` provides on each platform. */
export interface Ed25519 {
  /** The 32-byte public key of a 32-byte secret key. */
  publicKeyOf(secretKey: Uint8Array): Uint8Array;
  /** Imports a 32-byte secret key once, for many signatures. */
  importSigner(secretKey: Uint8Array): Sign;
  /** Imports a 32-byte public key once, for many verifications. */
  importVerifier(publicKey: Uint8Array): Verify;
  /** SHA-256, 32 bytes. */
  sha256(bytes: Uint8Array): Uint8Array;
}

/** DER of a PKCS#8 PrivateKeyInfo up to the 32-byte seed (RFC 8410 §7). */
export const pkcs8Prefix = Uint8Array.of(0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20);

/** DER of a SubjectPublicKeyInfo up to the 32-byte key (RFC 8410 §4). */
export const spkiPrefix = Uint8Array.of(0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0);

/** y coordinates of all points whose order divides 8, with every encoding that decodes to them; sign bit cleared, hex. */
const smallOrder = new Set([
  "0000000000000000000000000000000000000000000000000000000000000000",
  "0100000000000000000000000000000000000000000000000000000000000000",
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
  "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
]);

const smallOrderFirstBytes = new Set([0x00, 0x01, 0x26, 0xc7, 0xec, 0xed, 0xee]);

/** Whether a 32-byte encoded point has small order. As a public key it has signatures that fit many messages. */
export function hasSmallOrder(point: Uint8Array): boolean {
  if (!smallOrderFirstBytes.has(point[0]!)) return false;
  const cleared = point.slice();
  cleared[31]! &= 0x7f;
  return smallOrder.has(encodeHex(cleared));
}

/** The one rule: what `platform` computes for a key and an R that are not of small order. The key is 32 bytes. */
export function importStrictVerifier(platform: Ed25519, publicKey: Uint8Array): Verify {
  if (hasSmallOrder(publicKey)) return () => false;
  const verify = platform.importVerifier(publicKey);
  return (message, signature) =>
    signature.length === 64 && !hasSmallOrder(signature.subarray(0, 32)) && verify(message, signature);
}
