import { encodeBase64Url } from "@fed/core";
import { createTestClock } from "@fed/core/testing";
import { generateNoiseKeyPair } from "@fed/transport-relay";
import {
  createCa,
  createSigner,
  generateKeyPair,
  issueLeaf,
  keyId,
  type Leaf,
  type Manifest,
  signManifest,
  spkiHash,
  verifyGenesis,
  verifyNext,
} from "@fed/trust";
import { describe, expect, it } from "vitest";
import { PeerLeaves } from "../src/cluster/peer-leaves.js";
import { HubError } from "../src/errors.js";

const dayMs = 24 * 60 * 60_000;
const hubId = "aaaaaaaaaaaaaaaaaaaaaaaaaa";

/** One member, whose leaf lives 30 days, at a clock that can be moved. */
async function scene() {
  const clock = createTestClock(Date.UTC(2026, 0, 1));
  const nowMs = clock.nowMs();
  const [authority, caKey, key] = [generateKeyPair(), generateKeyPair(), generateKeyPair()];
  const signers = [createSigner(authority.secretKey)];
  const genesis: Manifest = {
    type: "fed-manifest",
    suite: "ed25519-1",
    cluster: { name: "test", salt: encodeBase64Url(new Uint8Array(16)) },
    version: 1,
    previous: null,
    issuedAt: nowMs / 1000,
    expiresAt: nowMs / 1000 + 365 * 86_400,
    authority: { threshold: 1, keys: [{ kid: keyId(authority.publicKey), x: encodeBase64Url(authority.publicKey) }] },
    cas: [],
    members: [],
    relays: [],
  };
  const first = verifyGenesis(signManifest(genesis, signers), { atMs: nowMs });
  const ca = await createCa({ clusterId: first.clusterId, key: caKey, nowMs });
  const member = {
    hubId,
    name: "pc1",
    roles: [],
    spki: spkiHash(key.publicKey),
    noise: encodeBase64Url(generateNoiseKeyPair().publicKey),
  };
  const next: Manifest = {
    ...genesis,
    version: 2,
    previous: first.hash,
    cas: [{ certificate: encodeBase64Url(ca), status: "active" }],
    members: [member],
  };
  const manifest = verifyNext(first, signManifest(next, signers), { atMs: nowMs });
  const leafAt = (atMs: number) =>
    issueLeaf({
      ca,
      caKey: createSigner(caKey.secretKey),
      publicKey: key.publicKey,
      clusterId: first.clusterId,
      hubId,
      nowMs: atMs,
    });
  const revoked: { spki?: string } = {};
  const leaves = new PeerLeaves({
    manifest: () => manifest,
    clock,
    assertLeaf(leaf: Leaf) {
      if (leaf.spki === revoked.spki) throw new HubError({ code: "UNAUTHENTICATED", message: "revoked" });
    },
  });
  const show = (leaf: Uint8Array) => leaves.authenticate({ kind: "tls", leaf, chain: [] });
  return { clock, leaves, leafAt, show, revoked, publicKey: key.publicKey, spki: member.spki };
}

describe("the key of a peer", () => {
  it("is known once it was proved, and no longer than its leaf is good", async () => {
    const { clock, leaves, leafAt, show, publicKey } = await scene();
    expect(leaves.publicKeyOf(hubId)).toBeUndefined();
    show(await leafAt(clock.nowMs()));
    expect(leaves.publicKeyOf(hubId)).toEqual(publicKey);
    await clock.advance(31 * dayMs);
    expect(leaves.publicKeyOf(hubId)).toBeUndefined();
  });

  it("ends with its revocation", async () => {
    const { clock, leaves, leafAt, show, revoked, spki } = await scene();
    show(await leafAt(clock.nowMs()));
    revoked.spki = spki;
    expect(() => leaves.publicKeyOf(hubId)).toThrow("revoked");
  });

  it("a leaf that is shown again does not take the place of a newer one", async () => {
    const { clock, leaves, leafAt, show } = await scene();
    const old = await leafAt(clock.nowMs());
    const peer = show(old);
    await clock.advance(dayMs);
    const renewed = show(await leafAt(clock.nowMs()));
    show(old);
    expect(leaves.renewed(peer)?.thumbprint).toBe(renewed.thumbprint);
  });
});
