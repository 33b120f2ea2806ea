/** The sending side of the hot path: one signature per call, origin assertions made once per operator, roles and scope. */
import { type Clock, type HubId, systemClock } from "@fed/core";
import { checkSize, type Envelope } from "./envelope.js";
import { maxOriginLifetimeMs } from "./envelope-claims.js";
import { signHop } from "./hop.js";
import type { Signer } from "./keys.js";
import { signOrigin } from "./origin.js";

/** An origin assertion is replaced when less than this is left of its life, so that no call meets a dying one. */
const refreshBeforeMs = 60_000;
const maxOrigins = 1024;

/** What {@link createEnvelopeSigner} needs. */
export interface EnvelopeSignerOptions {
  /** Holds the leaf key of this hub. */
  readonly signer: Signer;
  /** This hub. */
  readonly hubId: HubId;
  /** SHA-256 of this hub's current leaf, base64url; asked for each call, because leaves are renewed. */
  readonly thumbprint: () => string;
  /** Cluster id, or link id for calls over a link. */
  readonly audience: string;
  /** Default the machine's own. */
  readonly clock?: Clock;
}

/** One call to be signed for. */
export interface SignRequest {
  /** `<name>@<this hub>`. Not used when forwarding. */
  readonly operator: string;
  /** Not used when forwarding. */
  readonly roles: readonly string[];
  /** When forwarding: part of the incoming scope. */
  readonly scope: readonly string[];
  /** The receiving hub. */
  readonly to: HubId;
  /** The receiver's boot nonce. */
  readonly epoch: string;
  /** SHA-256 of the request body, 32 bytes. */
  readonly bodyDigest: Uint8Array;
  /** The verified envelope the call came with, when it is forwarded. */
  readonly incoming?: Envelope | undefined;
}

/** What {@link createEnvelopeSigner} makes. */
export interface EnvelopeSigner {
  /**
   * The envelope of one call.
   * @throws {TrustError} ENVELOPE_MALFORMED, PRINCIPAL_MALFORMED, FOREIGN_OPERATOR, TOO_MANY_HOPS, ENVELOPE_TOO_LARGE.
   */
  sign(request: SignRequest): Envelope;
  /** Forgets the origin assertions made so far: when an operator's rights are taken away. */
  purge(): void;
}

/** A signer for calls of this hub's operators, and for calls it passes on. */
export function createEnvelopeSigner(options: EnvelopeSignerOptions): EnvelopeSigner {
  const { signer, hubId, thumbprint, audience, clock = systemClock } = options;
  const origins = new Map<string, { readonly token: string; readonly issuedAtMs: number }>();

  function originFor({ operator, roles, scope }: SignRequest, nowMs: number): string {
    const key = JSON.stringify([operator, roles, scope]);
    const known = origins.get(key);
    const ageMs = known ? nowMs - known.issuedAtMs : Number.NaN;
    if (known && ageMs >= 0 && ageMs <= maxOriginLifetimeMs - refreshBeforeMs) return known.token;
    const token = signOrigin(signer, { homeHub: hubId, operator, audience, scope, roles, nowMs });
    if (!known && origins.size >= maxOrigins) origins.delete(origins.keys().next().value!);
    origins.set(key, { token, issuedAtMs: nowMs });
    return token;
  }

  return {
    sign(request) {
      const { to, epoch, bodyDigest, scope, incoming } = request;
      const nowMs = clock.nowMs();
      const via = incoming ? [...(incoming.via ?? []), incoming.hop] : [];
      const origin = incoming?.origin ?? originFor(request, nowMs);
      const hop = signHop(signer, {
        from: hubId,
        to,
        origin,
        previousHop: incoming?.hop,
        bodyDigest,
        thumbprint: thumbprint(),
        epoch,
        hop: via.length + 1,
        scope,
        nowMs,
      });
      const envelope = { origin, hop, ...(via.length > 0 && { via }) };
      checkSize(envelope, via);
      return envelope;
    },
    purge: () => origins.clear(),
  };
}
