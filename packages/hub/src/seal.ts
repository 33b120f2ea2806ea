/** Values that leave the hub in other hands and come back: sealed with AES-256-GCM under a key that only this hub has. */
import { createCipheriv, createDecipheriv, createSecretKey, randomBytes } from "node:crypto";
import type { Store } from "@fed/core";

const keyPath = ["seal", "key"];
const nonceBytes = 12;
const tagBytes = 16;
/** A longer one is none of ours. */
const maxChars = 64 * 1024;

/** See the module header. */
export interface Seal {
  /** Text that only {@link open} with the same context reads; good until `expiresAtMs`. */
  close(value: unknown, context: string, expiresAtMs: number): string;
  /** The value, or undefined of one that was changed, made for another context, or has expired. */
  open(sealed: string, context: string, atMs: number): unknown;
}

/** The seal of the hub whose `store` this is; its key is made once and outlives restarts. */
export async function openSeal(store: Store): Promise<Seal> {
  let secret = await store.get(keyPath);
  if (!secret) {
    secret = new Uint8Array(randomBytes(32));
    await store.set(keyPath, secret);
  }
  const key = createSecretKey(secret);

  return {
    close(value, context, expiresAtMs) {
      const nonce = randomBytes(nonceBytes);
      const cipher = createCipheriv("aes-256-gcm", key, nonce).setAAD(Buffer.from(context));
      const body = cipher.update(JSON.stringify({ e: expiresAtMs, v: value }), "utf8");
      return Buffer.concat([nonce, body, cipher.final(), cipher.getAuthTag()]).toString("base64url");
    },
    open(sealed, context, atMs) {
      if (sealed.length > maxChars) return undefined;
      const bytes = Buffer.from(sealed, "base64url");
      if (bytes.length < nonceBytes + tagBytes) return undefined;
      try {
        const decipher = createDecipheriv("aes-256-gcm", key, bytes.subarray(0, nonceBytes), {
          authTagLength: tagBytes,
        })
          .setAAD(Buffer.from(context))
          .setAuthTag(bytes.subarray(-tagBytes));
        const text = decipher.update(bytes.subarray(nonceBytes, -tagBytes), undefined, "utf8") + decipher.final("utf8");
        const { e, v } = JSON.parse(text) as { e: number; v: unknown };
        return e > atMs ? v : undefined;
      } catch {
        return undefined;
      }
    },
  };
}
