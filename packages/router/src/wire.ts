/**
 * The bytes of a call: PROTOCOL "Session" and "Envelope".
 *
 *     OPEN     {"k":"call"|"listen","v":1,"app":A,"id":ID,"env":{"origin":J,"hop":J,"via":[J…]},"idem":K}   (list: no app, no idem)
 *     request  call: one message, the body {"method":M,"params":P}; list: none
 *     answers  1 | JSON {method,params}    notification, any number
 *              2 | u32 revocation size | JSON    result, last
 *              3 | u32 revocation size | JSON    error {code,message,hint,retryable,details}, last
 *
 * The hop proof's digest covers kind, app, idempotency key and body, so none of them can be changed under a signature:
 * SHA-256 of `fed-call/1 LF app LF key LF body`.
 */
import {
  concatBytes,
  encodeBase64Url,
  encodeUtf8,
  type FedError,
  type HubId,
  isAppName,
  type Json,
  parseJson,
  randomBytes,
  readErrorReport,
  reportError,
} from "@fed/core";
import { detailsOf, type ErrorDetails, RemoteError, RouterError } from "./errors.js";
import { limits } from "./limits.js";
import type { AppRequest, Digest, Envelope, Notification } from "./ports.js";

/** Any parsed header: an object with its kind. */
export interface StreamHeader {
  readonly k: string;
  readonly [key: string]: Json;
}

/** `listen` is a call of `subscriptions/listen`: it lasts, and is counted by itself. */
export type CallKind = "call" | "listen";

/** The kind of stream on which `method` travels. */
export function kindOf(method: string): CallKind {
  return method === "subscriptions/listen" ? "listen" : "call";
}

/** The header of a `call`, `listen` or `list` stream. */
export interface CallHeader {
  readonly kind: CallKind;
  readonly app: string;
  readonly id: string;
  readonly envelope: Envelope;
  readonly idempotencyKey: string | undefined;
}

const idPattern = /^[A-Za-z0-9_-]{22}$/;
/** Printable ASCII: no line feed, which ends a field of the digest. */
const keyPattern = /^[\x20-\x7e]{1,128}$/;

/** Whether `text` can be an idempotency key: 1..128 printable ASCII characters. */
export function isIdempotencyKey(text: string): boolean {
  return keyPattern.test(text);
}

/** A new call id: 128 random bits, base64url. */
export function newCallId(): string {
  return encodeBase64Url(randomBytes(16));
}

/** What the hop proof binds, 32 bytes. */
export function requestDigest(
  digest: Digest,
  kind: CallKind | "list",
  app: string,
  idempotencyKey: string | undefined,
  body: Uint8Array,
): Uint8Array {
  return digest(concatBytes(encodeUtf8(`fed-${kind}/1\n${app}\n${idempotencyKey ?? ""}\n`), body));
}

/**
 * What makes two calls under one idempotency key the same, 32 bytes: all of the request but its `_meta`, where a repetition
 * has another trace context and progress token.
 */
export function repetitionDigest(
  digest: Digest,
  app: string,
  idempotencyKey: string,
  { method, params }: { readonly method: string; readonly params?: unknown },
): Uint8Array {
  const { _meta, ...rest } = isObject(params as Json) ? (params as { readonly _meta?: unknown }) : {};
  const body = encodeBody({ method, params: _meta === undefined ? params : rest });
  return requestDigest(digest, kindOf(method), app, idempotencyKey, body);
}

export function encodeCallHeader(header: CallHeader): Uint8Array {
  const { kind, app, id, envelope, idempotencyKey } = header;
  return encodeUtf8(JSON.stringify({ k: kind, v: 1, app, id, env: envelope, idem: idempotencyKey }));
}

export function encodeListHeader(id: string, envelope: Envelope): Uint8Array {
  return encodeUtf8(JSON.stringify({ k: "list", v: 1, id, env: envelope }));
}

