/**
 * JSON Web Signatures (RFC 7515) in one profile: `alg` is `Ed25519` (RFC 9864), the protected header is exactly
 * `alg`, `typ` and `kid`, base64url is canonical and no object names a key twice.
 *
 * Reading and verifying are two steps, because the key that must verify is often named inside.
 */
import { decodeBase64Url, encodeBase64Url, encodeUtf8, type Json, parseJson } from "@fed/core";
import { TrustError, type TrustErrorCode } from "./errors.js";
import { keyId, type Signer, verifySignature } from "./keys.js";

/** The protected header of every signature this project makes. */
export interface JwsHeader {
  readonly alg: "Ed25519";
  /** What kind of document it is; never shared between kinds. */
  readonly typ: string;
  /** Key id, see {@link keyId}. */
  readonly kid: string;
}

/** A JSON object as read from outside. */
export type JsonObject = { readonly [key: string]: Json };

/** A compact JWS that was read but not verified. */
export interface ParsedJws {
  readonly header: JwsHeader;
  readonly kid: string;
  readonly payload: JsonObject;
  /** The bytes the signature covers. */
  readonly signingInput: Uint8Array;
  /** 64 bytes. */
  readonly signature: Uint8Array;
}

/** What {@link parseCompact} accepts. */
export interface CompactLimits {
  /** The only `typ` accepted. */
  readonly typ: string;
  /** Longest token, in characters. */
  readonly maxBytes: number;
}

/** General JSON serialization (RFC 7515 §7.2.1). */
export interface GeneralJws {
  /** base64url of the payload bytes. */
  readonly payload: string;
  readonly signatures: readonly { readonly protected: string; readonly signature: string }[];
}

/** What {@link verifyGeneral} demands. */
export interface GeneralDemands {
  /** The only `typ` accepted. */
  readonly typ: string;
  /** Largest payload, bytes. */
  readonly maxBytes: number;
  /** Who may sign: key id to 32-byte public key. */
  readonly keys: ReadonlyMap<string, Uint8Array>;
  /** How many of `keys` must have signed. */
  readonly threshold: number;
}

/** What {@link verifyGeneral} found. */
export interface VerifiedGeneral {
  readonly payload: Uint8Array;
  /** Key ids among the demanded keys whose signatures are good. */
  readonly signedBy: readonly string[];
}

/** Most signatures one document may carry. */
export const maxSignatures = 16;

const maxHeaderChars = 512;
const signatureChars = 86;

/** A compact JWS over the JSON text of `payload`. */
export function signCompact(typ: string, payload: object, signer: Signer): string {
  const input = `${protectedHeader(typ, signer)}.${encodeBase64Url(encodeUtf8(JSON.stringify(payload)))}`;
  return `${input}.${encodeBase64Url(signer.sign(encodeUtf8(input)))}`;
}

/**
 * Reads a compact JWS strictly, without judging its signature: nothing in it is true before {@link verifyCompact}.
 * @throws {TrustError} JWS_TOO_LARGE; JWS_MALFORMED; JWS_WRONG_TYPE; JWS_UNSUPPORTED for another `alg` or any `crit`.
 */
export function parseCompact(token: string, { typ, maxBytes }: CompactLimits): ParsedJws {
  if (typeof token !== "string") throw malformed("The token is not text.");
  if (token.length > maxBytes) {
    throw new TrustError({ code: "JWS_TOO_LARGE", message: `A token of ${token.length} bytes; at most ${maxBytes}.` });
  }
  const parts = token.split(".", 4);
  if (parts.length !== 3) throw malformed("The token does not have three parts.");
  const [headerText, payloadText, signatureText] = parts as [string, string, string];
  const header = parseHeader(headerText, typ);
  const payload = parseObject(decodePart(payloadText), maxBytes);
  return {
    header,
    kid: header.kid,
    payload,
    signingInput: encodeUtf8(`${headerText}.${payloadText}`),
    signature: parseSignature(signatureText),
  };
}

/**
 * Returns if `parsed` was signed by `publicKey` (32 bytes).
 * @throws {TrustError} BAD_SIGNATURE when it was not, or when its `kid` names another key.
 */
export function verifyCompact(parsed: ParsedJws, publicKey: Uint8Array): void {
  if (parsed.kid !== keyId(publicKey)) {
    throw new TrustError({ code: "BAD_SIGNATURE", message: "The token names another key than the one expected." });
  }
  verifySignature(publicKey, parsed.signingInput, parsed.signature);
}

/** A general JWS over `payload`, signed by each of `signers` in order. */
export function signGeneral(typ: string, payload: Uint8Array, signers: readonly Signer[]): GeneralJws {
  const text = encodeBase64Url(payload);
  return {
    payload: text,
    signatures: signers.map((signer) => {
      const header = protectedHeader(typ, signer);
      return { protected: header, signature: encodeBase64Url(signer.sign(encodeUtf8(`${header}.${text}`))) };
    }),
  };
}

/**
 * The payload of a general JWS that at least `threshold` of `keys` have signed. A signature by an unknown key is passed
 * over; a wrong one by a known key, or two by the same key, refuse the whole document.
 * @throws {TrustError} JWS_TOO_LARGE, JWS_MALFORMED, JWS_WRONG_TYPE, JWS_UNSUPPORTED, BAD_SIGNATURE, TOO_FEW_SIGNATURES.
 */
