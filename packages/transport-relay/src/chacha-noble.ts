/** ChaCha20-Poly1305 (RFC 8439) in JavaScript; used where there is no node:crypto. Same functions as `chacha-node.ts`. */
import { chacha20poly1305 } from "@noble/ciphers/chacha.js";

/** A key as its bytes. */
export type ChaChaKey = Uint8Array;

/** `key`, 32 bytes, for many uses. */
export function prepareChaChaKey(key: Uint8Array): ChaChaKey {
  return key;
}

/** Ciphertext and 16-byte tag. `key` 32 bytes, `nonce` 12 bytes. */
export function sealChaCha(key: ChaChaKey, nonce: Uint8Array, ad: Uint8Array, plaintext: Uint8Array): Uint8Array {
  return chacha20poly1305(key, nonce, ad).encrypt(plaintext);
}

/** The plaintext, or undefined when the tag does not verify or `sealed` is shorter than a tag. */
export function openChaCha(
  key: ChaChaKey,
  nonce: Uint8Array,
  ad: Uint8Array,
  sealed: Uint8Array,
): Uint8Array | undefined {
  if (sealed.length < 16) return undefined;
  try {
    return chacha20poly1305(key, nonce, ad).decrypt(sealed);
  } catch {
    return undefined;
  }
}
