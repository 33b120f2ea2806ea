/// <reference path="./sodium-native.d.ts" />
/**
 * ChaCha20-Poly1305 (RFC 8439) by libsodium, which `noise-protocol` brings anyway: one call per record, and no cipher object,
 * which is most of what node:crypto takes for a small one. Used on Node. Same functions as `chacha-noble.ts`.
 */
import sodium from "sodium-native";

/**
 * Ciphertext and 16-byte tag, in `out` if given, which is `plaintext.length + 16` bytes long. `key` 32 bytes, `nonce` 12 bytes.
 */
export function sealChaCha(
  key: Uint8Array,
  nonce: Uint8Array,
  ad: Uint8Array,
  plaintext: Uint8Array,
  out: Uint8Array = new Uint8Array(plaintext.length + 16),
): Uint8Array {
  sodium.crypto_aead_chacha20poly1305_ietf_encrypt(out, plaintext, ad, null, nonce, key);
  return out;
}

/** The plaintext, or undefined when the tag does not verify or `sealed` is shorter than a tag. */
export function openChaCha(
  key: Uint8Array,
  nonce: Uint8Array,
  ad: Uint8Array,
  sealed: Uint8Array,
): Uint8Array | undefined {
  if (sealed.length < 16) return undefined;
  const plaintext = new Uint8Array(sealed.length - 16);
  try {
    sodium.crypto_aead_chacha20poly1305_ietf_decrypt(plaintext, null, sealed, ad, nonce, key);
  } catch {
    return undefined;
  }
  return plaintext;
}
