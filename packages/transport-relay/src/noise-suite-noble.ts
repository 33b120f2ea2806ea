/**
 * `#noise-suite` off Node: the IK pattern of The Noise Protocol Framework (revision 34) on noble. Same function as
 * `noise-suite-node.ts`. `noise-protocol` would need sodium-javascript there, which does not load under a page's strict
 * content security policy and takes an all-zero X25519 result for a good one; see docs/decisions/0010.
 */
import { concatBytes, encodeUtf8 } from "@fed/core";
import { x25519 } from "@noble/curves/ed25519.js";
import { blake2b } from "@noble/hashes/blake2.js";
import { hmac } from "@noble/hashes/hmac.js";
import { openChaCha, sealChaCha } from "./chacha-noble.js";
import {
  handshakeFailed,
  type NoiseKeyPair,
  type NoiseKeys,
  type NoiseSuite,
  noiseMessage1Overhead,
  noiseMessage2Overhead,
} from "./noise-suite.js";

const protocolName = "Noise_IK_25519_ChaChaPoly_BLAKE2b";
const hashBytes = 64;
const keyBytes = 32;
/** A public key behind its tag. */
const sealedKeyBytes = keyBytes + 16;
const nothing = new Uint8Array(0);

/** Only tests hand in `newEphemeral`: keys that are not fresh. */
export function createNoiseSuite(newEphemeral: () => NoiseKeyPair = () => x25519.keygen()): NoiseSuite {
  return {
    createInitiator({ keyPair, responderKey, prologue }) {
      const state = new SymmetricState(prologue, responderKey);
      const ephemeral = newEphemeral();
      return {
        writeMessage1: (payload) =>
          orFailed(() => {
            state.mixHash(ephemeral.publicKey);
            state.mixKey(x25519.getSharedSecret(ephemeral.secretKey, responderKey));
            const sealedKey = state.seal(keyPair.publicKey);
            state.mixKey(x25519.getSharedSecret(keyPair.secretKey, responderKey));
            return concatBytes(ephemeral.publicKey, sealedKey, state.seal(payload));
          }),
        readMessage2: (message) =>
          orFailed(() => {
            if (message.length < noiseMessage2Overhead) throw handshakeFailed();
            const theirEphemeral = message.subarray(0, keyBytes);
            state.mixHash(theirEphemeral);
            state.mixKey(x25519.getSharedSecret(ephemeral.secretKey, theirEphemeral));
            state.mixKey(x25519.getSharedSecret(keyPair.secretKey, theirEphemeral));
            const payload = state.open(message.subarray(keyBytes));
            const [sendKey, receiveKey] = state.split();
            return { payload, keys: state.keys(sendKey, receiveKey) };
          }),
      };
    },
    createResponder({ keyPair, prologue }) {
      const state = new SymmetricState(prologue, keyPair.publicKey);
      let theirEphemeral: Uint8Array = nothing;
      let initiatorKey: Uint8Array = nothing;
      return {
        readMessage1: (message) =>
          orFailed(() => {
            if (message.length < noiseMessage1Overhead) throw handshakeFailed();
            theirEphemeral = message.slice(0, keyBytes);
            state.mixHash(theirEphemeral);
            state.mixKey(x25519.getSharedSecret(keyPair.secretKey, theirEphemeral));
            initiatorKey = state.open(message.subarray(keyBytes, keyBytes + sealedKeyBytes));
            state.mixKey(x25519.getSharedSecret(keyPair.secretKey, initiatorKey));
            return { payload: state.open(message.subarray(keyBytes + sealedKeyBytes)), initiatorKey };
          }),
        writeMessage2: (payload) =>
          orFailed(() => {
            const ephemeral = newEphemeral();
            state.mixHash(ephemeral.publicKey);
            state.mixKey(x25519.getSharedSecret(ephemeral.secretKey, theirEphemeral));
            state.mixKey(x25519.getSharedSecret(ephemeral.secretKey, initiatorKey));
            const message = concatBytes(ephemeral.publicKey, state.seal(payload));
            const [receiveKey, sendKey] = state.split();
            return { message, keys: state.keys(sendKey, receiveKey) };
          }),
      };
    },
  };
}

/** §5.2 of the specification, with the CipherState of §5.1 in it. */
class SymmetricState {
  #hash: Uint8Array;
  #chainingKey: Uint8Array;
  #key: Uint8Array = nothing;
  #nonce = 0;

  /** Begins with what both know before message 1. */
  constructor(prologue: Uint8Array, responderKey: Uint8Array) {
    const name = new Uint8Array(hashBytes);
    name.set(encodeUtf8(protocolName));
    this.#hash = name;
    this.#chainingKey = name;
    this.mixHash(prologue);
    this.mixHash(responderKey);
  }

  mixHash(bytes: Uint8Array): void {
    this.#hash = blake2b(concatBytes(this.#hash, bytes));
  }

  mixKey(secret: Uint8Array): void {
    const [chainingKey, key] = this.#derive(secret);
    this.#chainingKey = chainingKey;
    this.#key = key.subarray(0, keyBytes);
    this.#nonce = 0;
  }

  seal(plaintext: Uint8Array): Uint8Array {
    const sealed = sealChaCha(this.#key, this.#nextNonce(), this.#hash, plaintext);
    this.mixHash(sealed);
    return sealed;
  }

  open(sealed: Uint8Array): Uint8Array {
    const plaintext = openChaCha(this.#key, this.#nextNonce(), this.#hash, sealed);
    if (!plaintext) throw handshakeFailed();
    this.mixHash(sealed);
    return plaintext;
  }

  /** The key from initiator to responder, then the other one. */
  split(): [Uint8Array, Uint8Array] {
    const [first, second] = this.#derive(nothing);
    return [first.slice(0, keyBytes), second.slice(0, keyBytes)];
  }

  keys(sendKey: Uint8Array, receiveKey: Uint8Array): NoiseKeys {
    return { sendKey, receiveKey, handshakeHash: this.#hash };
  }

  /** HKDF of §4.3 with two outputs. */
  #derive(secret: Uint8Array): [Uint8Array, Uint8Array] {
    const key = hmac(blake2b, this.#chainingKey, secret);
    const first = hmac(blake2b, key, Uint8Array.of(1));
    return [first, hmac(blake2b, key, concatBytes(first, Uint8Array.of(2)))];
  }

  /** 32 zero bits, then the counter, little-endian. */
  #nextNonce(): Uint8Array {
    const nonce = new Uint8Array(12);
    new DataView(nonce.buffer).setUint32(4, this.#nonce++, true);
    return nonce;
  }
}

/** noble throws plain errors, for an all-zero Diffie-Hellman result for one. */
function orFailed<T>(step: () => T): T {
  try {
    return step();
  } catch (cause) {
    throw handshakeFailed(cause);
  }
}
