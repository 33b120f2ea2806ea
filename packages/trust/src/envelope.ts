/**
 * The envelope of a cross-hub call (docs/spec/envelope.md): who asks, under which rights, through which hubs, for which
 * body. It verifies only at the receiver it was made for, over the connection of the hub that sent it, once.
 */
import { type ClusterId, encodeBase64Url, type HubId, type PeerIdentity } from "@fed/core";
import {
  checkTime,
  clockToleranceMs,
  type HopClaims,
  hashToken,
  maxEnvelopeBytes,
  maxHops,
  parseScope,
  type ReadToken,
  readHop,
  refusal,
} from "./envelope-claims.js";
import { verifyCompact } from "./jws.js";
import { type Origin, type OriginCache, readOriginToken } from "./origin.js";
import type { ReplayGuard } from "./replay-guard.js";

/** What travels with a call. */
export interface Envelope {
  /** The origin assertion, compact JWS. */
  readonly origin: string;
  /** The sender's hop proof, compact JWS. */
  readonly hop: string;
  /** The hop proofs before it, first one first; at most 3. */
  readonly via?: readonly string[] | undefined;
}

/** What the receiver knows when it judges an envelope. */
export interface EnvelopeContext {
  /** This hub. */
  readonly self: HubId;
  /** This hub's boot nonce, base64url of 16 bytes. */
  readonly epoch: string;
  /** The authenticated other end of the connection. */
  readonly peer: PeerIdentity;
  /** The cluster the call belongs to, or the link it came over. */
  readonly audience: ClusterId | string;
  /** SHA-256 of the request body as received, 32 bytes. */
  readonly bodyDigest: Uint8Array;
  readonly atMs: number;
  /** The leaf key (32 bytes) of a hub that is trusted now; undefined for every other. */
  publicKeyOf(hubId: HubId): Uint8Array | undefined;
  readonly replay: ReplayGuard;
  /** Saves a signature check per call; see {@link OriginCache}. */
  readonly origins?: OriginCache | undefined;
}

/** An envelope whose every statement was checked. */
export interface VerifiedEnvelope {
  /** `<name>@<homeHub>`. */
  readonly operator: string;
  readonly homeHub: HubId;
  /** The hub that sent it to us. */
  readonly forwarder: HubId;
  /** Every hub named, the home hub first: each must be unrevoked. */
  readonly hubs: readonly HubId[];
  readonly roles: readonly string[];
  /** What is left of the operator's scope after all hops. */
  readonly scope: readonly string[];
  /** Id of the origin assertion, the same in every call made under it. */
  readonly txn: string;
  /** Id of the hop proof, new in every call. */
  readonly jti: string;
  /** How often the call was forwarded, 1..4. */
  readonly hop: number;
  /** When the first of the tokens expires. */
  readonly expiresAtMs: number;
}

/**
 * Judges an envelope, cheap checks first, and uses it up: a second verification is refused.
 * Revocation and policy come after; both need what this returns.
 * @throws {TrustError} ENVELOPE_TOO_LARGE; JWS_MALFORMED, JWS_WRONG_TYPE, JWS_UNSUPPORTED, ENVELOPE_MALFORMED,
 *   PRINCIPAL_MALFORMED for tokens that cannot be read; WRONG_SENDER when another hub or leaf made the hop proof;
 *   WRONG_AUDIENCE, WRONG_EPOCH when it is for another hub, cluster or boot; ENVELOPE_LIFETIME, ENVELOPE_NOT_YET_VALID,
 *   ENVELOPE_EXPIRED; TOO_MANY_HOPS, BROKEN_CHAIN when the hops do not join up; FOREIGN_OPERATOR, ORIGIN_MISMATCH,
 *   BODY_MISMATCH, SCOPE_WIDENED when tokens contradict each other or the body; UNKNOWN_HUB, BAD_SIGNATURE;
 *   REPLAYED, REPLAY_GUARD_FULL.
 */
