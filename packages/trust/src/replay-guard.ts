/**
 * Remembers every hop proof that was honoured until it can no longer be honoured, so that none is honoured twice.
 *
 * Keyed by the signed (`iss`, `jti`) and never by token text: one signature can be spelled in several ways. It refuses a
 * peer rather than forget early. A restart forgets everything; the boot epoch named in each hop proof covers that.
 */
import { TrustError } from "./errors.js";

/**
 * Expiries are grouped by ten seconds, so that forgetting drops whole sets and admitting looks at no more than
 * lifetime / 10 s of them.
 */
const groupMs = 10_000;

/** Options of {@link createReplayGuard}. */
export interface ReplayGuardOptions {
  /**
   * Most proofs remembered per issuer. Default 500,000: more than one core can verify in the 75 seconds for which a
   * proof is remembered, so that an honest peer is never refused and the processor, not memory, is what runs out first.
   */
  readonly perPeerLimit?: number;
  /** Most issuers remembered at a time. Default 1024. */
  readonly peerLimit?: number;
}

/** What {@link createReplayGuard} makes. */
export interface ReplayGuard {
  /**
   * Lets (`issuer`, `jti`) pass once. To be called after the signatures and before the effect; check and record are one
   * step. `expiresAtMs` is the last moment at which the caller would still honour the proof, clock tolerance included.
   * @throws {TrustError} REPLAYED when it has passed before; REPLAY_GUARD_FULL when this issuer has too many live ones;
   *   ENVELOPE_EXPIRED when it expired so long ago by the latest time seen that its like have been forgotten.
   */
  admit(issuer: string, jti: string, expiresAtMs: number, atMs: number): void;
  /** How many proofs are remembered. */
  readonly size: number;
}

/** Live proofs of one issuer, by expiry group. */
interface Issuer {
  readonly groups: Map<number, Set<string>>;
  size: number;
}

/** A guard that remembers nothing yet. */
export function createReplayGuard(options: ReplayGuardOptions = {}): ReplayGuard {
  const perPeerLimit = options.perPeerLimit ?? 500_000;
  const peerLimit = options.peerLimit ?? 1024;
  const issuers = new Map<string, Issuer>();
  let sweptAt = Number.NEGATIVE_INFINITY;
  // The newest group ever dropped. If the wall clock is set back, its proofs look alive again: they stay refused.
  let forgotten = Number.NEGATIVE_INFINITY;

  function sweep(atMs: number): void {
    const current = Math.floor(atMs / groupMs);
    if (current <= sweptAt) return;
    sweptAt = current;
    for (const [name, issuer] of issuers) {
      for (const [group, seen] of issuer.groups) {
        if (group >= current) continue;
        issuer.groups.delete(group);
        issuer.size -= seen.size;
        forgotten = Math.max(forgotten, group);
      }
      if (issuer.size === 0) issuers.delete(name);
    }
  }

  return {
    admit(issuerName, jti, expiresAtMs, atMs) {
      sweep(atMs);
      const group = Math.floor(expiresAtMs / groupMs);
      if (group <= forgotten) throw expired();
      const issuer = issuers.get(issuerName) ?? { groups: new Map<number, Set<string>>(), size: 0 };
      for (const seen of issuer.groups.values()) if (seen.has(jti)) throw replayed(issuerName);
      if (issuer.size >= perPeerLimit || (issuer.size === 0 && issuers.size >= peerLimit)) throw full(issuerName);
      const seen = issuer.groups.get(group);
      if (seen) seen.add(jti);
      else issuer.groups.set(group, new Set([jti]));
      issuer.size++;
      issuers.set(issuerName, issuer);
    },
    get size() {
      let size = 0;
      for (const issuer of issuers.values()) size += issuer.size;
      return size;
    },
  };
}

function expired(): TrustError {
  return new TrustError({
    code: "ENVELOPE_EXPIRED",
    message: "The hop proof expired before the time this hub last saw.",
    hint: "This hub's clock was set back; new proofs pass within a minute.",
    retryable: true,
  });
}

function replayed(issuer: string): TrustError {
  return new TrustError({
    code: "REPLAYED",
    message: `A hop proof of hub ${issuer} was presented a second time.`,
    hint: "Sign a new hop proof for each call.",
  });
}

function full(issuer: string): TrustError {
  return new TrustError({
    code: "REPLAY_GUARD_FULL",
    message: `Hub ${issuer} has more live hop proofs here than are remembered.`,
    hint: "Send fewer calls per second, or sign hop proofs with a shorter lifetime.",
    retryable: true,
  });
}
