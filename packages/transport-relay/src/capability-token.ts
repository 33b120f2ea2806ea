/**
 * Capability tokens: what lets a hub or a guest use a relay. docs/spec/relay.md §2.
 *
 * Compact JWS (RFC 7515), `alg: Ed25519` (RFC 9864), `typ: fed-relay+jwt`. Any JOSE library can make and read them.
 */

import { concatBytes, decodeBase64Url, decodeUtf8, encodeBase64Url, encodeUtf8, parseJson } from "@fed/core";
import { signEd25519, verifyEd25519 } from "#relay-ed25519";
import { RelayError, type RelayErrorCode } from "./errors.js";
import { routeIdBytes } from "./frame.js";
import { clusterTag } from "./relay-keys.js";

/** Largest token, bytes. */
export const maxTokenBytes = 1024;
/** Longest life of a token. */
export const maxTokenLifeSeconds = 86_400;
/** How far a hub's clock may be ahead of the relay's. */
export const tokenClockSkewSeconds = 300;

/** A hub may exchange frames with everybody of its cluster, a guest only with hubs. */
export type RelayClass = "hub" | "guest";

/** What a capability token says. */
export interface CapabilityClaims {
  /** The relay's origin, e.g. `wss://relay.example`. */
  readonly audience: string;
  /** The cluster's tag; must be that of the key that signed. */
  readonly tag: string;
  /** The route id granted, 16 bytes. */
  readonly route: Uint8Array;
  /** Ed25519 key whose possession the holder must prove, 32 bytes. */
  readonly holderKey: Uint8Array;
  readonly class: RelayClass;
  /** Unix seconds. */
  readonly notBefore: number;
  /** Unix seconds; at most 24 h after `notBefore`. */
  readonly expires: number;
}

const header = encodeBase64Url(encodeUtf8('{"alg":"Ed25519","typ":"fed-relay+jwt"}'));

/** A token with `claims`, signed by `sign` (an Ed25519 signature over the bytes it is given). */
export function signCapabilityToken(claims: CapabilityClaims, sign: (bytes: Uint8Array) => Uint8Array): string {
  const payload = {
    aud: claims.audience,
    ct: claims.tag,
    rt: encodeBase64Url(claims.route),
    cls: claims.class,
    cnf: { jwk: { kty: "OKP", crv: "Ed25519", x: encodeBase64Url(claims.holderKey) } },
    nbf: claims.notBefore,
    exp: claims.expires,
  };
  const input = `${header}.${encodeBase64Url(encodeUtf8(JSON.stringify(payload)))}`;
  return `${input}.${encodeBase64Url(sign(encodeUtf8(input)))}`;
}

/** The signer that {@link signCapabilityToken} wants, from an Ed25519 seed. */
export function seedSigner(seed: Uint8Array): (bytes: Uint8Array) => Uint8Array {
  return (bytes) => signEd25519(seed, bytes);
}

/** What {@link verifyCapabilityToken} checks against. */
export interface TokenCheck {
  /** Ed25519 public keys, 32 bytes each. None: nobody is admitted. */
  readonly admissionKeys: readonly Uint8Array[];
  /** This relay's origin; several when it has several names. */
  readonly origins: readonly string[];
  readonly atMs: number;
}

/**
 * The claims of a token that one of the admission keys signed for this relay and that is valid now.
 * @throws {RelayError} TOKEN_INVALID when it is malformed, too large, too long-lived or badly signed; TOKEN_KEY_UNKNOWN when no
 * admission key stands for its cluster; TOKEN_AUDIENCE; TOKEN_EXPIRED, also when it is not valid yet.
 */
