/**
 * A reader of DER (X.690 §8, §10) that accepts nothing else: lengths definite and shortest, tags low, nothing left over.
 * It exists because the ASN.1 library that builds our certificates reads BER, where one certificate has many spellings.
 */
import { TrustError } from "./errors.js";

/** One value: its identifier octet, its contents, and all its bytes. Views into the input. */
export interface DerValue {
  readonly tag: number;
  readonly content: Uint8Array;
  readonly encoded: Uint8Array;
}

/** Identifier octets of the types we read. */
export const derTag = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  oid: 0x06,
  utf8String: 0x0c,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const;

const constructedBit = 0x20;
const maxDepth = 16;

/**
 * The one value that `bytes` hold, checked all the way down.
 * @throws {TrustError} DER_MALFORMED.
 */
export function readDer(bytes: Uint8Array): DerValue {
  const value = readValue(bytes, 0);
  if (value.encoded.length !== bytes.length) throw malformed("Bytes follow the DER value.");
  checkNested(value, 1);
  return value;
}

/** `value`'s members, after checking its tag. @throws {TrustError} DER_MALFORMED. */
export function membersOf(value: DerValue | undefined, tag: number): DerValue[] {
  const { content } = expectTag(value, tag);
  const members: DerValue[] = [];
  for (let offset = 0; offset < content.length; ) {
    const member = readValue(content, offset);
    members.push(member);
    offset += member.encoded.length;
  }
  return members;
}

/** `value` itself, after checking its tag. @throws {TrustError} DER_MALFORMED. */
export function expectTag(value: DerValue | undefined, tag: number): DerValue {
  if (value?.tag !== tag) throw malformed(`A value of tag ${tag} is missing.`);
  return value;
}

/** The contents of a shortest-form, non-negative INTEGER. @throws {TrustError} DER_MALFORMED. */
export function readUnsigned(value: DerValue | undefined): Uint8Array {
  const { content } = expectTag(value, derTag.integer);
  const [first, second] = content;
  if (first === undefined || first >= 0x80) throw malformed("An INTEGER is empty or negative.");
  if (first === 0 && second !== undefined && second < 0x80) throw malformed("An INTEGER is not in shortest form.");
  return content;
}

/** The bytes of a BIT STRING of whole bytes. @throws {TrustError} DER_MALFORMED. */
export function readWholeBits(value: DerValue | undefined): Uint8Array {
  const { content } = expectTag(value, derTag.bitString);
  if (content[0] !== 0) throw malformed("A BIT STRING is not of whole bytes.");
  return content.subarray(1);
}

/** An OBJECT IDENTIFIER in dotted form. @throws {TrustError} DER_MALFORMED. */
export function readOid(value: DerValue | undefined): string {
  const { content } = expectTag(value, derTag.oid);
  const arcs: number[] = [];
  let arc = 0;
  let started = false;
  for (const byte of content) {
    if (!started && byte === 0x80) throw malformed("An OBJECT IDENTIFIER is not in shortest form.");
    started = true;
    arc = arc * 128 + (byte & 0x7f);
    if (arc > Number.MAX_SAFE_INTEGER / 128) throw malformed("An OBJECT IDENTIFIER is too large.");
    if (byte < 0x80) {
      arcs.push(arc);
      arc = 0;
      started = false;
    }
  }
  const [first, ...rest] = arcs;
  if (first === undefined || started) throw malformed("An OBJECT IDENTIFIER is cut short.");
  const root = Math.min(2, Math.floor(first / 40));
  return [root, first - 40 * root, ...rest].join(".");
}

/**
 * A certificate's time (RFC 5280 §4.1.2.5) in Unix milliseconds: UTCTime until 2049, GeneralizedTime from 2050.
 * @throws {TrustError} DER_MALFORMED.
 */
export function readTime(value: DerValue | undefined): number {
  const text = String.fromCharCode(...(value?.content ?? []));
  const short = value?.tag === derTag.utcTime && /^\d{12}Z$/.test(text);
  const long = value?.tag === derTag.generalizedTime && /^\d{14}Z$/.test(text);
  if (!short && !long) throw malformed("A time is not in the form that RFC 5280 demands.");
  const year = short ? (Number(text.slice(0, 2)) + 50) % 100 : Number(text.slice(0, 4));
  if (long && year < 2050) throw malformed("A time before 2050 is not a UTCTime.");
  const digits = short ? `${1950 + year}${text.slice(2)}` : text;
  const iso = digits.replace(/^(\d{4})(..)(..)(..)(..)(..)Z$/, "$1-$2-$3T$4:$5:$6.000Z");
  const ms = Date.parse(iso);
  if (Number.isNaN(ms) || new Date(ms).toISOString() !== iso) throw malformed("A time does not exist.");
  return ms;
}

function readValue(bytes: Uint8Array, start: number): DerValue {
  const tag = bytes[start];
  if (tag === undefined || (tag & 0x1f) === 0x1f) throw malformed("A tag is missing or of the long form.");
  let offset = start + 1;
  let length = bytes[offset++] ?? 0x80;
  if (length >= 0x80) {
    const count = length & 0x7f;
    if (count === 0 || count > 3) throw malformed("A length is indefinite or too long.");
    length = 0;
    for (let i = 0; i < count; i++) length = length * 256 + (bytes[offset++] ?? 0);
    if (length < 0x80 || length < 256 ** (count - 1)) throw malformed("A length is not in shortest form.");
  }
  if (offset + length > bytes.length) throw malformed("A value is cut short.");
  return {
    tag,
    content: bytes.subarray(offset, offset + length),
    encoded: bytes.subarray(start, offset + length),
  };
}

function checkNested(value: DerValue, depth: number): void {
  if (depth > maxDepth) throw malformed("Values are nested too deeply.");
  // Members of context tags may be implicit, so only their form says whether there are members.
  if ((value.tag & constructedBit) === 0) return;
  for (const member of membersOf(value, value.tag)) checkNested(member, depth + 1);
}

function malformed(message: string): TrustError {
  return new TrustError({ code: "DER_MALFORMED", message });
}
