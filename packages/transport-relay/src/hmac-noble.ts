/** HMAC-SHA-256 (RFC 2104) in JavaScript; used where there is no node:crypto. Same function as `hmac-node.ts`. */
import { hmac } from "@noble/hashes/hmac.js";
import { sha256 } from "@noble/hashes/sha2.js";

/** A function that returns the 32-byte tag over its arguments, joined. `key` is copied. */
export function createHmacSha256(key: Uint8Array): (...parts: readonly Uint8Array[]) => Uint8Array {
  const keyed = hmac.create(sha256, key);
  return (...parts) => {
    const mac = keyed.clone();
    for (const part of parts) mac.update(part);
    return mac.digest();
  };
}
