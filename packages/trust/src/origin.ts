/** Origin assertions: made by an operator's home hub, passed on unmodified, and used again while they live. */
import { encodeBase64Url, equalBytes, type HubId, randomBytes } from "@fed/core";
import {
  checkOrigin,
  formatScope,
  hashToken,
  maxOriginLifetimeMs,
  type OriginClaims,
  originType,
  readOrigin,
} from "./envelope-claims.js";
import { signCompact, verifyCompact } from "./jws.js";
import type { Signer } from "./keys.js";

/** What {@link signOrigin} states. */
export interface OriginStatement {
  /** The signing hub. */
  readonly homeHub: HubId;
  /** `<name>@<homeHub>`. */
  readonly operator: string;
  /** Cluster id or link id. */
  readonly audience: string;
  /** At most 32 tokens of 64 printable characters without space, `"` and `\`. */
  readonly scope: readonly string[];
  /** At most 32 of 1..64 characters of `a-z 0-9 . _ -`, the first a letter or digit. */
  readonly roles: readonly string[];
  /** 16 bytes as base64url. Default random. */
  readonly txn?: string;
  readonly nowMs: number;
  /** Whole seconds, at most 300,000, the default. */
  readonly lifetimeMs?: number;
}

/**
 * An origin assertion under the home hub's leaf key.
 * @throws {TrustError} ENVELOPE_MALFORMED, ENVELOPE_LIFETIME, PRINCIPAL_MALFORMED, FOREIGN_OPERATOR.
 */
export function signOrigin(signer: Signer, statement: OriginStatement): string {
  const iat = Math.floor(statement.nowMs / 1000);
  const claims: OriginClaims = {
    iss: statement.homeHub,
    sub: statement.operator,
    aud: statement.audience,
    txn: statement.txn ?? encodeBase64Url(randomBytes(16)),
    iat,
    exp: iat + Math.floor((statement.lifetimeMs ?? maxOriginLifetimeMs) / 1000),
    scope: formatScope(statement.scope),
    roles: statement.roles,
  };
  return signCompact(originType, checkOrigin(claims), signer);
}

/** An origin assertion as it was read. */
export interface Origin {
  readonly claims: OriginClaims;
  /** SHA-256 of the text, base64url. */
  readonly hash: string;
  /** Returns if the assertion was signed by `publicKey`. @throws {TrustError} BAD_SIGNATURE. */
  verify(publicKey: Uint8Array): void;
}

/**
 * Origin assertions whose signatures were found good, by their exact text. One serves many calls, so remembering it saves
 * a signature check per call. Expiry, audience and the home hub's current key are still checked each time.
 */
export interface OriginCache {
  /** Reads an assertion; its `verify` costs nothing when it was good under the same key before. */
  read(token: string): Origin;
  /** Forgets everything: on revocation, or when keys change. */
  purge(): void;
  readonly size: number;
}

/** A cache of at most `max` assertions, default 1024; the oldest leaves first. */
export function createOriginCache(options: { readonly max?: number } = {}): OriginCache {
  const max = options.max ?? 1024;
  const known = new Map<string, Origin>();
  return {
    read(token) {
      const cached = known.get(token);
      if (cached) return cached;
      const origin = readOriginToken(token);
      return {
        ...origin,
        verify(publicKey) {
          origin.verify(publicKey);
          if (known.size >= max) known.delete(known.keys().next().value!);
          known.set(token, verifiedUnder(origin, publicKey));
        },
      };
    },
    purge: () => known.clear(),
    get size() {
      return known.size;
    },
  };
}

/**
 * Reads an origin assertion without a cache.
 * @throws {TrustError} JWS_*, ENVELOPE_MALFORMED, ENVELOPE_LIFETIME, PRINCIPAL_MALFORMED, FOREIGN_OPERATOR.
 */
export function readOriginToken(token: string): Origin {
  const { jws, claims } = readOrigin(token);
  return { claims, hash: hashToken(token), verify: (publicKey) => verifyCompact(jws, publicKey) };
}

/** Good under `key`; under any other it is checked again. */
function verifiedUnder(origin: Origin, key: Uint8Array): Origin {
  const known = key.slice();
  return {
    ...origin,
    verify(publicKey) {
      if (!equalBytes(known, publicKey)) origin.verify(publicKey);
    },
  };
}
