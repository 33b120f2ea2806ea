/**
 * The one message each side sends after it has judged the other, before anything else. docs/spec/lan.md, "Verdict".
 * TLS 1.3 tells a client "connected" before the server has looked at its certificate; the verdict closes that gap.
 */
import { concatBytes, encodeUtf8, FedError, parseJson } from "@fed/core";
import { LanError } from "./errors.js";

/** Largest verdict, bytes. */
export const maxVerdictBytes = 1_024;
/** Smallest `maxMessageBytes` a side may announce. */
export const minMessageBytes = 1_024;

const acceptType = 1;
const refuseType = 2;
const maxTextLength = 200;

/** What the other side decided. */
export type Verdict =
  | { readonly accepted: true; readonly maxMessageBytes: number }
  | { readonly accepted: false; readonly error: FedError };

/** `01 | u32 maxMessageBytes`: five bytes. */
export function encodeAccept(maxMessageBytes: number): Uint8Array {
  const bytes = new Uint8Array(5);
  bytes[0] = acceptType;
  new DataView(bytes.buffer).setUint32(1, maxMessageBytes);
  return bytes;
}

/** `02 | JSON {code, message, hint?}`, texts cut so that it stays within {@link maxVerdictBytes}. */
export function encodeRefuse(error: FedError): Uint8Array {
  const reason = { code: error.code, message: shorten(error.message), hint: error.hint && shorten(error.hint) };
  const full = encodeUtf8(JSON.stringify(reason));
  const json =
    full.length < maxVerdictBytes ? full : encodeUtf8(JSON.stringify({ code: error.code, message: "Refused." }));
  return concatBytes(Uint8Array.of(refuseType), json);
}

/**
 * The verdict in `bytes`; a refusal becomes the FedError that the other side named.
 * @throws {LanError} HANDSHAKE_MALFORMED for anything else.
 */
export function decodeVerdict(bytes: Uint8Array): Verdict {
  if (bytes.length === 5 && bytes[0] === acceptType) {
    const maxMessageBytes = new DataView(bytes.buffer, bytes.byteOffset).getUint32(1);
    if (maxMessageBytes < minMessageBytes) throw malformed();
    return { accepted: true, maxMessageBytes };
  }
  if (bytes[0] !== refuseType) throw malformed();
  return { accepted: false, error: parseRefusal(bytes.subarray(1)) };
}

function parseRefusal(json: Uint8Array): FedError {
  let reason: unknown;
  try {
    reason = parseJson(json, { maxBytes: maxVerdictBytes, maxDepth: 1 });
  } catch (cause) {
    throw malformed(cause);
  }
  if (typeof reason !== "object" || reason === null) throw malformed();
  const { code, message, hint } = reason as Record<string, unknown>;
  if (typeof code !== "string" || !/^[A-Z][A-Z0-9_]{0,63}$/.test(code) || typeof message !== "string")
    throw malformed();
  return new FedError({
    code,
    message: `The other hub refused: ${shorten(message)}`,
    ...(typeof hint === "string" ? { hint: shorten(hint) } : {}),
  });
}

/** Bounded and without control characters, since it ends up in terminals. */
function shorten(text: string): string {
  return text.replace(/\p{C}/gu, " ").slice(0, maxTextLength);
}

function malformed(cause?: unknown): LanError {
  return new LanError({
    code: "HANDSHAKE_MALFORMED",
    message: "The other side did not send a verdict.",
    hint: "Something that is not a hub of this version may be listening there.",
    cause,
  });
}
