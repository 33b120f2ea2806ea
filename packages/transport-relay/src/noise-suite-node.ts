/// <reference path="./noise-protocol.d.ts" />
/** `#noise-suite` on Node: the package `noise-protocol` on libsodium. Same function as `noise-suite-noble.ts`. */
import createCipher from "noise-protocol/cipher.js";
import createCipherState from "noise-protocol/cipher-state.js";
import createDh, { type Dh } from "noise-protocol/dh.js";
import createHandshake, { type HandshakeState, type Split } from "noise-protocol/handshake-state.js";
import createHash from "noise-protocol/hash.js";
import createSymmetricState from "noise-protocol/symmetric-state.js";
import {
  handshakeFailed,
  type NoiseKeyPair,
  type NoiseKeys,
  type NoiseSuite,
  noiseMessage1Overhead,
  noiseMessage2Overhead,
} from "./noise-suite.js";

/** Only tests hand in `newEphemeral`: keys that are not fresh. */
export function createNoiseSuite(newEphemeral?: () => NoiseKeyPair): NoiseSuite {
  const dh = newEphemeral ? withEphemeral(newEphemeral) : createDh();
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
    if (message.length < overhead) throw handshakeFailed();
    const buffer = new Uint8Array(message.length);
    try {
      const split = handshake.readMessage(state, message, buffer);
      return { payload: buffer.slice(0, handshake.readMessage.bytes), ...(split && { split }) };
    } catch (cause) {
      throw handshakeFailed(cause);
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
            throw handshakeFailed(cause);
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

function withEphemeral(newEphemeral: () => NoiseKeyPair): Dh {
  return {
    ...createDh(),
    generateKeypair(publicKey, secretKey) {
      const pair = newEphemeral();
      publicKey.set(pair.publicKey);
      secretKey.set(pair.secretKey);
    },
  };
}
