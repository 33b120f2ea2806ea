/** Reasons in RESET, STOP and GOAWAY: docs/spec/session.md §4. Compact UTF-8 JSON, bounded, checked on receipt. */
import { encodeUtf8, type FedError, type Json, parseJson } from "@fed/core";
import { PeerError, SessionError } from "./errors.js";
import { MAX_REASON_BYTES } from "./frame.js";

const codePattern = /^[A-Z][A-Z0-9_]{0,63}$/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: finding control characters is its purpose
const controlCharacters = /[\u0000-\u001f\u007f]/g;

/** Longest text encoded, UTF-16 units; at three bytes each both fit into {@link MAX_REASON_BYTES} with room to spare. */
const maxMessageLength = 400;
const maxHintLength = 200;

/** The bytes that tell the peer about `error`. Long texts are cut; a code the peer would refuse becomes INTERNAL. */
export function encodeReason(error: FedError): Uint8Array {
  return encodeUtf8(
    JSON.stringify({
      code: codePattern.test(error.code) ? error.code : "INTERNAL",
      message: clip(error.message, maxMessageLength),
      hint: error.hint === undefined ? undefined : clip(error.hint, maxHintLength),
      retryable: error.retryable || undefined,
    }),
  );
}

/** @throws {SessionError} FRAME_MALFORMED unless `bytes` are a reason. */
export function decodeReason(bytes: Uint8Array): PeerError {
  let value: Json;
  try {
    value = parseJson(bytes, { maxBytes: MAX_REASON_BYTES, maxDepth: 1 });
  } catch (cause) {
    throw malformedReason(cause);
  }
  if (value === null || typeof value !== "object" || Array.isArray(value)) throw malformedReason();
  const { code, message, hint, retryable, ...rest } = value as { [key: string]: Json };
  if (Object.keys(rest).length > 0) throw malformedReason();
  if (typeof code !== "string" || !codePattern.test(code)) throw malformedReason();
  if (!isLine(message) || (hint !== undefined && !isLine(hint))) throw malformedReason();
  if (retryable !== undefined && typeof retryable !== "boolean") throw malformedReason();
  return new PeerError({
    code,
    message,
    ...(hint === undefined ? {} : { hint }),
    ...(retryable === undefined ? {} : { retryable }),
  });
}

function clip(text: string, length: number): string {
  return text.slice(0, length).toWellFormed().replace(controlCharacters, " ");
}

function isLine(value: Json | undefined): value is string {
  return typeof value === "string" && value.isWellFormed() && value.search(controlCharacters) < 0;
}

function malformedReason(cause?: unknown): SessionError {
  return new SessionError({ code: "FRAME_MALFORMED", message: "A reason is not in the expected form.", cause });
}