/** @throws {RouterError} REQUEST_MALFORMED unless it is an object with a kind of 1..32 characters, at most 40 KiB. */
export function parseHeader(bytes: Uint8Array): StreamHeader {
  const value = parseOr("REQUEST_MALFORMED", "The stream header is not JSON.", bytes, limits.headerBytes);
  if (!isObject(value) || typeof value.k !== "string" || value.k.length < 1 || value.k.length > 32) {
    throw malformed("The stream header names no kind.");
  }
  return value as StreamHeader;
}

/** @throws {RouterError} REQUEST_MALFORMED. */
export function parseCallHeader(header: StreamHeader): CallHeader {
  const { k, v, app = "", id, env, idem } = header as { readonly [key: string]: Json | undefined };
  if (v !== 1) throw malformed("Only version 1 of calls is spoken.");
  if (typeof id !== "string" || !idPattern.test(id)) throw malformed("The call id is not 128 bits of base64url.");
  if (typeof app !== "string" || (k === "list" ? app !== "" : !isAppName(app))) throw malformed("Not an app's name.");
  if (idem !== undefined && (typeof idem !== "string" || !isIdempotencyKey(idem))) {
    throw malformed("Not an idempotency key.");
  }
  return { kind: k === "listen" ? k : "call", app, id, envelope: parseEnvelope(env), idempotencyKey: idem };
}

function parseEnvelope(value: Json | undefined): Envelope {
  if (!isObject(value) || !isToken(value.origin) || !isToken(value.hop)) throw malformed("The call has no envelope.");
  const { origin, hop, via } = value;
  if (via === undefined) return { origin, hop };
  if (!Array.isArray(via) || via.length > limits.viaCount || !via.every(isToken)) {
    throw malformed("The earlier hop proofs are not a short list of tokens.");
  }
  return { origin, hop, via: via as readonly string[] };
}

/** @throws {RouterError} BODY_TOO_LARGE or REQUEST_MALFORMED. */
export function parseBody(body: Uint8Array): AppRequest {
  if (body.length > limits.bodyBytes) throw bodyTooLarge(body.length);
  const value = parseOr("REQUEST_MALFORMED", "The body is not JSON.", body, limits.bodyBytes);
  if (!isObject(value) || typeof value.method !== "string" || value.method.length < 1 || value.method.length > 128) {
    throw malformed("The body names no method.");
  }
  return { method: value.method, params: value.params };
}

/** @throws {RouterError} BODY_TOO_LARGE or REQUEST_MALFORMED (params that JSON cannot spell). */
export function encodeBody(request: AppRequest): Uint8Array {
  let text: string;
  try {
    text = JSON.stringify({ method: request.method, params: request.params });
  } catch (cause) {
    throw new RouterError({ code: "REQUEST_MALFORMED", message: "The params have no JSON form.", cause });
  }
  const body = encodeUtf8(text);
  if (body.length > limits.bodyBytes) throw bodyTooLarge(body.length);
  return body;
}

export function bodyTooLarge(length: number): RouterError {
  return new RouterError({
    code: "BODY_TOO_LARGE",
    message: `The request has ${length} bytes; at most ${limits.bodyBytes} are carried.`,
    hint: "Send a reference to the data instead.",
  });
}

const kinds = { notification: 1, result: 2, error: 3 } as const;

/** An answer read from the stream. */
export type Answer =
  | { readonly kind: "notification"; readonly notification: Notification }
  | { readonly kind: "result"; readonly revocationSize: number; readonly result: Json }
  | { readonly kind: "error"; readonly revocationSize: number; readonly error: RemoteError };

/** @throws {RouterError} RESULT_TOO_LARGE above 64 KiB, APP_FAILED when JSON cannot spell it. */
export function encodeNotification({ method, params }: Notification): Uint8Array {
  const json = encodeValue({ method, params }, limits.notificationBytes);
  const out = new Uint8Array(1 + json.length);
  out[0] = kinds.notification;
  out.set(json, 1);
  return out;
}

/** @throws {RouterError} RESULT_TOO_LARGE above `maxBytes` of JSON, APP_FAILED when JSON cannot spell it. */
export function encodeResult(result: unknown, revocationSize: number, maxBytes: number): Uint8Array {
  return encodeFinal(kinds.result, revocationSize, encodeValue(result, maxBytes));
}

