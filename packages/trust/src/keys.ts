/** Ed25519 keys (RFC 8032): making, naming (RFC 7638, RFC 8037), encoding (RFC 8410), signing and verifying. */

import { concatBytes, encodeBase64Url, encodeUtf8, randomBytes } from "@fed/core";
import * as ed25519 from "#ed25519";
import { hasSmallOrder, importStrictVerifier, pkcs8Prefix, spkiPrefix, type Verify } from "./ed25519.js";
import { TrustError } from "./errors.js";
import { encodePem } from "./pem.js";

/** An Ed25519 key pair. */
export interface KeyPair {
  /** The 32-byte seed (RFC 8032 §5.1.5). */
  readonly secretKey: Uint8Array;
  /** 32 bytes. */
  readonly publicKey: Uint8Array;
}

/** Signs with a key it holds; the key may live elsewhere (an agent, a hardware token). */
export interface Signer {
  /** 32 bytes. */
  readonly publicKey: Uint8Array;
  /** A 64-byte Ed25519 signature over `message`. */
  sign(message: Uint8Array): Uint8Array;
}

const keyBytes = 32;
const maxImportedKeys = 1024;

/** A new key pair from the platform's secure random source. */
export function generateKeyPair(): KeyPair {
  return keyPairFromSecret(randomBytes(keyBytes));
}

/**
 * The key pair of a 32-byte seed, which is copied.
 * @throws {TrustError} BAD_KEY when it is not 32 bytes.
 */
export function keyPairFromSecret(secretKey: Uint8Array): KeyPair {
  assertKeyLength(secretKey);
  return { secretKey: secretKey.slice(), publicKey: ed25519.publicKeyOf(secretKey) };
}

/**
 * A signer for a 32-byte seed; imports the key once.
 * @throws {TrustError} BAD_KEY when it is not 32 bytes.
 */
export function createSigner(secretKey: Uint8Array): Signer {
  assertKeyLength(secretKey);
  return { publicKey: ed25519.publicKeyOf(secretKey), sign: ed25519.importSigner(secretKey) };
}

/**
 * Returns if `signature` (64 bytes) is `publicKey`'s (32 bytes) over `message`; every platform gives the same verdict.
 * @throws {TrustError} BAD_SIGNATURE when it is not; BAD_KEY when the key is not 32 bytes or has small order.
 */
export function verifySignature(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): void {
  if (!importedVerifier(publicKey)(message, signature)) {
    throw new TrustError({ code: "BAD_SIGNATURE", message: "The signature does not fit the message and the key." });
  }
}

/** Importing costs as much as half a verification, and a hub meets few keys: keep them, oldest out first. */
const verifiers = new Map<string, Verify>();

function importedVerifier(publicKey: Uint8Array): Verify {
  const name = encodeBase64Url(publicKey);
  const known = verifiers.get(name);
  if (known) return known;
  assertPublicKey(publicKey);
  const verify = importStrictVerifier(ed25519, publicKey);
  if (verifiers.size >= maxImportedKeys) verifiers.delete(verifiers.keys().next().value!);
  verifiers.set(name, verify);
  return verify;
}

/**
 * Returns if `publicKey` can be trusted to have one owner.
 * @throws {TrustError} BAD_KEY when it is not 32 bytes or has small order.
 */
export function assertPublicKey(publicKey: Uint8Array): void {
  assertKeyLength(publicKey);
  if (hasSmallOrder(publicKey)) {
    throw new TrustError({ code: "BAD_KEY", message: "The public key has small order, so anybody can sign for it." });
  }
}

/** Ids of keys seen lately, by `x`: two hashes a call otherwise. Oldest out first. */
const keyIds = new Map<string, string>();

/** The key's id: RFC 7638 SHA-256 thumbprint of its RFC 8037 JWK, base64url, 43 characters. */
export function keyId(publicKey: Uint8Array): string {
  const x = encodeBase64Url(publicKey);
  let id = keyIds.get(x);
  if (id === undefined) {
    id = encodeBase64Url(sha256(encodeUtf8(`{"crv":"Ed25519","kty":"OKP","x":"${x}"}`)));
    if (keyIds.size >= maxImportedKeys) keyIds.delete(keyIds.keys().next().value!);
    keyIds.set(x, id);
  }
  return id;
}

/**
 * DER of the key's SubjectPublicKeyInfo (RFC 8410 §4), 44 bytes.
 * @throws {TrustError} BAD_KEY when it is not 32 bytes.
 */
export function encodeSpki(publicKey: Uint8Array): Uint8Array {
  assertKeyLength(publicKey);
  return concatBytes(spkiPrefix, publicKey);
}

/** SHA-256 of the key's SubjectPublicKeyInfo DER, base64url, 43 characters: how a manifest names a hub's key. */
export function spkiHash(publicKey: Uint8Array): string {
  return encodeBase64Url(sha256(encodeSpki(publicKey)));
}

/**
 * The secret key as a PKCS#8 PEM (RFC 8410 §7), as node:tls takes it. Keep it as secret as the key.
 * @throws {TrustError} BAD_KEY when it is not 32 bytes.
 */
export function encodePrivateKeyPem(secretKey: Uint8Array): string {
  assertKeyLength(secretKey);
  return encodePem(concatBytes(pkcs8Prefix, secretKey), "PRIVATE KEY");
}

/** SHA-256 (FIPS 180-4), 32 bytes. */
export function sha256(bytes: Uint8Array): Uint8Array {
  return ed25519.sha256(bytes);
}

function assertKeyLength(key: Uint8Array): void {
  if (key.length !== keyBytes) {
    throw new TrustError({
      code: "BAD_KEY",
      message: `An Ed25519 key of ${key.length} bytes; it must be ${keyBytes}.`,
    });
  }
}
