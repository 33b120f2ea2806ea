/// <reference path="./noise-protocol.d.ts" />
/** `Noise_IK_25519_ChaChaPoly_BLAKE2b` (The Noise Protocol Framework, revision 34) on the package `noise-protocol`. */
import { randomBytes } from "@fed/core";
import { x25519 } from "@noble/curves/ed25519.js";
import createCipher from "noise-protocol/cipher.js";
import createCipherState from "noise-protocol/cipher-state.js";
import createHandshake, { type HandshakeState, type Split } from "noise-protocol/handshake-state.js";
import createHash from "noise-protocol/hash.js";
import createSymmetricState from "noise-protocol/symmetric-state.js";
import { createNoiseDh } from "#noise-dh";
import { RelayError } from "./errors.js";

/** An X25519 key pair; both keys 32 bytes. */
export interface NoiseKeyPair {
  readonly publicKey: Uint8Array;
  readonly secretKey: Uint8Array;
}

/** The two record keys a handshake ends in, 32 bytes each. */
export interface NoiseKeys {
  readonly sendKey: Uint8Array;
  readonly receiveKey: Uint8Array;
  /** Binds to this very handshake, 64 bytes. */
  readonly handshakeHash: Uint8Array;
}

/** Bytes that message 1 and message 2 are longer than their payload: keys and tags. */
export const noiseMessage1Overhead = 96;
export const noiseMessage2Overhead = 48;

/** A fresh X25519 key pair. */
export function generateNoiseKeyPair(): NoiseKeyPair {
  return noiseKeyPairFromSecret(randomBytes(32));
}

/** The key pair of a secret key, 32 bytes. */
export function noiseKeyPairFromSecret(secretKey: Uint8Array): NoiseKeyPair {
  return { secretKey, publicKey: x25519.getPublicKey(secretKey) };
}

/** The side that speaks first and knows the other's static key. */
export interface NoiseInitiator {
  writeMessage1(payload: Uint8Array): Uint8Array;
  /** @throws {RelayError} HANDSHAKE_FAILED when the message is not the responder's answer. */
  readMessage2(message: Uint8Array): { readonly payload: Uint8Array; readonly keys: NoiseKeys };
}

/** The side that answers and learns the initiator's static key. */
export interface NoiseResponder {
  /** @throws {RelayError} HANDSHAKE_FAILED when the message was not made for this key and prologue. */
  readMessage1(message: Uint8Array): { readonly payload: Uint8Array; readonly initiatorKey: Uint8Array };
  writeMessage2(payload: Uint8Array): { readonly message: Uint8Array; readonly keys: NoiseKeys };
}

/** The two roles of one Noise suite. */
export interface NoiseSuite {
  createInitiator(options: { keyPair: NoiseKeyPair; responderKey: Uint8Array; prologue: Uint8Array }): NoiseInitiator;
  createResponder(options: { keyPair: NoiseKeyPair; prologue: Uint8Array }): NoiseResponder;
}

/** The Diffie-Hellman functions that `noise-protocol` takes. */
export interface NoiseDiffieHellman {
  readonly DHLEN: number;
  readonly PKLEN: number;
  readonly SKLEN: number;
  readonly ALG: string;
  generateKeypair(publicKey: Uint8Array, secretKey: Uint8Array): void;
  dh(output: Uint8Array, secretKey: Uint8Array, publicKey: Uint8Array): void;
}

/** The suite over the given Diffie-Hellman functions; only tests hand in others than the platform's. */
export function createNoiseSuite(dh: NoiseDiffieHellman = createNoiseDh()): NoiseSuite {
  const hash = createHash({ dh });
  const cipher = createCipher();
  const cipherState = createCipherState({ cipher });
  const symmetricState = createSymmetricState({ hash, cipherState });
  const handshake = createHandshake({ dh, hash, cipher, cipherState, symmetricState });

  function write(state: HandshakeState, payload: Uint8Array, overhead: number): { message: Uint8Array; split?: Split } {
    const buffer = new Uint8Array(payload.length + overhead);
    const split = handshake.writeMessage(state, payload, buffer);
    return { message: buffer.slice(0, handshake.writeMessage.bytes), ...(split && { split }) };
  }

  function read(state: HandshakeState, message: Uint8Array, overhead: number): { payload: Uint8Array; split?: Split } {
    if (message.length < overhead) throw failed();
    const buffer = new Uint8Array(message.length);
    try {
      const split = handshake.readMessage(state, message, buffer);
      return { payload: buffer.slice(0, handshake.readMessage.bytes), ...(split && { split }) };
    } catch (cause) {
      throw failed(cause);
    }
  }

  /**
   * The specification (§5.3): the first key of Split() is for initiator to responder. The package gives the writer of the
   * last message the first key to send with, which is right only when the initiator writes last; in IK the responder does.
   */
  function finish(state: HandshakeState, split: Split): NoiseKeys {
    const handshakeHash = new Uint8Array(hash.HASHLEN);
    symmetricState.getHandshakeHash(state.symmetricState, handshakeHash);
    const keys = {
      sendKey: new Uint8Array(split.rx.subarray(0, cipher.KEYLEN)),
      receiveKey: new Uint8Array(split.tx.subarray(0, cipher.KEYLEN)),
      handshakeHash,
    };
    split.rx.fill(0);
    split.tx.fill(0);
    handshake.destroy(state);
    return keys;
  }

  return {
    createInitiator({ keyPair, responderKey, prologue }) {
      const state = handshake.initialize("IK", true, prologue, keyPair, null, responderKey);
      return {
        writeMessage1: (payload) => {
          try {
            return write(state, payload, noiseMessage1Overhead).message;
          } catch (cause) {
            throw failed(cause);
          }
        },
        readMessage2(message) {
          const { payload, split } = read(state, message, noiseMessage2Overhead);
          return { payload, keys: finish(state, split!) };
        },
      };
    },
    createResponder({ keyPair, prologue }) {
      const state = handshake.initialize("IK", false, prologue, keyPair, null, null);
      return {
        readMessage1(message) {
          const { payload } = read(state, message, noiseMessage1Overhead);
          return { payload, initiatorKey: new Uint8Array(state.rs!) };
        },
        writeMessage2(payload) {
          const { message, split } = write(state, payload, noiseMessage2Overhead);
          return { message, keys: finish(state, split!) };
        },
      };
    },
  };
}

/** The suite every hub uses. */
export const noiseIk: NoiseSuite = createNoiseSuite();

function failed(cause?: unknown): RelayError {
  return new RelayError({
    code: "HANDSHAKE_FAILED",
    message: "The Noise handshake did not verify.",
    hint: "Is the other hub's Noise key in the manifest current?",
    cause,
  });
}
