/** Bytes and their text forms. Every decoder is strict: what it accepts, it would have encoded the same way. */
import { CoreError } from "./errors.js";

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** UTF-8 bytes of `text`. */
export function encodeUtf8(text: string): Uint8Array {
  return encoder.encode(text);
}

/** @throws {CoreError} INVALID_UTF8 on any malformed sequence. A leading BOM is kept. */
export function decodeUtf8(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes);
  } catch (cause) {
    throw new CoreError({ code: "INVALID_UTF8", message: "The bytes are not UTF-8.", cause });
  }
}

/** A new array holding all of `parts` in order. */
export function concatBytes(...parts: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const part of parts) length += part.length;
  const out = new Uint8Array(length);
  let offset = 0;
  for (const part of parts) {
    out.set(part, offset);
    offset += part.length;
  }
  return out;
}

/** Whether `a` and `b` hold the same bytes. Takes the same time wherever they differ; the length is not hidden. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  let difference = 0;
  for (let i = 0; i < a.length; i++) difference |= a[i]! ^ b[i]!;
  return difference === 0;
}

const hexDigits = "0123456789abcdef";

/** Lower-case hex, two characters per byte. */
export function encodeHex(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += hexDigits[byte >> 4]! + hexDigits[byte & 15]!;
  return text;
}

/** @throws {CoreError} INVALID_HEX unless `text` is lower-case hex of whole bytes. */
export function decodeHex(text: string): Uint8Array {
  if (!/^(?:[0-9a-f]{2})*$/.test(text)) throw new CoreError({ code: "INVALID_HEX", message: "Not lower-case hex." });
  const out = new Uint8Array(text.length / 2);
  for (let i = 0; i < out.length; i++) out[i] = Number.parseInt(text.slice(2 * i, 2 * i + 2), 16);
  return out;
}

const base64urlAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const base32Alphabet = "abcdefghijklmnopqrstuvwxyz234567";

/** base64url without padding (RFC 4648 §5). */
export function encodeBase64Url(bytes: Uint8Array): string {
  return encodeBits(bytes, 6, base64urlAlphabet);
}

/**
 * Strict: no padding, no white space, unused bits zero.
 * @throws {CoreError} INVALID_BASE64URL otherwise.
 */
export function decodeBase64Url(text: string): Uint8Array {
  const bytes = decodeBits(text, 6, base64urlValues);
  if (!bytes) throw new CoreError({ code: "INVALID_BASE64URL", message: "Not canonical base64url." });
  return bytes;
}

/** base32 in lower case without padding (RFC 4648 §6). */
export function encodeBase32(bytes: Uint8Array): string {
  return encodeBits(bytes, 5, base32Alphabet);
}

/**
 * Strict: lower case, no padding, unused bits zero.
 * @throws {CoreError} INVALID_BASE32 otherwise.
 */
export function decodeBase32(text: string): Uint8Array {
  const bytes = decodeBits(text, 5, base32Values);
  if (!bytes) throw new CoreError({ code: "INVALID_BASE32", message: "Not canonical lower-case base32." });
  return bytes;
}

const base64urlValues = valuesOf(base64urlAlphabet);
const base32Values = valuesOf(base32Alphabet);

function valuesOf(alphabet: string): Int8Array {
  const values = new Int8Array(128).fill(-1);
  for (let i = 0; i < alphabet.length; i++) values[alphabet.charCodeAt(i)] = i;
  return values;
}

function encodeBits(bytes: Uint8Array, width: number, alphabet: string): string {
  const mask = (1 << width) - 1;
  let text = "";
  let buffer = 0;
  let bits = 0;
  for (const byte of bytes) {
    buffer = ((buffer << 8) | byte) & 0xffff;
    bits += 8;
    while (bits >= width) {
      bits -= width;
      text += alphabet[(buffer >> bits) & mask]!;
    }
  }
  if (bits > 0) text += alphabet[(buffer << (width - bits)) & mask]!;
  return text;
}

function decodeBits(text: string, width: number, values: Int8Array): Uint8Array | undefined {
  const length = Math.floor((text.length * width) / 8);
  if (Math.ceil((length * 8) / width) !== text.length) return undefined;
  const out = new Uint8Array(length);
  let buffer = 0;
  let bits = 0;
  let offset = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    const value = code < 128 ? values[code]! : -1;
    if (value < 0) return undefined;
    buffer = ((buffer << width) | value) & 0xffff;
    bits += width;
    if (bits >= 8) {
      bits -= 8;
      out[offset++] = (buffer >> bits) & 0xff;
    }
  }
  return (buffer & ((1 << bits) - 1)) === 0 ? out : undefined;
}

/** `length` bytes from the platform's secure random source. */
export function randomBytes(length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  if (length > maxPooled) return crypto.getRandomValues(bytes);
  if (unused < length) {
    crypto.getRandomValues(pool);
    unused = pool.length;
  }
  bytes.set(pool.subarray(unused - length, unused));
  // What was handed out may be a secret all the same: nothing of it stays here.
  pool.fill(0, unused - length, unused);
  unused -= length;
  return bytes;
}

/** Bytes for ids are drawn ahead, since asking the system costs as much for one as for many. Keys and nonces are longer. */
const maxPooled = 16;
const pool = new Uint8Array(1024);
let unused = 0;
