/** JSON from outside: bounded, strict UTF-8, no duplicate keys; and canonical JSON (RFC 8785) for what gets hashed. */
import canonicalizeValue from "canonicalize";
import { decodeUtf8, encodeUtf8 } from "./bytes.js";
import { CoreError } from "./errors.js";

/** Any JSON value. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** Limits of {@link parseJson}. */
export interface JsonLimits {
  /** Largest input, bytes. */
  readonly maxBytes: number;
  /** Deepest nesting of arrays and objects. Default 32. */
  readonly maxDepth?: number;
}

/**
 * The value that `bytes` spell, with the limits checked before anything is parsed.
 * @throws {CoreError} TOO_LARGE, INVALID_UTF8, TOO_DEEP, DUPLICATE_KEY, INVALID_JSON.
 */
export function parseJson(bytes: Uint8Array, limits: JsonLimits): Json {
  if (bytes.length > limits.maxBytes) {
    throw new CoreError({
      code: "TOO_LARGE",
      message: `JSON of ${bytes.length} bytes; at most ${limits.maxBytes} are read.`,
    });
  }
  const text = decodeUtf8(bytes);
  checkStructure(text, limits.maxDepth ?? 32);
  try {
    return JSON.parse(text) as Json;
  } catch (cause) {
    throw new CoreError({ code: "INVALID_JSON", message: "Not JSON.", cause });
  }
}

/**
 * UTF-8 bytes of `value` in the canonical form of RFC 8785. Members whose value is undefined or a
 * function are left out.
 * @throws {CoreError} NOT_CANONICALIZABLE for NaN, infinities, lone surrogates, cycles and non-JSON types.
 */
export function canonicalJson(value: unknown): Uint8Array {
  let text: string | undefined;
  try {
    text = canonicalizeValue(value);
  } catch (cause) {
    throw new CoreError({ code: "NOT_CANONICALIZABLE", message: "The value has no canonical JSON form.", cause });
  }
  if (text === undefined || !text.isWellFormed()) {
    throw new CoreError({ code: "NOT_CANONICALIZABLE", message: "The value has no canonical JSON form." });
  }
  return encodeUtf8(text);
}

/**
 * One pass over the text before `JSON.parse` sees it: depth is bounded and no object names a key twice.
 * It relies on JSON.parse for the grammar, so on malformed text it may stop early without complaint.
 */
function checkStructure(text: string, maxDepth: number): void {
  const open: (Set<string> | undefined)[] = [];
  let i = 0;
  while (i < text.length) {
    const char = text[i];
    if (char === "{" || char === "[") {
      open.push(char === "{" ? new Set() : undefined);
      if (open.length > maxDepth)
        throw new CoreError({ code: "TOO_DEEP", message: `JSON nested deeper than ${maxDepth}.` });
    } else if (char === "}" || char === "]") {
      open.pop();
    } else if (char === '"') {
      const end = endOfString(text, i);
      const keys = open.at(-1);
      if (keys && text[nextNonSpace(text, end)] === ":") addKey(keys, text.slice(i, end));
      i = end;
      continue;
    }
    i++;
  }
}

function addKey(keys: Set<string>, literal: string): void {
  const key = literal.includes("\\") ? unescaped(literal) : literal.slice(1, -1);
  if (keys.has(key)) throw new CoreError({ code: "DUPLICATE_KEY", message: "A JSON object names the same key twice." });
  keys.add(key);
}

/** What a string literal spells: the same key may be written in several ways. */
function unescaped(literal: string): string {
  try {
    return JSON.parse(literal) as string;
  } catch (cause) {
    throw new CoreError({ code: "INVALID_JSON", message: "Not JSON.", cause });
  }
}

/** Index just past the string literal that opens at `start`. Long strings without escapes are passed over in one step. */
function endOfString(text: string, start: number): number {
  let quote = text.indexOf('"', start + 1);
  while (quote >= 0 && isEscaped(text, quote, start)) quote = text.indexOf('"', quote + 1);
  return quote < 0 ? text.length : quote + 1;
}

/** Whether an odd number of backslashes stands before `index`, none of them before the literal's own quote at `start`. */
function isEscaped(text: string, index: number, start: number): boolean {
  let i = index - 1;
  while (i > start && text[i] === "\\") i--;
  return (index - 1 - i) % 2 === 1;
}

function nextNonSpace(text: string, from: number): number {
  let i = from;
  while (text[i] === " " || text[i] === "\t" || text[i] === "\n" || text[i] === "\r") i++;
  return i;
}
