/** Ed25519 (RFC 8032) by the platform's own crypto; used on Node. Same functions as `ed25519-noble.ts`. */
import { createPrivateKey, createPublicKey, sign, verify } from "node:crypto";

/** PKCS #8 and SubjectPublicKeyInfo of an Ed25519 key are these fixed bytes followed by the 32 key bytes (RFC 8410). */
const pkcs8Prefix = Buffer.from("302e020100300506032b657004220420", "hex");
const spkiPrefix = Buffer.from("302a300506032b6570032100", "hex");

/** The 32-byte public key of a 32-byte seed. */
export function ed25519PublicKey(seed: Uint8Array): Uint8Array {
  const spki = createPublicKey(privateKey(seed)).export({ format: "der", type: "spki" });
  return new Uint8Array(spki.subarray(spkiPrefix.length));
}

/** The 64-byte signature of `bytes` by a 32-byte seed. */
export function signEd25519(seed: Uint8Array, bytes: Uint8Array): Uint8Array {
  return new Uint8Array(sign(null, bytes, privateKey(seed)));
}

/** Whether `signature` is `publicKey`'s over `bytes`; false for anything malformed. */
export function verifyEd25519(publicKey: Uint8Array, signature: Uint8Array, bytes: Uint8Array): boolean {
  if (publicKey.length !== 32 || signature.length !== 64) return false;
  try {
    const key = createPublicKey({ key: Buffer.concat([spkiPrefix, publicKey]), format: "der", type: "spki" });
    return verify(null, bytes, key, signature);
  } catch {
    return false;
  }
}

function privateKey(seed: Uint8Array) {
  return createPrivateKey({ key: Buffer.concat([pkcs8Prefix, seed]), format: "der", type: "pkcs8" });
}
