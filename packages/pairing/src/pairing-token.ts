/** The pairing token `fedpair1.<secret>.<pin>.<hints>`: docs/spec/pairing.md §1. One spelling each. */
import {
  canonicalJson,
  decodeBase32,
  decodeBase64Url,
  encodeBase32,
  encodeBase64Url,
  equalBytes,
  isFedError,
  type Json,
  parseJson,
  randomBytes,
} from "@fed/core";
import { PairingError } from "./errors.js";

const prefix = "fedpair1";
const secretLength = 26;
const secretPattern = /^[a-z2-7]{26}$/;
const pinBytes = 32;
const hintPattern = /^[a-z]{1,16}:[\x21-\x7e]+$/;
const maxTokenLength = 8192;
const maxHints = 8;

/** A parsed pairing token. */
export interface PairingToken {
  /** 26 characters of lower-case base32. */
  readonly secret: string;
  /** SHA-256 of the issuer's CA certificate, 32 bytes. */
  readonly pin: Uint8Array;
  /** 1..8 guest addresses, `<transport>:<rest>`, best first: where to ask, never whom to trust. */
  readonly hints: readonly string[];
}

/** A fresh secret: 130 random bits, 26 characters of lower-case base32. */
export function generateSecret(): string {
  // 17 bytes are 136 bits, 28 characters; the first 26 characters are 130 of those bits.
  return encodeBase32(randomBytes(17)).slice(0, secretLength);
}

/** The text form of `token`, at most 8192 characters. @throws {PairingError} TOKEN_MALFORMED when it has none. */
export function formatPairingToken(token: PairingToken): string {
  const { secret, pin, hints } = checked(token);
  const text = [prefix, secret, encodeBase32(pin), encodeBase64Url(canonicalJson(hints))].join(".");
  if (text.length > maxTokenLength) throw malformed("It is too long.");
  return text;
}

/** @throws {PairingError} TOKEN_MALFORMED unless `text` is exactly what {@link formatPairingToken} makes. */
export function parsePairingToken(text: string): PairingToken {
  if (text.length > maxTokenLength) throw malformed("It is too long.");
  const parts = text.split(".", 5);
  const [head, secret, pin, hints] = parts;
  if (parts.length !== 4 || head !== prefix) throw malformed(`It must have four parts and begin with ${prefix}.`);
  try {
    const json = decodeBase64Url(hints!);
    const list = parseJson(json, { maxBytes: maxTokenLength, maxDepth: 1 });
    if (!isHintList(list) || !equalBytes(canonicalJson(list), json)) throw malformed("Its addresses are not a list.");
    return checked({ secret: secret!, pin: decodeBase32(pin!), hints: list });
  } catch (cause) {
    if (cause instanceof PairingError) throw cause;
    // The cause is left out: a parser's words quote what it read, and an address may hold a key.
    if (isFedError(cause)) throw malformed("A part of it does not decode.");
    throw cause;
  }
}

function checked(token: PairingToken): PairingToken {
  if (!secretPattern.test(token.secret)) throw malformed("Its secret is not 26 characters of base32.");
  if (token.pin.length !== pinBytes) throw malformed(`Its pin is not ${pinBytes} bytes.`);
  const { hints } = token;
  if (hints.length === 0 || hints.length > maxHints || !hints.every((hint) => hintPattern.test(hint))) {
    throw malformed(`It does not have 1 to ${maxHints} addresses.`);
  }
  return token;
}

function isHintList(value: Json): value is readonly string[] {
  return Array.isArray(value) && value.every((hint) => typeof hint === "string");
}

function malformed(why: string): PairingError {
  return new PairingError({
    code: "TOKEN_MALFORMED",
    message: `This is not a pairing token. ${why}`,
    hint: "Copy the whole token that `fed invite` printed.",
  });
}
