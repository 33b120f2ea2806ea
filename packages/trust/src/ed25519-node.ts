/** `#ed25519` on Node: OpenSSL through node:crypto, about ten times faster than JavaScript. */
import { createHash, createPrivateKey, createPublicKey, type KeyObject, sign, verify } from "node:crypto";
import { type Ed25519, pkcs8Prefix, type Sign, spkiPrefix, type Verify } from "./ed25519.js";

export function publicKeyOf(secretKey: Uint8Array): Uint8Array {
  const spki = createPublicKey(importPrivateKey(secretKey)).export({ format: "der", type: "spki" });
  return new Uint8Array(spki.subarray(spkiPrefix.length));
}

export function importSigner(secretKey: Uint8Array): Sign {
  const key = importPrivateKey(secretKey);
  return (message) => new Uint8Array(sign(null, message, key));
}

export function importVerifier(publicKey: Uint8Array): Verify {
  const der = Buffer.concat([spkiPrefix, publicKey]);
  const key = createPublicKey({ key: der, format: "der", type: "spki" });
  return (message, signature) => verify(null, message, key, signature);
}

export function sha256(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(createHash("sha256").update(bytes).digest());
}

function importPrivateKey(secretKey: Uint8Array): KeyObject {
  const der = Buffer.concat([pkcs8Prefix, secretKey]);
  return createPrivateKey({ key: der, format: "der", type: "pkcs8" });
}

({ publicKeyOf, importSigner, importVerifier, sha256 }) satisfies Ed25519;
