/**
 * What a record carries: `type u8 | padding u16 | number u48 | body | padding zero bytes`. docs/spec/relay.md §7.
 *
 * The number is the record's sequence; of an ACK, which has none, the sequence that is awaited next.
 */

/** Bytes before the body. */
export const plaintextHeaderBytes = 9;

const smallestBytes = 64;
const largestPaddedBytes = 1_024;

/**
 * How long a plaintext of `length` bytes is made: the next power of two from 64 to 1024; longer ones stay as they are.
 * So one acknowledgement, ping, credit or close looks like the other. A small call costs 5 % more bytes, a long one nothing.
 */
export function paddedLength(length: number): number {
  if (length > largestPaddedBytes) return length;
  let padded = smallestBytes;
  while (padded < length) padded *= 2;
  return padded;
}

/** A new plaintext. `number` is below 2^48. */
export function encodePlaintext(type: number, number: number, body: Uint8Array): Uint8Array {
  const length = plaintextHeaderBytes + body.length;
  const out = new Uint8Array(paddedLength(length));
  const view = new DataView(out.buffer);
  out[0] = type;
  view.setUint16(1, out.length - length);
  view.setUint16(3, Math.floor(number / 2 ** 32));
  view.setUint32(5, number >>> 0);
  out.set(body, plaintextHeaderBytes);
  return out;
}

/** Its parts, the body a view; undefined unless it is padded as it must be. */
export function decodePlaintext(
  bytes: Uint8Array,
): { readonly type: number; readonly number: number; readonly body: Uint8Array } | undefined {
  if (bytes.length < smallestBytes) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = bytes.length - view.getUint16(1);
  if (length < plaintextHeaderBytes || paddedLength(length) !== bytes.length) return undefined;
  for (let i = length; i < bytes.length; i++) if (bytes[i] !== 0) return undefined;
  const number = view.getUint16(3) * 2 ** 32 + view.getUint32(5);
  return { type: bytes[0]!, number, body: bytes.subarray(plaintextHeaderBytes, length) };
}
