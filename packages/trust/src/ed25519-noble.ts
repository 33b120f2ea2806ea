/**
 * `#ed25519` off Node. Signing is noble's; verifying recomputes R without the cofactor and compares bytes, which is what
 * OpenSSL does: noble's own verify multiplies by the cofactor and so answers differently on crafted signatures.
 */
import { concatBytes, equalBytes } from "@fed/core";
import { ed25519 } from "@noble/curves/ed25519.js";
import { sha256 as sha256Noble, sha512 } from "@noble/hashes/sha2.js";
import type { Ed25519, Sign, Verify } from "./ed25519.js";

const { Point } = ed25519;
const order = Point.Fn.ORDER;

export function publicKeyOf(secretKey: Uint8Array): Uint8Array {
  return ed25519.getPublicKey(secretKey);
}

export function importSigner(secretKey: Uint8Array): Sign {
  const seed = secretKey.slice();
  return (message) => ed25519.sign(message, seed);
}

export function importVerifier(publicKey: Uint8Array): Verify {
  const bytes = publicKey.slice();
  const point = decodePoint(bytes);
  return (message, signature) => {
    if (signature.length !== 64 || !point) return false;
    const s = littleEndian(signature.subarray(32));
    if (s >= order) return false;
    const r = signature.subarray(0, 32);
    const k = littleEndian(sha512(concatBytes(r, bytes, message))) % order;
    return equalBytes(Point.BASE.multiplyUnsafe(s).subtract(point.multiplyUnsafe(k)).toBytes(), r);
  };
}

export function sha256(bytes: Uint8Array): Uint8Array {
  return sha256Noble(bytes);
}

function decodePoint(bytes: Uint8Array): InstanceType<typeof Point> | undefined {
  try {
    return Point.fromBytes(bytes.slice(), true);
  } catch {
    return undefined;
  }
}

function littleEndian(bytes: Uint8Array): bigint {
  let value = 0n;
  for (let i = bytes.length - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[i]!);
  return value;
}

({ publicKeyOf, importSigner, importVerifier, sha256 }) satisfies Ed25519;
