/** HMAC-SHA-256 (RFC 2104) by the platform's own crypto; used on Node. Same function as `hmac-noble.ts`. */
import { createHmac, createSecretKey } from "node:crypto";

/** A function that returns the 32-byte tag over its arguments, joined. `key` is copied. */
export function createHmacSha256(key: Uint8Array): (...parts: readonly Uint8Array[]) => Uint8Array {
  const secret = createSecretKey(key);
  return (...parts) => {
    const hmac = createHmac("sha256", secret);
    for (const part of parts) hmac.update(part);
    return new Uint8Array(hmac.digest());
  };
}
