/**
 * Records: the encrypted units that two hubs exchange after the handshake. docs/spec/relay.md §6.
 *
 * `kind u8 (3) | index u32 | counter u64 | ciphertext and tag`. The 13 bytes before the ciphertext are its associated data.
 * The nonce is Noise's: 32 zero bits, then the counter in little-endian.
 */
import { openChaCha, sealChaCha } from "#chacha";
import type { NoiseKeys } from "./noise.js";
import { createReplayWindow } from "./replay-window.js";

/** First byte of what travels inside SEND and RECV. */
export const innerKind = { initiate: 1, respond: 2, record: 3, unknown: 4 } as const;

/** Bytes before the ciphertext. */
export const recordHeaderBytes = 13;
/** Bytes before a handshake message: kind and index. */
export const innerHeaderBytes = 5;
/** Largest plaintext of a record. */
export const maxRecordBytes = 49_152;
/** Largest record, with header, what `plaintext.ts` puts before the body, and tag. */
export const maxSealedRecordBytes = maxRecordBytes + 64;

/** Counters stop far below 2^53, so that a number always holds one exactly. */
const maxCounter = 2 ** 48;

/** `kind u8 | index u32 | body`. */
export function encodeInner(kind: number, index: number, body: Uint8Array): Uint8Array {
  const out = new Uint8Array(innerHeaderBytes + body.length);
  out[0] = kind;
  new DataView(out.buffer).setUint32(1, index);
  out.set(body, innerHeaderBytes);
  return out;
}

/** Seals and opens the records of one connection. */
export interface RecordCipher {
  /** The next record; undefined when the counters are used up. */
  seal(plaintext: Uint8Array): Uint8Array | undefined;
  /** The plaintext of a record; undefined for one that is replayed, too old, forged or malformed: such a one changes nothing. */
  open(record: Uint8Array): Uint8Array | undefined;
  /** Accepts records under `keys` from now on, besides the present ones; `sendNow` also seals with them at once. */
  install(keys: NoiseKeys, sendNow: boolean): void;
  /** Bytes sealed and opened under the present keys. */
  readonly bytesUnderKeys: number;
}

/** A cipher for the connection with this index. Counters run on when keys change, so no counter is ever used twice. */
export function createRecordCipher(index: number, initial: NoiseKeys): RecordCipher {
  let { sendKey, receiveKey } = initial;
  let next: NoiseKeys | undefined;
  let counter = 0;
  let bytes = 0;
  const window = createReplayWindow();
  const nonce = new Uint8Array(12);
  const nonceView = new DataView(nonce.buffer);

  /** Used up before the next one is asked for. */
  function nonceOf(counter: number): Uint8Array {
    nonceView.setUint32(4, counter >>> 0, true);
    nonceView.setUint32(8, Math.floor(counter / 2 ** 32), true);
    return nonce;
  }

  return {
    get bytesUnderKeys() {
      return bytes;
    },
    seal(plaintext) {
      if (counter >= maxCounter) return undefined;
      const out = new Uint8Array(recordHeaderBytes + plaintext.length + 16);
      const view = new DataView(out.buffer);
      out[0] = innerKind.record;
      view.setUint32(1, index);
      view.setUint32(5, Math.floor(counter / 2 ** 32));
      view.setUint32(9, counter >>> 0);
      const header = out.subarray(0, recordHeaderBytes);
      sealChaCha(sendKey, nonceOf(counter), header, plaintext, out.subarray(recordHeaderBytes));
      counter++;
      bytes += plaintext.length;
      return out;
    },
    open(record) {
      if (record.length < recordHeaderBytes + 16 || record.length > maxSealedRecordBytes) return undefined;
      const view = new DataView(record.buffer, record.byteOffset, record.byteLength);
      if (record[0] !== innerKind.record || view.getUint32(1) !== index) return undefined;
      const received = view.getUint32(5) * 2 ** 32 + view.getUint32(9);
      if (received >= maxCounter || !window.accepts(received)) return undefined;
      const header = record.subarray(0, recordHeaderBytes);
      const sealed = record.subarray(recordHeaderBytes);
      let plaintext = openChaCha(receiveKey, nonceOf(received), header, sealed);
      if (plaintext === undefined && next !== undefined) {
        plaintext = openChaCha(next.receiveKey, nonceOf(received), header, sealed);
        if (plaintext !== undefined) {
          // The other side proved the new keys: the old ones are done with, in both directions.
          receiveKey = next.receiveKey;
          sendKey = next.sendKey;
          next = undefined;
          bytes = 0;
        }
      }
      if (plaintext === undefined) return undefined;
      window.mark(received);
      bytes += plaintext.length;
      return plaintext;
    },
    install(keys, sendNow) {
      next = keys;
      if (!sendNow) return;
      sendKey = next.sendKey;
      bytes = 0;
    },
  };
}
