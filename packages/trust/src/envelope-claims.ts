/** What the two tokens of an envelope say (docs/spec/envelope.md), and the rules each holds to by itself. */
import { encodeBase64Url, encodeUtf8, type HubId, isRoleName } from "@fed/core";
import * as z from "zod";
import { isHubId } from "./cluster-name.js";
import { TrustError, type TrustErrorCode } from "./errors.js";
import { type ParsedJws, parseCompact } from "./jws.js";
import { sha256 } from "./keys.js";
import { parsePrincipal } from "./principal.js";

/** `typ` of an origin assertion. */
export const originType = "fed-origin+jwt";
/** `typ` of a hop proof. */
export const hopType = "fed-hop+jwt";
/** Largest envelope, all tokens together, in characters. */
export const maxEnvelopeBytes = 8192;
/** Most forwards of one call. */
export const maxHops = 4;
/** Longest life of an origin assertion. */
export const maxOriginLifetimeMs = 300_000;
/** Longest life of a hop proof. */
export const maxHopLifetimeMs = 60_000;
/** How far two hubs' clocks may differ. */
export const clockToleranceMs = 5_000;

/** Claims of an origin assertion: the operator's home hub says who asks, with what rights. Times in seconds. */
export interface OriginClaims {
  /** Home hub. */
  readonly iss: HubId;
  /** Operator, `<name>@<home hub>`. */
  readonly sub: string;
  /** Cluster id or link id. */
  readonly aud: string;
  /** 128 random bits, base64url: one id for everything done under this assertion. */
  readonly txn: string;
  readonly iat: number;
  readonly exp: number;
  /** Space-separated (RFC 8693 §4.2). */
  readonly scope: string;
  readonly roles: readonly string[];
}

/** Claims of a hop proof: one hub says to one other that it forwards this body under that origin. Times in seconds. */
export interface HopClaims {
  /** Forwarding hub. */
  readonly iss: HubId;
  /** Receiving hub. */
  readonly aud: HubId;
  /** 128 random bits, base64url. */
  readonly jti: string;
  readonly iat: number;
  readonly exp: number;
  /** SHA-256 of the origin assertion's text, base64url. */
  readonly tth: string;
  /** SHA-256 of the incoming hop proof's text, base64url; absent in the first. */
  readonly prev?: string | undefined;
  /** SHA-256 of the request body, base64url. */
  readonly cdg: string;
  /** The forwarder's leaf (RFC 8705 §3.1). */
  readonly cnf: { readonly "x5t#S256": string };
  /** The receiver's boot nonce. */
  readonly epoch: string;
  /** 1 for the first forward. */
  readonly hop: number;
  /** Space-separated; part of the scope before it. */
  readonly scope: string;
}

/** A token whose text was read and whose claims are well formed, but whose signature nobody has judged. */
export interface ReadToken<Claims> {
  readonly jws: ParsedJws;
  readonly claims: Claims;
}

const hub = z.string().refine(isHubId);
const random128 = z.string().regex(/^[A-Za-z0-9_-]{22}$/);
const digest = z.string().regex(/^[A-Za-z0-9_-]{43}$/);
const seconds = z.int().nonnegative();
const scopeToken = "[\\x21\\x23-\\x5b\\x5d-\\x7e]{1,64}";
const scope = z.string().regex(new RegExp(`^(?:${scopeToken}(?: ${scopeToken}){0,31})?$`));
const role = z.string().refine(isRoleName);

const originClaims: z.ZodType<OriginClaims> = z.strictObject({
  iss: hub,
  sub: z.string().max(91),
  aud: z.string().refine(isRoleName),
  txn: random128,
  iat: seconds,
  exp: seconds,
  scope,
  roles: z.array(role).max(32),
});

const hopClaims: z.ZodType<HopClaims> = z.strictObject({
  iss: hub,
  aud: hub,
  jti: random128,
  iat: seconds,
  exp: seconds,
  tth: digest,
  prev: digest.optional(),
  cdg: digest,
  cnf: z.strictObject({ "x5t#S256": digest }),
  epoch: random128,
  hop: z.int().positive(),
  scope,
});

/**
 * Reads an origin assertion.
 * @throws {TrustError} JWS_*; ENVELOPE_MALFORMED; FOREIGN_OPERATOR when its issuer is not the operator's home hub.
 */