export function verifyCapabilityToken(token: Uint8Array, check: TokenCheck): CapabilityClaims {
  const { claims, input, signature } = parseToken(token);
  const key = check.admissionKeys.find((candidate) => clusterTag(candidate) === claims.tag);
  if (key === undefined) throw refused("TOKEN_KEY_UNKNOWN", "The relay does not know this cluster.");
  if (!verifyEd25519(key, signature, input)) throw refused("TOKEN_INVALID", "The token's signature does not verify.");
  if (!check.origins.includes(claims.audience)) throw refused("TOKEN_AUDIENCE", "The token is for another relay.");
  const nowSeconds = Math.floor(check.atMs / 1000);
  if (claims.expires - claims.notBefore > maxTokenLifeSeconds) {
    throw refused("TOKEN_INVALID", "The token lives longer than 24 hours.");
  }
  if (claims.expires <= nowSeconds) throw refused("TOKEN_EXPIRED", "The token has expired.");
  if (claims.notBefore > nowSeconds + tokenClockSkewSeconds) {
    throw refused("TOKEN_EXPIRED", "The token is not valid yet.");
  }
  return claims;
}

/** What a token claims, for its holder: nothing is verified. @throws {RelayError} TOKEN_INVALID. */
export function readCapabilityToken(token: Uint8Array): CapabilityClaims {
  return parseToken(token).claims;
}

function parseToken(token: Uint8Array): { claims: CapabilityClaims; input: Uint8Array; signature: Uint8Array } {
  if (token.length > maxTokenBytes) throw refused("TOKEN_INVALID", "The token is too large.");
  try {
    const [head, payload, signature, ...rest] = decodeUtf8(token).split(".");
    if (head !== header || payload === undefined || signature === undefined || rest.length > 0) {
      throw refused("TOKEN_INVALID", "Not a capability token.");
    }
    const claims = readClaims(parseJson(decodeBase64Url(payload), { maxBytes: maxTokenBytes, maxDepth: 4 }));
    return { claims, input: encodeUtf8(`${head}.${payload}`), signature: decodeBase64Url(signature) };
  } catch (cause) {
    if (cause instanceof RelayError) throw cause;
    throw refused("TOKEN_INVALID", "Not a capability token.", cause);
  }
}

function readClaims(value: unknown): CapabilityClaims {
  const claims = members(value, ["aud", "ct", "rt", "cls", "cnf", "nbf", "exp"]);
  const jwk = members(members(claims.cnf, ["jwk"]).jwk, ["kty", "crv", "x"]);
  const { aud, ct, cls, nbf, exp } = claims;
  const route = decodeBase64Url(text(claims.rt));
  const holderKey = decodeBase64Url(text(jwk.x));
  if (jwk.kty !== "OKP" || jwk.crv !== "Ed25519" || holderKey.length !== 32 || route.length !== routeIdBytes) {
    throw refused("TOKEN_INVALID", "The token's key or route is not of the right kind.");
  }
  if ((cls !== "hub" && cls !== "guest") || !isSeconds(nbf) || !isSeconds(exp)) {
    throw refused("TOKEN_INVALID", "The token's class or times are not of the right kind.");
  }
  return { audience: text(aud), tag: text(ct), route, holderKey, class: cls, notBefore: nbf, expires: exp };
}

function members(value: unknown, names: readonly string[]): Record<string, unknown> {
  const object = typeof value === "object" && value !== null && !Array.isArray(value) ? value : {};
  const keys = Object.keys(object);
  if (keys.length !== names.length || !names.every((name) => keys.includes(name))) {
    throw refused("TOKEN_INVALID", "The token's claims are not the expected ones.");
  }
  return object as Record<string, unknown>;
}

function text(value: unknown): string {
  if (typeof value !== "string") throw refused("TOKEN_INVALID", "A claim of the token is not text.");
  return value;
}

function isSeconds(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

function refused(code: RelayErrorCode, message: string, cause?: unknown): RelayError {
  return new RelayError({ code, message, cause });
}

/** What the holder signs to prove possession of the key in its token: bound to this relay, cluster, route and challenge. */
export function challengeInput(origin: string, tag: string, route: Uint8Array, challenge: Uint8Array): Uint8Array {
  const zero = Uint8Array.of(0);
  return concatBytes(
    encodeUtf8("fed-relay-challenge/1"),
    zero,
    encodeUtf8(origin),
    zero,
    encodeUtf8(tag),
    zero,
    route,
    challenge,
  );
}
