/** What a Noise suite is: `#noise-suite` makes one from libsodium on Node and from noble everywhere else. */
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

/** The error for a message that does not verify, whatever the reason. */
export function handshakeFailed(cause?: unknown): RelayError {
  return new RelayError({
    code: "HANDSHAKE_FAILED",
    message: "The Noise handshake did not verify.",
    hint: "Is the other hub's Noise key in the manifest current?",
    cause,
  });
}
