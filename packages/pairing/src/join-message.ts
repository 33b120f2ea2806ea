/**
 * The messages of a join, one JSON document each, in this order:
 *
 * ```
 * issuer → joiner  {"t":"challenge","nonce":<32 bytes>}
 * joiner → issuer  {"t":"join","v":1,"secret":…,"hubId":…,"name":…,"csr":…,"noise":<32 bytes>,"proof":<64 bytes>}
 * issuer → joiner  {"t":"welcome","leaf":…,"manifests":[…],"clusterKey":<32 bytes>,"revocations":…|null}
 * joiner → issuer  {"t":"confirm","proof":<64 bytes>}
 * issuer → joiner  {"t":"done"}
 * either           {"t":"refused","code":…,"message":…,"hint":…}
 * ```
 *
 * Byte values are base64url. The first proof signs `fed-join/1 ‖ nonce ‖ SHA-256(hubId ‖ 0 ‖ name ‖ 0 ‖ noise ‖ csr)`,
 * the second `fed-join-confirm/1 ‖ SHA-256(welcome message)`, both with the joiner's leaf key.
 */
import {
  type Connection,
  CoreError,
  concatBytes,
  decodeBase64Url,
  encodeUtf8,
  type FedError,
  isFedError,
  type Json,
  parseJson,
} from "@fed/core";
import { sha256 } from "@fed/trust";
import { PairingError } from "./errors.js";

/** Everything a new member needs. Documents stay unverified here; trust verifies them. */
export interface Welcome {
  /** The joiner's leaf, DER. */
  readonly leaf: Uint8Array;
  /** Every signed manifest from genesis to now, in order. */
  readonly manifests: readonly unknown[];
  /** The key all members share, 32 bytes: route ids, relay admission, LAN tags. */
  readonly clusterKey: Uint8Array;
  /** The signed revocation list, or null while nothing is revoked. */
  readonly revocations: unknown;
}

/** A message whose `t` is known and whose other members are still unchecked. */
export interface JoinMessage {
  readonly t: string;
  readonly [member: string]: Json;
}

/** Reads one message at a time from a guest connection, which carries nothing else. */
export interface JoinChannel {
  send(message: object): Uint8Array;
  /** @throws {PairingError} JOIN_TIMEOUT, JOIN_MALFORMED, or {@link RefusedError}'s code when the other side refused. */
  receive(expected: string, limits?: { readonly maxBytes: number }): Promise<{ message: JoinMessage; bytes: Uint8Array }>;
}

const smallMessageBytes = 32 * 1024;

/** A channel over `connection`; a protocol has at most a few messages in flight, so more than four waiting is an attack. */
export function openJoinChannel(connection: Connection, deadline: AbortSignal): JoinChannel {
  const waiting: Uint8Array[] = [];
  let over: FedError | undefined;
  let wake: (() => void) | undefined;
  connection.start({
    message(bytes) {
      waiting.push(bytes);
      if (waiting.length > 4) connection.close(malformed("Too many messages at once."));
      wake?.();
    },
    closed(error) {
      over = error ?? new CoreError({ code: "CLOSED", message: "The other side hung up.", retryable: true });
      wake?.();
    },
  });
  deadline.addEventListener("abort", () => wake?.());

  return {
    send(message) {
      const bytes = encodeUtf8(JSON.stringify(message));
      connection.send(bytes);
      return bytes;
    },
    async receive(expected, limits) {
      while (waiting.length === 0) {
        if (over) throw over;
        if (deadline.aborted) {
          throw new PairingError({ code: "JOIN_TIMEOUT", message: "The other side did not answer in time.", retryable: true });
        }
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      const bytes = waiting.shift()!;
      let value: Json;
      try {
        value = parseJson(bytes, { maxBytes: limits?.maxBytes ?? smallMessageBytes, maxDepth: 16 });
      } catch (cause) {
        throw malformed("A message does not parse.", cause);
      }
      const message = value as JoinMessage;
      if (typeof value !== "object" || value === null || Array.isArray(value)) throw malformed("A message is not an object.");
      if (message.t === "refused") throw refusalFrom(message);
      if (message.t !== expected) throw malformed(`Expected ${expected}.`);
      return { message, bytes };
    },
  };
}

/** Tells the other side why, then closes. */
export function refuse(connection: Connection, error: FedError): void {
  try {
    const { code, message, hint } = error;
    connection.send(encodeUtf8(JSON.stringify({ t: "refused", code, message: message.slice(0, 300), hint: hint?.slice(0, 300) })));
  } catch {
    // The connection is gone already; there is nobody left to tell.
  }
  connection.close();
}

/** The bytes member `name` of `message` holds. @throws {PairingError} JOIN_MALFORMED unless it is base64url of `length` bytes. */
export function bytesOf(message: JoinMessage, name: string, length?: number): Uint8Array {
  const text = message[name];
  if (typeof text !== "string") throw malformed(`${name} is missing.`);
  let bytes: Uint8Array;
  try {
    bytes = decodeBase64Url(text);
  } catch (cause) {
    throw malformed(`${name} does not decode.`, cause);
  }
  if (length !== undefined && bytes.length !== length) throw malformed(`${name} is not ${length} bytes.`);
  return bytes;
}

/** The string member `name`. @throws {PairingError} JOIN_MALFORMED unless it matches `pattern`. */
export function textOf(message: JoinMessage, name: string, pattern: RegExp): string {
  const text = message[name];
  if (typeof text !== "string" || !pattern.test(text)) throw malformed(`${name} is not as it must be.`);
  return text;
}

/** What the joiner's first proof signs. */
export function joinProofInput(
  nonce: Uint8Array,
  request: { readonly hubId: string; readonly name: string; readonly noise: Uint8Array; readonly csr: Uint8Array },
): Uint8Array {
  const zero = new Uint8Array(1);
  const digest = sha256(concatBytes(encodeUtf8(request.hubId), zero, encodeUtf8(request.name), zero, request.noise, request.csr));
  return concatBytes(encodeUtf8("fed-join/1"), nonce, digest);
}

/** What the joiner's second proof signs. */
export function confirmProofInput(welcome: Uint8Array): Uint8Array {
  return concatBytes(encodeUtf8("fed-join-confirm/1"), sha256(welcome));
}

/** @returns a JOIN_MALFORMED error. */
export function malformed(why: string, cause?: unknown): PairingError {
  return new PairingError({ code: "JOIN_MALFORMED", message: `The other side broke the join protocol. ${why}`, cause });
}

function refusalFrom(message: JoinMessage): FedError {
  const text = (name: string) => (typeof message[name] === "string" ? (message[name] as string).slice(0, 300) : undefined);
  const code = text("code");
  const known = code !== undefined && /^[A-Z][A-Z0-9_]{1,63}$/.test(code) ? code : "JOIN_REFUSED";
  return new RefusedError(known, text("message") ?? "The other side refused.", text("hint"));
}

/** The other side's refusal, with its own code. */
export class RefusedError extends PairingError {
  constructor(code: string, message: string, hint: string | undefined) {
    super({ code: code as PairingError["code"], message, hint });
  }
}

/** `error` if it is ours, else JOIN_MALFORMED around it. */
export function asJoinError(error: unknown): FedError {
  return isFedError(error) ? error : malformed("It sent what could not be read.", error);
}
