import { encodeBase32, encodeBase64Url } from "@fed/core";
import { createSigner, keyId, type Signer, signManifest, type VerifiedManifest, verifyGenesis } from "@fed/trust";
import type { RevocationEntry, RevocationKind } from "../src/index.js";

export const startMs = 1_800_000_000_000;

/** A cluster of one founder. */
export function createCluster(seed = 1): { manifest: VerifiedManifest; clusterId: string; founder: Signer } {
  const founder = createSigner(new Uint8Array(32).fill(seed));
  const signed = signManifest(
    {
      type: "fed-manifest",
      suite: "ed25519-1",
      cluster: { name: "test", salt: encodeBase64Url(new Uint8Array(16).fill(seed)) },
      version: 1,
      previous: null,
      issuedAt: startMs / 1000,
      expiresAt: startMs / 1000 + 1000,
      authority: { threshold: 1, keys: [{ kid: keyId(founder.publicKey), x: encodeBase64Url(founder.publicKey) }] },
      cas: [],
      members: [],
      relays: [],
    },
    [founder],
  );
  const manifest = verifyGenesis(signed);
  return { manifest, clusterId: manifest.clusterId, founder };
}

export function hubId(number: number): string {
  return encodeBase32(new Uint8Array(16).fill(number));
}

export function entry(kind: RevocationKind, id: string, more: Partial<RevocationEntry> = {}): RevocationEntry {
  return { kind, id, reason: "left", at: startMs / 1000, by: hubId(1), ...more };
}

/** Entries that revoke `count` links, the same ones every time. */
export function links(count: number, from = 0): RevocationEntry[] {
  return Array.from({ length: count }, (_, i) => entry("link", `link-${from + i}`));
}
