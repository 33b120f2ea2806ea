/**
 * Why a relay closes a WebSocket. docs/spec/relay.md §4. The close reason is the name of the cause in capitals,
 * followed by ` retry-after=<seconds>` where coming back sooner is useless.
 */
import { isFedError } from "@fed/core";
import { RelayError, type RelayErrorCode } from "./errors.js";

/** WebSocket close codes a relay uses. */
export const closeCode = {
  restarting: 1012,
  malformed: 4400,
  notAdmitted: 4401,
  admissionTimeout: 4402,
  tooLarge: 4403,
  slowReader: 4408,
  replaced: 4409,
  expired: 4410,
  elsewhere: 4421,
  rateExceeded: 4429,
  full: 4430,
} as const;

const codeOfClose: ReadonlyMap<number, RelayErrorCode> = new Map<number, RelayErrorCode>([
  [closeCode.restarting, "RELAY_RESTARTING"],
  [closeCode.malformed, "PROTOCOL_ERROR"],
  [closeCode.admissionTimeout, "ADMISSION_TIMEOUT"],
  [closeCode.tooLarge, "FRAME_TOO_LARGE"],
  [closeCode.slowReader, "RELAY_SLOW_READER"],
  [closeCode.replaced, "RELAY_REPLACED"],
  [closeCode.expired, "TOKEN_EXPIRED"],
  [closeCode.elsewhere, "RELAY_ELSEWHERE"],
  [closeCode.rateExceeded, "RELAY_RATE_EXCEEDED"],
  [closeCode.full, "RELAY_FULL"],
]);

const admissionReasons: ReadonlySet<string> = new Set<RelayErrorCode>([
  "TOKEN_AUDIENCE",
  "TOKEN_EXPIRED",
  "TOKEN_INVALID",
  "TOKEN_KEY_UNKNOWN",
]);

/** The close reason for `code`; `retryAfterSeconds` tells the hub not to come back sooner. */
export function formatCloseReason(code: RelayErrorCode, retryAfterSeconds?: number): string {
  return retryAfterSeconds === undefined ? code : `${code} retry-after=${retryAfterSeconds}`;
}

/** How a relay ends a socket whose message it could not take because of `error`. */
export function refusalOf(error: unknown): { readonly code: number; readonly reason: string } {
  const cause = isFedError(error) ? (error.code as RelayErrorCode) : "PROTOCOL_ERROR";
  if (cause === "FRAME_TOO_LARGE") return { code: closeCode.tooLarge, reason: formatCloseReason(cause, 60) };
  const isMalformed = cause === "FRAME_MALFORMED" || cause === "PROTOCOL_ERROR";
  if (isMalformed) return { code: closeCode.malformed, reason: formatCloseReason(cause, 60) };
  return { code: closeCode.notAdmitted, reason: formatCloseReason(cause, 10) };
}

/** The close reason that sends a hub to the node at `url`. */
export function formatRedirect(url: string): string {
  return `RELAY_ELSEWHERE ${url}`;
}

/**
 * The URL that a close reason of a relay at `from` sends to; undefined when it names none. A relay may lead to another host,
 * but never from wss: to ws:, to a path of its choice or with credentials.
 */
export function parseRedirect(reason: string, from: string): string | undefined {
  const target = /^RELAY_ELSEWHERE (\S+)$/.exec(reason)?.[1];
  if (target === undefined || !URL.canParse(target)) return undefined;
  const [to, base] = [new URL(target), new URL(from)];
  if (to.protocol !== base.protocol || to.username !== "" || to.password !== "" || to.host === base.host)
    return undefined;
  return `${to.protocol}//${to.host}${base.pathname}`;
}

/** Seconds to stay away that a close reason asks for, at most one hour; zero when it asks for none. */
export function parseRetryAfterSeconds(reason: string): number {
  const match = /(?:^| )retry-after=(\d{1,6})$/.exec(reason);
  return match ? Math.min(Number(match[1]), 3600) : 0;
}

/** The error behind a close: RELAY_LOST for every code this protocol does not know. */
export function closeError(code: number, reason: string): RelayError {
  if (code === closeCode.notAdmitted) {
    const cause = reason.split(" ", 1)[0]!;
    return new RelayError({
      code: admissionReasons.has(cause) ? (cause as RelayErrorCode) : "ADMISSION_REFUSED",
      message: "The relay did not admit this hub.",
      hint: admissionHint(cause),
      retryable: true,
    });
  }
  const known = codeOfClose.get(code);
  if (known === undefined) {
    return new RelayError({
      code: "RELAY_LOST",
      message: `The connection to the relay ended (${code}).`,
      retryable: true,
    });
  }
  return new RelayError({
    code: known,
    message: `The relay closed the connection (${code}).`,
    hint:
      known === "RELAY_REPLACED" ? "Another process runs with this hub's identity; stop one of the two." : undefined,
    retryable: known !== "RELAY_REPLACED",
  });
}

function admissionHint(cause: string): string {
  switch (cause) {
    case "TOKEN_KEY_UNKNOWN":
      return "Give the relay's operator this cluster's fedrelay1. key.";
    case "TOKEN_AUDIENCE":
      return "The relay's --origin must be the address that hubs use.";
    case "TOKEN_EXPIRED":
      return "Compare this machine's clock with the relay's.";
    default:
      return "See the relay's log.";
  }
}
