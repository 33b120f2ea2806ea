/** `Noise_IK_25519_ChaChaPoly_BLAKE2b` (The Noise Protocol Framework, revision 34), and the keys it takes. */
import { randomBytes } from "@fed/core";
import { x25519 } from "@noble/curves/ed25519.js";
import { createNoiseSuite } from "#noise-suite";
import type { NoiseKeyPair, NoiseSuite } from "./noise-suite.js";

export {
  type NoiseInitiator,
  type NoiseKeyPair,
  type NoiseKeys,
  type NoiseResponder,
  type NoiseSuite,
  noiseMessage1Overhead,
  noiseMessage2Overhead,
} from "./noise-suite.js";

/** A fresh X25519 key pair. */
export function generateNoiseKeyPair(): NoiseKeyPair {
  return noiseKeyPairFromSecret(randomBytes(32));
}

/** The key pair of a secret key, 32 bytes. */
export function noiseKeyPairFromSecret(secretKey: Uint8Array): NoiseKeyPair {
  return { secretKey, publicKey: x25519.getPublicKey(secretKey) };
}

/** The suite every hub uses. */
export const noiseIk: NoiseSuite = createNoiseSuite();
