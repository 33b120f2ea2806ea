/** ChaCha20-Poly1305 (RFC 8439) by the platform's own crypto; used on Node. Same functions as `chacha-noble.ts`. */
import { createCipheriv, createDecipheriv, createSecretKey, type KeyObject } from "node:crypto";

const options = { authTagLength: 16 };

/** A key as its bytes, or prepared. */
export type ChaChaKey = Uint8Array | KeyObject;

/** `key`, 32 bytes, for many uses: OpenSSL takes bytes anew each time, which costs several times what a small record does. */
export function prepareChaChaKey(key: Uint8Array): ChaChaKey {
  return createSecretKey(key);
}

/** Ciphertext and 16-byte tag. `key` 32 bytes, `nonce` 12 bytes. */
export function sealChaCha(key: ChaChaKey, nonce: Uint8Array, ad: Uint8Array, plaintext: Uint8Array): Uint8Array {
  const cipher = createCipheriv("chacha20-poly1305", key, nonce, options);
  cipher.setAAD(ad, { plaintextLength: plaintext.length });
  const out = new Uint8Array(plaintext.length + 16);
  out.set(cipher.update(plaintext), 0);
  cipher.final();
  out.set(cipher.getAuthTag(), plaintext.length);
  return out;
}

/** The plaintext, or undefined when the tag does not verify or `sealed` is shorter than a tag. */
export function openChaCha(
  key: ChaChaKey,
  nonce: Uint8Array,
  ad: Uint8Array,
  sealed: Uint8Array,
): Uint8Array | undefined {
  const length = sealed.length - 16;
  if (length < 0) return undefined;
  const decipher = createDecipheriv("chacha20-poly1305", key, nonce, options);
  decipher.setAAD(ad, { plaintextLength: length });
  decipher.setAuthTag(sealed.subarray(length));
  const plaintext = decipher.update(sealed.subarray(0, length));
  try {
    decipher.final();
  } catch {
    return undefined;
  }
  return new Uint8Array(plaintext.buffer, plaintext.byteOffset, plaintext.byteLength);
}
