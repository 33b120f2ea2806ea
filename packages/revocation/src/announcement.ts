/**
 * How two hubs bring their lists to the same size. Two messages, UTF-8 JSON: `{"revocations":n}` says how large my list
 * is, `{"list":jws}` hands it over. Whoever hears a smaller number than its own sends its list; whoever hears a larger one
 * answers with its own number, which makes the other send.
 */
import { encodeUtf8, type Json, parseJson } from "@fed/core";
import type { GeneralJws } from "@fed/trust";
import { RevocationError } from "./errors.js";
import { maxListBytes, maxListEntries } from "./list.js";

/** Largest message, bytes: a full list in base64url, with its signatures. */
export const maxRevocationMessageBytes = Math.ceil((maxListBytes * 4) / 3) + 64 * 1024;

/** A message read from a peer. The list in it is not verified. */
export type RevocationMessage = { readonly revocations: number } | { readonly list: unknown };

/** What to do about a peer's number. */
export type Exchange = "send" | "fetch" | "nothing";

/** `{"revocations":number}`. */
export function encodeAnnouncement(number: number): Uint8Array {
  return encodeUtf8(JSON.stringify({ revocations: number }));
}

/** `{"list":signed}`. */
export function encodeListMessage(signed: GeneralJws): Uint8Array {
  return encodeUtf8(JSON.stringify({ list: signed }));
}

/** @throws {RevocationError} REVOCATION_MALFORMED unless `bytes` are one of the two messages, within the limits. */
export function parseRevocationMessage(bytes: Uint8Array): RevocationMessage {
  let value: Json;
  try {
    value = parseJson(bytes, { maxBytes: maxRevocationMessageBytes, maxDepth: 8 });
  } catch (cause) {
    throw malformed(cause);
  }
  if (typeof value !== "object" || value === null || Object.keys(value).length !== 1) throw malformed();
  const { revocations, list } = value as { readonly [key: string]: Json };
  if (list !== undefined) return { list };
  if (!Number.isSafeInteger(revocations) || (revocations as number) < 0) throw malformed();
  if ((revocations as number) > maxListEntries) throw malformed();
  return { revocations: revocations as number };
}

/** What a hub whose list has `mine` entries does when it hears that a peer's has `theirs`. */
export function decideExchange(mine: number, theirs: number): Exchange {
  if (mine > theirs) return "send";
  return mine < theirs ? "fetch" : "nothing";
}

function malformed(cause?: unknown): RevocationError {
  return new RevocationError({ code: "REVOCATION_MALFORMED", message: "Not a message about revocations.", cause });
}