export function readOrigin(token: string): ReadToken<OriginClaims> {
  const jws = parseCompact(token, { typ: originType, maxBytes: maxEnvelopeBytes });
  return { jws, claims: checkOrigin(jws.payload) };
}

/**
 * Reads a hop proof.
 * @throws {TrustError} JWS_*; ENVELOPE_MALFORMED; TOO_MANY_HOPS; BROKEN_CHAIN when `prev` and `hop` contradict each other.
 */
export function readHop(token: string): ReadToken<HopClaims> {
  const jws = parseCompact(token, { typ: hopType, maxBytes: maxEnvelopeBytes });
  return { jws, claims: checkHop(jws.payload) };
}

/** The claims, if they are an origin assertion's; also used before signing, so that we send nothing we would refuse. */
export function checkOrigin(payload: unknown): OriginClaims {
  const claims = checkShape(originClaims, payload, "The origin assertion");
  if (parsePrincipal(claims.sub).hubId !== claims.iss) {
    throw refusal("FOREIGN_OPERATOR", "The origin assertion is for an operator of another hub than its issuer.");
  }
  checkLifetime(claims, maxOriginLifetimeMs, "The origin assertion");
  return claims;
}

/** The claims, if they are a hop proof's. */
export function checkHop(payload: unknown): HopClaims {
  const claims = checkShape(hopClaims, payload, "The hop proof");
  if (claims.hop > maxHops) throw refusal("TOO_MANY_HOPS", `The call was forwarded more than ${maxHops} times.`);
  if ((claims.hop === 1) !== (claims.prev === undefined)) {
    throw refusal("BROKEN_CHAIN", "Every hop proof but the first names the one before it.");
  }
  checkLifetime(claims, maxHopLifetimeMs, "The hop proof");
  return claims;
}

/**
 * Returns if a token may be honoured at `atMs`, clocks being within {@link clockToleranceMs} of each other.
 * @throws {TrustError} ENVELOPE_NOT_YET_VALID, ENVELOPE_EXPIRED.
 */
export function checkTime(claims: { readonly iat: number; readonly exp: number }, atMs: number, what: string): void {
  if (claims.iat * 1000 > atMs + clockToleranceMs) {
    throw refusal("ENVELOPE_NOT_YET_VALID", `${what} was issued in the future.`, "Compare the two hubs' clocks.");
  }
  if (claims.exp * 1000 + clockToleranceMs <= atMs) {
    throw refusal("ENVELOPE_EXPIRED", `${what} has expired.`, "Sign a new one; if it is new, compare the clocks.");
  }
}

/** SHA-256 of a token's text, base64url: what `tth` and `prev` hold. */
export function hashToken(token: string): string {
  return encodeBase64Url(sha256(encodeUtf8(token)));
}

/**
 * `a b` for `["a", "b"]`.
 * @throws {TrustError} ENVELOPE_MALFORMED when an entry would not come back as itself.
 */
export function formatScope(scope: readonly string[]): string {
  if (scope.some((entry) => entry === "" || entry.includes(" "))) {
    throw refusal("ENVELOPE_MALFORMED", "A scope entry is empty or has a space in it.");
  }
  return scope.join(" ");
}

/** The tokens of a scope text. */
export function parseScope(text: string): readonly string[] {
  return text === "" ? [] : text.split(" ");
}

/** A refusal with one of the envelope's codes. */
export function refusal(code: TrustErrorCode, message: string, hint?: string): TrustError {
  return new TrustError({ code, message, hint });
}

function checkShape<T>(schema: z.ZodType<T>, payload: unknown, what: string): T {
  const result = schema.safeParse(payload);
  if (result.success) return result.data;
  const place = result.error.issues[0]?.path.map(String).join(".") || "its claims";
  throw refusal("ENVELOPE_MALFORMED", `${what} is malformed at ${place}.`);
}

function checkLifetime(claims: { readonly iat: number; readonly exp: number }, maxMs: number, what: string): void {
  const lifetimeMs = (claims.exp - claims.iat) * 1000;
  if (lifetimeMs <= 0 || lifetimeMs > maxMs) {
    throw refusal("ENVELOPE_LIFETIME", `${what} must live for more than 0 and at most ${maxMs / 1000} seconds.`);
  }
}
