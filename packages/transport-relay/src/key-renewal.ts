/** Fresh record keys for a connection in use, without interrupting it. docs/spec/relay.md §6. */
import { type Clock, concatBytes, encodeUtf8, equalBytes } from "@fed/core";
import { RelayError } from "./errors.js";
import { type NoiseInitiator, type NoiseKeyPair, type NoiseKeys, noiseIk } from "./noise.js";
import type { RecordCipher } from "./record.js";

/** When keys are replaced. */
export interface RekeyLimits {
  /** Age of keys in use after which the initiator replaces them. Default 120 s. */
  readonly afterMs: number;
  /** Bytes under the same keys after which the initiator replaces them; at twice as many they are refused. Default 1 GiB. */
  readonly afterBytes: number;
  /** How long replacing them may take. Default 60 s. */
  readonly graceMs: number;
}

/** The defaults of {@link RekeyLimits}. */
export const defaultRekeyLimits: RekeyLimits = { afterMs: 120_000, afterBytes: 2 ** 30, graceMs: 60_000 };

/** Options of {@link createKeyRenewal}. */
export interface KeyRenewalOptions {
  readonly role: "initiator" | "responder";
  readonly own: NoiseKeyPair;
  readonly peerNoiseKey: Uint8Array;
  readonly handshakeHash: Uint8Array;
  readonly cipher: RecordCipher;
  readonly clock: Clock;
  readonly limits: RekeyLimits;
  /** Sends a REKEY_REQUEST. */
  request(message: Uint8Array): void;
  /** Sends a REKEY_ANSWER, before the new keys are installed. */
  answer(message: Uint8Array): void;
}

/** Watches the age of a connection's keys. */
export interface KeyRenewal {
  /** Call when the keys are used. @throws {RelayError} REKEY_REQUIRED when they are worn and could not be replaced. */
  check(): void;
  /** A REKEY_REQUEST came. @throws {RelayError} PROTOCOL_ERROR, HANDSHAKE_FAILED. */
  requested(message: Uint8Array): void;
  /** A REKEY_ANSWER came. @throws {RelayError} PROTOCOL_ERROR, HANDSHAKE_FAILED. */
  answered(message: Uint8Array): void;
}

/** The renewal of one connection's keys, which are new now. */
export function createKeyRenewal(options: KeyRenewalOptions): KeyRenewal {
  const { role, own, peerNoiseKey, cipher, clock, limits } = options;
  let handshakeHash = options.handshakeHash;
  let keysSinceMs = clock.monotonicMs();
  let running: { readonly initiator: NoiseInitiator; readonly sinceMs: number } | undefined;

  function prologue(): Uint8Array {
    return concatBytes(encodeUtf8("fed-relay-rekey/1"), handshakeHash);
  }

  function install(keys: NoiseKeys, sendNow: boolean): void {
    cipher.install(keys, sendNow);
    handshakeHash = keys.handshakeHash;
    keysSinceMs = clock.monotonicMs();
  }

  return {
    check() {
      const nowMs = clock.monotonicMs();
      const bytes = cipher.bytesUnderKeys;
      if (nowMs - keysSinceMs < limits.afterMs && bytes < limits.afterBytes) return;
      if (role === "initiator" && running === undefined) {
        const initiator = noiseIk.createInitiator({ keyPair: own, responderKey: peerNoiseKey, prologue: prologue() });
        running = { initiator, sinceMs: nowMs };
        options.request(initiator.writeMessage1(new Uint8Array(0)));
        return;
      }
      // The keys of an idle connection are old without being worn: the grace begins when replacing them begins.
      const overdue = running !== undefined && nowMs - running.sinceMs > limits.graceMs;
      if (overdue || bytes > 2 * limits.afterBytes) {
        throw new RelayError({ code: "REKEY_REQUIRED", message: "The keys are worn out.", retryable: true });
      }
    },
    requested(message) {
      if (role !== "responder") throw violation();
      const responder = noiseIk.createResponder({ keyPair: own, prologue: prologue() });
      if (!equalBytes(responder.readMessage1(message).initiatorKey, peerNoiseKey)) throw violation();
      const { message: answer, keys } = responder.writeMessage2(new Uint8Array(0));
      options.answer(answer);
      install(keys, false);
    },
    answered(message) {
      if (running === undefined) throw violation();
      const { keys } = running.initiator.readMessage2(message);
      running = undefined;
      install(keys, true);
    },
  };
}

function violation(): RelayError {
  return new RelayError({ code: "PROTOCOL_ERROR", message: "The other hub broke the rules of renewing keys." });
}
