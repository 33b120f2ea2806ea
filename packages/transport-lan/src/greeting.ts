/**
 * What a responder says of itself in its first flight, where TLS 1.3 has one place for it: the OCSP response (RFC 8446
 * §4.4.2.1), in the DER form of RFC 6960 §4.2.1 with a response type of ours. docs/spec/lan.md, "Greeting".
 *
 * ```
 * OCSPResponse = SEQUENCE { ENUMERATED successful(0), [0] { SEQUENCE {
 *   OBJECT IDENTIFIER 2.25.265328764801678102037624904723605640096,
 *   OCTET STRING maxMessageBytes u32 | greeting 1..64 } } }
 * ```
 */
import { concatBytes, decodeHex, equalBytes, MAX_GREETING_BYTES } from "@fed/core";
import { LanError } from "./errors.js";
import { minMessageBytes } from "./verdict.js";

/** What is greeted with. */
export interface LanGreeting {
  /** What the responder's verdict will say. */
  readonly maxMessageBytes: number;
  /** Of the protocol above, 1..64 bytes. */
  readonly greeting: Uint8Array;
}

/** {2.25 <a random UUID>} (X.667): nobody has to be asked for it. */
const responseType = decodeHex("061469838f9cbb86aaa6f2b495bfc883f783c1b9a720");
const limitBytes = 4;
/** All before the greeting itself. */
const headBytes = 9 + responseType.length + 2 + limitBytes;

/** The whole OCSPResponse, at most 105 bytes. @throws {LanError} GREETING_INVALID unless it greets with 1..64 bytes. */
export function encodeGreeting({ maxMessageBytes, greeting }: LanGreeting): Uint8Array {
  if (greeting.length === 0 || greeting.length > MAX_GREETING_BYTES) {
    throw new LanError({
      code: "GREETING_INVALID",
      message: `A greeting has 1 to ${MAX_GREETING_BYTES} bytes, not ${greeting.length}.`,
    });
  }
  const limit = new Uint8Array(limitBytes);
  new DataView(limit.buffer).setUint32(0, maxMessageBytes);
  const inner = responseType.length + 2 + limitBytes + greeting.length;
  // Every length is below 128, so each has one byte.
  const head = Uint8Array.of(0x30, inner + 7, 0x0a, 1, 0, 0xa0, inner + 2, 0x30, inner);
  return concatBytes(head, responseType, Uint8Array.of(0x04, limitBytes + greeting.length), limit, greeting);
}

/** Reads what {@link encodeGreeting} wrote; copied. @throws {LanError} HANDSHAKE_MALFORMED for anything else. */
export function decodeGreeting(bytes: Uint8Array): LanGreeting {
  const length = bytes.length - headBytes;
  if (length >= 1 && length <= MAX_GREETING_BYTES) {
    // A Buffer's slice would be a view.
    const greeting = new Uint8Array(bytes.subarray(headBytes));
    const maxMessageBytes = new DataView(bytes.buffer, bytes.byteOffset).getUint32(headBytes - limitBytes);
    if (maxMessageBytes >= minMessageBytes && equalBytes(encodeGreeting({ maxMessageBytes, greeting }), bytes))
      return { maxMessageBytes, greeting };
  }
  throw new LanError({
    code: "HANDSHAKE_MALFORMED",
    message: "The other side did not greet in the expected form.",
    hint: "Something that is not a hub of this version may be listening there.",
  });
}