export function encodeError(error: FedError, revocationSize: number): Uint8Array {
  const value = { ...reportError(error, limits.errorText), details: portableDetails(error) };
  return encodeFinal(kinds.error, revocationSize, encodeUtf8(JSON.stringify(value)));
}

/** Details that are too large or no JSON are left out: the code matters more. */
function portableDetails(error: FedError): ErrorDetails | undefined {
  const details = detailsOf(error);
  try {
    if (details) encodeValue(details, limits.errorDetailsBytes);
    return details;
  } catch {
    return undefined;
  }
}

function encodeFinal(kind: number, revocationSize: number, json: Uint8Array): Uint8Array {
  const out = new Uint8Array(5 + json.length);
  out[0] = kind;
  new DataView(out.buffer).setUint32(1, revocationSize);
  out.set(json, 5);
  return out;
}

function encodeValue(value: unknown, maxBytes: number): Uint8Array {
  let text: string | undefined;
  try {
    text = JSON.stringify(value ?? null);
  } catch (cause) {
    throw new RouterError({ code: "APP_FAILED", message: "The app's answer has no JSON form.", cause });
  }
  const json = encodeUtf8(text ?? "null");
  if (json.length > maxBytes) {
    throw new RouterError({
      code: "RESULT_TOO_LARGE",
      message: `The app answered with ${json.length} bytes; at most ${maxBytes} are carried.`,
      hint: "Ask for less, or for a reference to the data.",
    });
  }
  return json;
}

/**
 * Reads one answer of `hub`. Every string of an error is bounded and freed of control characters.
 * @throws {RouterError} REMOTE_PROTOCOL when it is none.
 */
export function parseAnswer(message: Uint8Array, hub: HubId, app: string | undefined): Answer {
  const kind = message[0];
  if (kind === kinds.notification)
    return { kind: "notification", notification: parseNotification(message.subarray(1)) };
  if ((kind !== kinds.result && kind !== kinds.error) || message.length < 5) {
    throw remoteProtocol("The peer sent an answer of no known kind.");
  }
  const revocationSize = new DataView(message.buffer, message.byteOffset, message.length).getUint32(1);
  const json = message.subarray(5);
  if (kind === kinds.result) {
    return { kind: "result", revocationSize, result: parseRemote(json, limits.bodyBytes) };
  }
  return { kind: "error", revocationSize, error: parseError(json, hub, app) };
}

function parseNotification(json: Uint8Array): Notification {
  const value = parseRemote(json, limits.notificationBytes);
  if (!isObject(value) || typeof value.method !== "string" || value.method.length > 128) {
    throw remoteProtocol("The peer sent a notification without a method.");
  }
  return { method: value.method, params: value.params };
}

function parseError(json: Uint8Array, hub: HubId, app: string | undefined): RemoteError {
  const value = parseRemote(json, 2 * limits.errorDetailsBytes);
  const report = readErrorReport(value, limits.errorText);
  if (!report) throw remoteProtocol("The peer sent an error without a code.");
  return new RemoteError({ ...report, details: detailsOf(value), hub, app });
}

export function remoteProtocol(message: string, cause?: unknown): RouterError {
  return new RouterError({ code: "REMOTE_PROTOCOL", message, cause, hint: "The other hub runs broken software." });
}

function malformed(message: string): RouterError {
  return new RouterError({ code: "REQUEST_MALFORMED", message });
}

function parseRemote(bytes: Uint8Array, maxBytes: number): Json {
  return parseOr("REMOTE_PROTOCOL", "The peer's answer is not JSON.", bytes, maxBytes);
}

function parseOr(
  code: "REQUEST_MALFORMED" | "REMOTE_PROTOCOL",
  message: string,
  bytes: Uint8Array,
  maxBytes: number,
): Json {
  try {
    return parseJson(bytes, { maxBytes, maxDepth: limits.jsonDepth });
  } catch (cause) {
    throw new RouterError({ code, message, cause });
  }
}

/** Whether `value` is a JSON object. */
export function isObject(value: Json | undefined): value is { readonly [key: string]: Json } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isToken(value: Json | undefined): value is string {
  return typeof value === "string" && value.length > 0 && value.length <= limits.tokenChars;
}