export function verifyEnvelope(envelope: Envelope, context: EnvelopeContext): VerifiedEnvelope {
  const via = envelope?.via ?? [];
  checkSize(envelope, via);
  const { atMs } = context;

  const last = readHop(envelope.hop);
  checkReceiver(last.claims, context);
  const chain = [...via.map(readHop), last];
  const origin = context.origins?.read(envelope.origin) ?? readOriginToken(envelope.origin);
  checkOriginFor(origin, context);
  checkChain(chain, [...via, envelope.hop], origin, context);

  for (const { jws, claims } of [...chain].reverse()) verifyCompact(jws, keyOf(claims.iss, context));
  origin.verify(keyOf(origin.claims.iss, context));

  // An earlier proof is used up too: else a forwarder could turn one call into many.
  for (const { claims } of [...chain].reverse()) {
    context.replay.admit(claims.iss, claims.jti, claims.exp * 1000 + clockToleranceMs, atMs);
  }

  const { iss, jti, hop, scope } = last.claims;
  return {
    operator: origin.claims.sub,
    homeHub: origin.claims.iss,
    forwarder: iss,
    hubs: [...new Set([origin.claims.iss, ...chain.map(({ claims }) => claims.iss)])],
    roles: origin.claims.roles,
    scope: parseScope(scope),
    txn: origin.claims.txn,
    jti,
    hop,
    expiresAtMs: Math.min(origin.claims.exp, ...chain.map(({ claims }) => claims.exp)) * 1000,
  };
}

/**
 * @throws {TrustError} ENVELOPE_TOO_LARGE, TOO_MANY_HOPS, ENVELOPE_MALFORMED when a token is not text.
 */
export function checkSize(envelope: Envelope, via: readonly string[]): void {
  if (!Array.isArray(via)) throw refusal("ENVELOPE_MALFORMED", "The earlier hop proofs are not a list.");
  if (via.length >= maxHops) throw refusal("TOO_MANY_HOPS", `The call was forwarded more than ${maxHops} times.`);
  let size = 0;
  for (const token of [envelope?.origin, envelope?.hop, ...via]) {
    if (typeof token !== "string") throw refusal("ENVELOPE_MALFORMED", "A token of the envelope is not text.");
    size += token.length;
  }
  if (size > maxEnvelopeBytes) {
    throw refusal("ENVELOPE_TOO_LARGE", `An envelope of ${size} bytes; at most ${maxEnvelopeBytes} are read.`);
  }
}

function checkReceiver(hop: HopClaims, { self, epoch, peer, atMs }: EnvelopeContext): void {
  if (hop.iss !== peer.hubId || hop.cnf["x5t#S256"] !== peer.thumbprint) {
    throw refusal("WRONG_SENDER", `The hop proof was not made for the leaf by which hub ${peer.hubId} is connected.`);
  }
  if (hop.aud !== self) throw refusal("WRONG_AUDIENCE", "The hop proof is for another hub.");
  checkTime(hop, atMs, "The hop proof");
  if (hop.epoch !== epoch) {
    throw refusal("WRONG_EPOCH", "The hop proof is for an earlier boot of this hub.", "Reconnect and sign a new one.");
  }
}

function checkOriginFor(origin: Origin, { audience, atMs }: EnvelopeContext): void {
  if (origin.claims.aud !== audience) {
    throw refusal("WRONG_AUDIENCE", "The origin assertion is for another cluster or link.");
  }
  checkTime(origin.claims, atMs, "The origin assertion");
}

/** Each hop hands on what it was handed: same origin, same body, from its receiver, no more scope than before. */
function checkChain(
  chain: readonly ReadToken<HopClaims>[],
  tokens: readonly string[],
  origin: Origin,
  { bodyDigest, atMs }: EnvelopeContext,
): void {
  const cdg = encodeBase64Url(bodyDigest);
  let holder = origin.claims.iss;
  let scope = new Set(parseScope(origin.claims.scope));
  chain.forEach(({ claims }, index) => {
    if (claims.tth !== origin.hash) throw refusal("ORIGIN_MISMATCH", "A hop proof is for another origin assertion.");
    if (claims.cdg !== cdg) throw refusal("BODY_MISMATCH", "A hop proof is for another body than the one received.");
    const previous = index === 0 ? undefined : hashToken(tokens[index - 1]!);
    if (claims.hop !== index + 1 || claims.prev !== previous || claims.iss !== holder) {
      throw refusal("BROKEN_CHAIN", "The hop proofs do not lead from the operator's home hub to the sender.");
    }
    checkTime(claims, atMs, "A hop proof");
    const narrower = parseScope(claims.scope);
    if (!narrower.every((token) => scope.has(token))) {
      throw refusal("SCOPE_WIDENED", "A hop proof claims more scope than was handed to its hub.");
    }
    scope = new Set(narrower);
    holder = claims.aud;
  });
}

function keyOf(hubId: HubId, context: EnvelopeContext): Uint8Array {
  const publicKey = context.publicKeyOf(hubId);
  if (publicKey) return publicKey;
  throw refusal(
    "UNKNOWN_HUB",
    `Hub ${hubId} is named in the envelope and no member.`,
    "Fetch the newest manifest, then ask again.",
  );
}
