/**
 * Errors that cross from hub to hub, the same in every protocol of ours: `{"code","message","hint"?,"retryable"?}`.
 * What a peer says of an error ends up in terminals and logs of people it has no power over, so texts are cut and put
 * on one line both where they leave and where they arrive.
 */
import { FedError } from "./errors.js";
import type { Json } from "./json.js";

/** An error that another hub told of. The code is its own word: it may be any code, and it proves nothing about this side. */
export class PeerError extends FedError<string> {}

/** What is told of an error. */
export interface ErrorReport {
  /** `[A-Z][A-Z0-9_]{0,63}`. */
  readonly code: string;
  readonly message: string;
  readonly hint?: string | undefined;
  /** Only ever true: what is not retryable says nothing. */
  readonly retryable?: true | undefined;
}

/** Longest texts, UTF-16 code units. */
export interface ErrorTextLimits {
  readonly message: number;
  readonly hint: number;
}

/** In JSON and UTF-8 such a report is below 2 KiB. */
const shortTexts: ErrorTextLimits = { message: 400, hint: 200 };

const codePattern = /^[A-Z][A-Z0-9_]{0,63}$/;
/** Control and format characters and line separators, but for the joiners that scripts and emoji are written with. */
const unprintable = /[\p{Cc}\p{Zl}\p{Zp}]|(?![\u200c\u200d])\p{Cf}/gu;

/** Whether `value` has the form of an error code: `[A-Z][A-Z0-9_]{0,63}`. */
export function isErrorCode(value: unknown): value is string {
  return typeof value === "string" && codePattern.test(value);
}

/**
 * `text` fit for a terminal: cut to `maxLength` UTF-16 code units, line separators, control and format characters turned
 * into spaces (zero-width joiners stay), lone surrogates into U+FFFD.
 */
export function oneLine(text: string, maxLength: number): string {
  return text.slice(0, maxLength).toWellFormed().replace(unprintable, " ");
}

/** What a peer may hear of `error`; a code that no peer would take becomes INTERNAL. Default: 400 and 200 characters. */
export function reportError(error: FedError, limits = shortTexts): ErrorReport {
  return {
    code: isErrorCode(error.code) ? error.code : "INTERNAL",
    message: oneLine(error.message, limits.message),
    ...(error.hint !== undefined && { hint: oneLine(error.hint, limits.hint) }),
    ...(error.retryable && { retryable: true }),
  };
}

/**
 * The report in `value`, with its texts cut to `limits` (default 400 and 200 characters) and on one line; undefined
 * unless it is one. Members it does not know are ignored.
 */
export function readErrorReport(value: Json, limits = shortTexts): ErrorReport | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { code, message, hint, retryable } = value as { readonly [key: string]: Json | undefined };
  if (!isErrorCode(code) || typeof message !== "string") return undefined;
  if (hint !== undefined && typeof hint !== "string") return undefined;
  if (retryable !== undefined && typeof retryable !== "boolean") return undefined;
  return {
    code,
    message: oneLine(message, limits.message),
    ...(hint !== undefined && { hint: oneLine(hint, limits.hint) }),
    ...(retryable && { retryable }),
  };
}
