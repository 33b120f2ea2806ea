/** ChaCha20-Poly1305 (RFC 8439) in JavaScript; used where there is no libsodium. Same functions as `chacha-node.ts`. */
import { chacha20poly1305 } from "@noble/ciphers/chacha.js";

/**
 * Ciphertext and 16-byte tag, in `out` if given, which is `plaintext.length + 16` bytes long. `key` 32 bytes, `nonce` 12 bytes.
 */
export function sealChaCha(
  key: Uint8Array,
  nonce: Uint8Array,
  ad: Uint8Array,
  plaintext: Uint8Array,
  out?: Uint8Array,
): Uint8Array {
  return chacha20poly1305(key, nonce, ad).encrypt(plaintext, out);
}

/** The plaintext, or undefined when the tag does not verify or `sealed` is shorter than a tag. */
export function openChaCha(
  key: Uint8Array,
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
