/** Where a page ended: the sort key of its last entry, so that the next one goes on there whatever has changed meanwhile. */
import { decodeBase64Url, decodeUtf8, encodeBase64Url, encodeUtf8, type Json } from "@fed/core";
import { RouterError } from "./errors.js";
import { limits } from "./limits.js";

/** What a cursor belongs to, and the sort key after which it goes on. */
export type CursorKey = readonly (string | number)[];

/** Opaque text for `key` of a list that `kind` names. */
export function formatCursor(kind: string, key: CursorKey): string {
  return encodeBase64Url(encodeUtf8(JSON.stringify([kind, ...key])));
}

/**
 * The key in `cursor`, a part for each of `shape`.
 * @throws {RouterError} REQUEST_MALFORMED when it is none of a list that `kind` names.
 */
export function parseCursor<const Shape extends readonly ("string" | "number")[]>(
  kind: string,
  cursor: string,
  shape: Shape,
): { readonly [I in keyof Shape]: Shape[I] extends "string" ? string : number } {
  let key: Json;
  try {
    if (cursor.length > limits.cursorChars) throw new RangeError("long");
    key = JSON.parse(decodeUtf8(decodeBase64Url(cursor))) as Json;
  } catch (cause) {
    throw notACursor(cause);
  }
  const isKey =
    Array.isArray(key) &&
    key.length === shape.length + 1 &&
    key[0] === kind &&
    shape.every((type, index) => typeof (key as readonly Json[])[index + 1] === type);
  if (!isKey) throw notACursor();
  return (key as readonly Json[]).slice(1) as never;
}

/** How many entries a page has. @throws {RouterError} REQUEST_MALFORMED unless it is a whole number from 1 to the most. */
export function pageLimit(
  limit: number | undefined,
  { default: usual, most }: typeof limits.pageApps | typeof limits.pageHits,
): number {
  if (limit === undefined) return usual;
  if (Number.isSafeInteger(limit) && limit >= 1 && limit <= most) return limit;
  throw new RouterError({
    code: "REQUEST_MALFORMED",
    message: `A page has 1 to ${most} entries.`,
    hint: "Ask for fewer, and go on with nextCursor.",
  });
}

function notACursor(cause?: unknown): RouterError {
  return new RouterError({
    code: "REQUEST_MALFORMED",
    message: "That is no cursor of this list.",
    hint: "Begin without a cursor.",
    cause,
  });
}
