/**
 * X25519 (RFC 7748) in JavaScript; used where there is no libsodium. Same function as `noise-dh-node.ts`. What stands in for
 * libsodium there, sodium-javascript, takes four times as long and lets an all-zero result pass.
 */
import { x25519 } from "@noble/curves/ed25519.js";
import type { NoiseDiffieHellman } from "./noise.js";

/** The Diffie-Hellman functions of every handshake; an all-zero result throws. */
export function createNoiseDh(): NoiseDiffieHellman {
  return {
    DHLEN: 32,
    PKLEN: 32,
    SKLEN: 32,
    ALG: "25519",
    generateKeypair(publicKey, secretKey) {
      const pair = x25519.keygen();
      publicKey.set(pair.publicKey);
      secretKey.set(pair.secretKey);
    },
    dh: (output, secretKey, publicKey) => output.set(x25519.getSharedSecret(secretKey, publicKey)),
  };
}
