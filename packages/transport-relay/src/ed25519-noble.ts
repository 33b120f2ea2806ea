/** Ed25519 (RFC 8032) in JavaScript; used where there is no node:crypto. Same functions as `ed25519-node.ts`. */
import { ed25519 } from "@noble/curves/ed25519.js";

/** The 32-byte public key of a 32-byte seed. */
export function ed25519PublicKey(seed: Uint8Array): Uint8Array {
  return ed25519.getPublicKey(seed);
}

/** The 64-byte signature of `bytes` by a 32-byte seed. */
export function signEd25519(seed: Uint8Array, bytes: Uint8Array): Uint8Array {
  return ed25519.sign(bytes, seed);
}

/** Whether `signature` is `publicKey`'s over `bytes`; false for anything malformed. */
export function verifyEd25519(publicKey: Uint8Array, signature: Uint8Array, bytes: Uint8Array): boolean {
  if (publicKey.length !== 32 || signature.length !== 64) return false;
  try {
    return ed25519.verify(signature, bytes, publicKey, { zip215: false });
  } catch {
    return false;
  }
}
