/** Hop proofs: one per forward, signed by the forwarding hub's leaf key, good for one body at one receiver once. */
import { encodeBase64Url, type HubId, randomBytes } from "@fed/core";
import { checkHop, formatScope, type HopClaims, hashToken, hopType, maxHopLifetimeMs } from "./envelope-claims.js";
import { signCompact } from "./jws.js";
import type { Signer } from "./keys.js";

/** What {@link signHop} states. */
export interface HopStatement {
  /** The signing hub. */
  readonly from: HubId;
  readonly to: HubId;
  /** The origin assertion that goes with it. */
  readonly origin: string;
  /** The incoming hop proof; only when `hop` is above 1. */
  readonly previousHop?: string | undefined;
  /** SHA-256 of the request body, 32 bytes. Whatever decides the call's effect must be in that body. */
  readonly bodyDigest: Uint8Array;
  /** SHA-256 of the signing hub's leaf, base64url. */
  readonly thumbprint: string;
  /** The receiver's boot nonce, base64url of 16 bytes. */
  readonly epoch: string;
  /** 1..4. */
  readonly hop: number;
  /** Part of the origin's scope, and of the previous hop's. */
  readonly scope: readonly string[];
  /** 16 bytes as base64url. Default random. */
  readonly jti?: string;
  readonly nowMs: number;
  /** Whole seconds, at most 60,000, the default. */
  readonly lifetimeMs?: number;
}

/**
 * A hop proof under the forwarding hub's leaf key.
 * @throws {TrustError} ENVELOPE_MALFORMED, ENVELOPE_LIFETIME, TOO_MANY_HOPS, BROKEN_CHAIN.
 */
export function signHop(signer: Signer, statement: HopStatement): string {
  const iat = Math.floor(statement.nowMs / 1000);
  const claims: HopClaims = {
    iss: statement.from,
    aud: statement.to,
    jti: statement.jti ?? encodeBase64Url(randomBytes(16)),
    iat,
    exp: iat + Math.floor((statement.lifetimeMs ?? maxHopLifetimeMs) / 1000),
    tth: hashToken(statement.origin),
    ...(statement.previousHop !== undefined && { prev: hashToken(statement.previousHop) }),
    cdg: encodeBase64Url(statement.bodyDigest),
    cnf: { "x5t#S256": statement.thumbprint },
    epoch: statement.epoch,
    hop: statement.hop,
    scope: formatScope(statement.scope),
  };
  return signCompact(hopType, checkHop(claims), signer);
}
