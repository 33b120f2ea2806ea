/** HMAC-SHA-256 (RFC 2104) by node:crypto, as its two hashes: an Hmac object costs more than hashing a record does. */
import { hash } from "node:crypto";

const blockBytes = 64;
const tagBytes = 32;
/** Longer messages get memory of their own. */
const scratchBytes = 4096;

/** A function that returns the 32-byte tag over its arguments, joined. `key` is copied. */
export function createHmacSha256(key: Uint8Array): (...parts: readonly Uint8Array[]) => Uint8Array {
  const inner = Buffer.alloc(scratchBytes, 0x36);
  const outer = Buffer.alloc(blockBytes + tagBytes, 0x5c);
  const short = key.length > blockBytes ? hash("sha256", key, "buffer") : key;
  for (const [i, byte] of short.entries()) {
    inner[i]! ^= byte;
    outer[i]! ^= byte;
  }
  return (...parts) => {
    let end = blockBytes;
    for (const part of parts) end += part.length;
    const message = end <= scratchBytes ? inner : Buffer.alloc(end, inner.subarray(0, blockBytes));
    end = blockBytes;
    for (const part of parts) {
      message.set(part, end);
      end += part.length;
    }
    // As strings of bytes: node:crypto hands those out faster than buffers.
    outer.write(hash("sha256", message.subarray(0, end), "binary"), blockBytes, "latin1");
    const tag = new Uint8Array(tagBytes);
    outer.write(hash("sha256", outer, "binary"), blockBytes, "latin1");
    tag.set(outer.subarray(blockBytes));
    return tag;
  };
}