export function verifyGeneral(jws: unknown, { typ, maxBytes, keys, threshold }: GeneralDemands): VerifiedGeneral {
  const { payload: text, signatures } = parseGeneral(jws, maxBytes);
  const payload = decodePart(text);
  const seen = new Set<string>();
  const signedBy: string[] = [];
  for (const entry of signatures) {
    const { kid } = parseHeader(entry.protected, typ);
    if (seen.has(kid)) throw malformed("Two signatures name the same key.");
    seen.add(kid);
    const signature = parseSignature(entry.signature);
    const publicKey = keys.get(kid);
    if (!publicKey) continue;
    verifySignature(publicKey, encodeUtf8(`${entry.protected}.${text}`), signature);
    signedBy.push(kid);
  }
  // Never satisfied by nobody, whatever the caller's threshold says.
  if (signedBy.length < Math.max(1, threshold)) {
    throw new TrustError({
      code: "TOO_FEW_SIGNATURES",
      message: `${signedBy.length} of the ${threshold} signatures needed.`,
      hint: "Have more holders of authority keys sign the same bytes.",
    });
  }
  return { payload, signedBy };
}

/**
 * The shape of a general JWS, with sizes checked; its signatures are not judged.
 * @throws {TrustError} JWS_TOO_LARGE when the payload is over `maxBytes`, JWS_MALFORMED.
 */
export function parseGeneral(jws: unknown, maxBytes: number): GeneralJws {
  const { payload, signatures } = exactly(jws, ["payload", "signatures"]);
  if (typeof payload !== "string" || !Array.isArray(signatures)) throw malformed("Not a general JWS.");
  if (payload.length > Math.ceil((maxBytes * 4) / 3)) {
    throw new TrustError({ code: "JWS_TOO_LARGE", message: `The payload is over ${maxBytes} bytes.` });
  }
  if (signatures.length === 0 || signatures.length > maxSignatures) {
    throw malformed(`${signatures.length} signatures; there must be 1 to ${maxSignatures}.`);
  }
  return {
    payload,
    signatures: signatures.map((entry: unknown) => {
      const { protected: header, signature } = exactly(entry, ["protected", "signature"]);
      if (typeof header !== "string" || typeof signature !== "string") throw malformed("Not a general JWS.");
      return { protected: header, signature };
    }),
  };
}

/** The payload bytes of a compact or general JWS's payload text. */
export function decodePart(text: string): Uint8Array {
  try {
    return decodeBase64Url(text);
  } catch (cause) {
    throw malformed("A part of the signed document is not canonical base64url.", "JWS_MALFORMED", cause);
  }
}

const headers = new WeakMap<Signer, Map<string, string>>();

/** The encoded header is the same for every token a signer makes of one type. */
function protectedHeader(typ: string, signer: Signer): string {
  let byType = headers.get(signer);
  if (!byType) {
    byType = new Map();
    headers.set(signer, byType);
  }
  let text = byType.get(typ);
  if (text === undefined) {
    const header: JwsHeader = { alg: "Ed25519", typ, kid: keyId(signer.publicKey) };
    text = encodeBase64Url(encodeUtf8(JSON.stringify(header)));
    byType.set(typ, text);
  }
  return text;
}

function parseHeader(text: string, typ: string): JwsHeader {
  if (text.length > maxHeaderChars) throw malformed("The protected header is too long.");
  const header = parseObject(decodePart(text), maxHeaderChars);
  if (Object.hasOwn(header, "crit")) throw malformed("No `crit` extension is understood.", "JWS_UNSUPPORTED");
  if (header.alg !== "Ed25519") throw malformed("The signature algorithm is not Ed25519.", "JWS_UNSUPPORTED");
  if (header.typ !== typ) throw malformed(`The document is not of type ${typ}.`, "JWS_WRONG_TYPE");
  if (typeof header.kid !== "string" || header.kid === "") throw malformed("The header names no key.");
  if (Object.keys(header).length !== 3) throw malformed("The header has members beyond alg, typ and kid.");
  return { alg: "Ed25519", typ, kid: header.kid };
}

function parseSignature(text: string): Uint8Array {
  if (text.length !== signatureChars) throw malformed("The signature is not 64 bytes.");
  return decodePart(text);
}

function parseObject(bytes: Uint8Array, maxBytes: number): JsonObject {
  let value: Json;
  try {
    value = parseJson(bytes, { maxBytes });
  } catch (cause) {
    throw malformed("A part of the signed document is not strict JSON.", "JWS_MALFORMED", cause);
  }
  if (!isObject(value)) throw malformed("A part of the signed document is not a JSON object.");
  return value as JsonObject;
}

function exactly(value: unknown, members: readonly string[]): Record<string, unknown> {
  if (!isObject(value)) throw malformed("Not a general JWS.");
  const names = Object.keys(value);
  if (names.length !== members.length || !members.every((name) => names.includes(name))) {
    throw malformed(`Not a general JWS: expected exactly ${members.join(" and ")}.`);
  }
  return value;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function malformed(message: string, code: TrustErrorCode = "JWS_MALFORMED", cause?: unknown): TrustError {
  return new TrustError({ code, message, cause });
}
