/** What a caller says about a call. */
import { isAppName } from "@fed/core";
import { RouterError } from "./errors.js";
import { limits } from "./limits.js";
import type { Caller, Envelope, Notification } from "./ports.js";
import { bodyTooLarge, encodeBody, isIdempotencyKey } from "./wire.js";

/** What to call. */
export type CallTarget = {
  /** A hub's id or name. Absent: this hub if it has the app, else the one hub known to show it to the operator. */
  readonly hub?: string;
  readonly app: string;
  /** 1..128 printable ASCII characters. The owner returns the first outcome to every repetition for 10 minutes. */
  readonly idempotencyKey?: string;
  /** The call has no side effect, so it may be sent again when a session is lost. */
  readonly readOnly?: boolean;
} & (
  | { readonly method: string; readonly params?: unknown }
  /** UTF-8 JSON `{"method","params"}`, forwarded byte for byte; must not be changed afterwards. */
  | { readonly body: Uint8Array }
);

/** On whose authority, and for how long. */
export interface CallOptions {
  readonly caller: Caller;
  /** The envelope this call arrived in, when it is forwarded for a caller of another hub. */
  readonly incoming?: Envelope;
  readonly signal?: AbortSignal;
  /** 128 random bits, base64url, by which both hubs' records name the call; default made here. */
  readonly callId?: string;
  /** Default 60 000; Infinity: until cancelled. Each progress notification begins it anew, for an hour in all. */
  readonly deadlineMs?: number;
  /** Each notification that belongs to the call, in order. A throw cancels the call. */
  onNotification?(notification: Notification): void;
}

/** @throws {RouterError} REQUEST_MALFORMED when app or key cannot be one. */
export function checkTarget({ app, idempotencyKey }: CallTarget): void {
  if (!isAppName(app)) throw malformed("Not an app's name.");
  if (idempotencyKey !== undefined && !isIdempotencyKey(idempotencyKey)) throw malformed("Not an idempotency key.");
}

/** The bytes that travel. @throws {RouterError} BODY_TOO_LARGE or REQUEST_MALFORMED. */
export function bodyOf(target: CallTarget): Uint8Array {
  if (!("body" in target)) return encodeBody({ method: target.method, params: target.params });
  if (target.body.length > limits.bodyBytes) throw bodyTooLarge(target.body.length);
  return target.body;
}

function malformed(message: string): RouterError {
  return new RouterError({ code: "REQUEST_MALFORMED", message });
}
