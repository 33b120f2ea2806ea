/** What the two Noise messages carry. docs/spec/relay.md §5. Certificates, a timestamp and a boot id; never application data. */
import { concatBytes, decodeUtf8, encodeUtf8, isErrorCode, isFedError } from "@fed/core";
import { RelayError } from "./errors.js";

/** Largest payload of either message, bytes. */
export const maxHandshakePayloadBytes = 8_192;
/** Most certificates in a chain, the leaf included. */
export const maxChainCertificates = 4;
/** Bytes of a boot id: random, new at every start of a process. */
export const bootIdBytes = 16;

/** Payload of message 1. */
export interface InitiatorHello {
  /** A guest has no chain. */
  readonly role: "member" | "guest";
  /** Grows with every handshake of one initiator; milliseconds since 1970 where the clock allows. */
  readonly timestamp: number;
  readonly bootId: Uint8Array;
  /** DER, leaf first. */
  readonly chain: readonly Uint8Array[];
}

/** Payload of message 2. */
export type ResponderAnswer =
  | { readonly accepted: true; readonly bootId: Uint8Array; readonly chain: readonly Uint8Array[] }
  | { readonly accepted: false; readonly code: string };

/** @throws {RelayError} HANDSHAKE_MALFORMED when the chain is longer than a message may carry. */
export function encodeInitiatorHello(hello: InitiatorHello): Uint8Array {
  const head = new Uint8Array(9);
  head[0] = hello.role === "member" ? 1 : 2;
  new DataView(head.buffer).setBigUint64(1, BigInt(hello.timestamp));
  return bounded(concatBytes(head, hello.bootId, encodeChain(hello.chain)));
}

/** @throws {RelayError} HANDSHAKE_MALFORMED. */
export function decodeInitiatorHello(bytes: Uint8Array): InitiatorHello {
  bounded(bytes);
  const kind = bytes[0];
  if (bytes.length < 9 + bootIdBytes + 1 || (kind !== 1 && kind !== 2)) throw malformed();
  const timestamp = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getBigUint64(1);
  if (timestamp > BigInt(Number.MAX_SAFE_INTEGER)) throw malformed();
  const chain = decodeChain(bytes.subarray(9 + bootIdBytes));
  if ((kind === 1) !== chain.length > 0) throw malformed();
  return {
    role: kind === 1 ? "member" : "guest",
    timestamp: Number(timestamp),
    bootId: bytes.slice(9, 9 + bootIdBytes),
    chain,
  };
}

/** @throws {RelayError} HANDSHAKE_MALFORMED when the chain is longer than a message may carry. */
export function encodeResponderAnswer(answer: ResponderAnswer): Uint8Array {
  if (!answer.accepted) return concatBytes(Uint8Array.of(0), encodeUtf8(answer.code));
  return bounded(concatBytes(Uint8Array.of(1), answer.bootId, encodeChain(answer.chain)));
}

/** @throws {RelayError} HANDSHAKE_MALFORMED. */
export function decodeResponderAnswer(bytes: Uint8Array): ResponderAnswer {
  bounded(bytes);
  if (bytes[0] === 0) return { accepted: false, code: decodeErrorCode(bytes.subarray(1)) };
  if (bytes[0] !== 1 || bytes.length < 1 + bootIdBytes + 1) throw malformed();
  const chain = decodeChain(bytes.subarray(1 + bootIdBytes));
  if (chain.length === 0) throw malformed();
  return { accepted: true, bootId: bytes.slice(1, 1 + bootIdBytes), chain };
}

/** The code in `bytes`. @throws {RelayError} HANDSHAKE_MALFORMED unless it looks like one. */
export function decodeErrorCode(bytes: Uint8Array): string {
  if (bytes.length > 64) throw malformed();
  const code = decodeUtf8(bytes);
  if (!isErrorCode(code)) throw malformed();
  return code;
}

/** The code to send for `error`. */
export function encodeErrorCode(error: unknown): string {
  return isFedError(error) && isErrorCode(error.code) ? error.code : "INTERNAL";
}

function encodeChain(chain: readonly Uint8Array[]): Uint8Array {
  if (chain.length > maxChainCertificates) throw malformed();
  const parts: Uint8Array[] = [Uint8Array.of(chain.length)];
  for (const certificate of chain) {
    if (certificate.length === 0 || certificate.length > maxHandshakePayloadBytes) throw malformed();
    parts.push(Uint8Array.of(certificate.length >> 8, certificate.length & 0xff), certificate);
  }
  return concatBytes(...parts);
}

function decodeChain(bytes: Uint8Array): Uint8Array[] {
  const count = bytes[0]!;
  if (count > maxChainCertificates) throw malformed();
  const chain: Uint8Array[] = [];
  let offset = 1;
  for (let i = 0; i < count; i++) {
    if (offset + 2 > bytes.length) throw malformed();
    const length = (bytes[offset]! << 8) | bytes[offset + 1]!;
    offset += 2;
    if (length === 0 || offset + length > bytes.length) throw malformed();
    chain.push(bytes.slice(offset, offset + length));
    offset += length;
  }
  if (offset !== bytes.length) throw malformed();
  return chain;
}

function bounded(bytes: Uint8Array): Uint8Array {
  if (bytes.length > maxHandshakePayloadBytes) throw malformed();
  return bytes;
}

function malformed(): RelayError {
  return new RelayError({ code: "HANDSHAKE_MALFORMED", message: "A handshake payload is not well formed." });
}
