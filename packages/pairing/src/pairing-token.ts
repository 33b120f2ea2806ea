/**
 * The pairing token: `fedpair1.<secret>.<pin>.<hints>`.
 *
 * - secret: 130 random bits, 26 characters of lower-case base32; shown once, never stored.
 * - pin: SHA-256 of the issuer's CA certificate (DER), 52 characters of lower-case base32.
 * - hints: base64url of a JSON list of guest addresses, 1..8 of them; where to ask, never whom to trust.
 */
import { canonicalJson, decodeBase32, decodeBase64Url, encodeBase32, encodeBase64Url, isFedError, parseJson, randomBytes } from "@fed/core";
import { PairingError } from "./errors.js";

const prefix = "fedpair1";
const secretLength = 26;
const maxTokenLength = 8192;
const maxHints = 8;

/** A parsed pairing token. */
export interface PairingToken {
  /** 26 characters of lower-case base32. */
  readonly secret: string;
  /** SHA-256 of the issuer's CA certificate, 32 bytes. */
  readonly pin: Uint8Array;
  /** Guest addresses, `<transport>:<rest>`, best first. */
  readonly hints: readonly string[];
}

/** A fresh secret: 130 random bits, 26 characters of lower-case base32. */
export function generateSecret(): string {
  // 17 bytes are 136 bits, 28 characters; the first 26 characters are 130 of those bits.
  return encodeBase32(randomBytes(17)).slice(0, secretLength);
}

/** The text form of `token`. */
export function formatPairingToken(token: PairingToken): string {
  return [prefix, token.secret, encodeBase32(token.pin), encodeBase64Url(canonicalJson(token.hints))].join(".");
}

/** @throws {PairingError} TOKEN_MALFORMED unless `text` is exactly what {@link formatPairingToken} makes. */
export function parsePairingToken(text: string): PairingToken {
  if (text.length > maxTokenLength) throw malformed("It is too long.");
  const parts = text.split(".");
  const [head, secret, pin, hints] = parts;
  if (parts.length !== 4 || head !== prefix) throw malformed(`It must have four parts and begin with ${prefix}.`);
  if (!/^[a-z2-7]{26}$/.test(secret!)) throw malformed("Its secret is not 26 characters of base32.");
  try {
    const pinBytes = decodeBase32(pin!);
    if (pinBytes.length !== 32) throw malformed("Its pin is not 32 bytes.");
    const list = parseJson(decodeBase64Url(hints!), { maxBytes: maxTokenLength, maxDepth: 1 });
    if (!Array.isArray(list) || list.length === 0 || list.length > maxHints || !list.every(isHint)) {
      throw malformed(`Its hints are not a list of 1 to ${maxHints} addresses.`);
    }
    return { secret: secret!, pin: pinBytes, hints: list as string[] };
  } catch (cause) {
    if (isFedError(cause) && cause.code === "TOKEN_MALFORMED") throw cause;
    throw malformed("A part of it does not decode.", cause);
  }
}

function isHint(value: unknown): boolean {
  return typeof value === "string" && /^[a-z]+:./.test(value);
}

function malformed(why: string, cause?: unknown): PairingError {
  return new PairingError({
    code: "TOKEN_MALFORMED",
    message: `This is not a pairing token. ${why}`,
    hint: "Copy the whole token that `fed invite` printed.",
    cause,
  });
}
