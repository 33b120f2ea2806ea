import { createPublicKey } from "node:crypto";
import { decodeBase64Url, encodeBase64Url } from "@fed/core";
import { expectCode } from "@fed/core/testing";
import { type GeneralJWSInput, generalVerify } from "jose";
import { describe, expect, it } from "vitest";
import {
  acceptLeaf,
  assertFresh,
  createCa,
  issueLeaf,
  type Manifest,
  memberOf,
  parseManifest,
  signManifest,
  verifyChain,
  verifyGenesis,
  verifyNext,
} from "../src/index.js";
import { caKey, hubId, hubKey, otherCaKey, otherHubId } from "./certificate-world.js";
import { atMs, clusterId, deputy, founder, genesis, member, populated } from "./manifest-cases.js";

const first = signManifest(genesis, [founder.signer]);
const verified = verifyChain([first, signManifest(populated, [founder.signer, deputy.signer])], { clusterId, atMs });

describe("manifest", () => {
  it("is what jose verifies", async () => {
    const key = createPublicKey({
      key: { kty: "OKP", crv: "Ed25519", x: encodeBase64Url(deputy.publicKey) },
      format: "jwk",
    });
    const { payload } = await generalVerify(verified.signed as GeneralJWSInput, key, { algorithms: ["Ed25519"] });
    expect(JSON.parse(new TextDecoder().decode(payload))).toEqual(populated);
  });

  it("gathers signatures made apart", () => {
    const apart = [founder, deputy].map(({ signer }) => signManifest(populated, [signer]));
    const joined = { payload: apart[0]!.payload, signatures: apart.flatMap(({ signatures }) => signatures) };
    expect(verifyNext(verifyGenesis(first), joined, { atMs }).hash).toBe(verified.hash);
  });

  it("is not signed unless it holds together", async () => {
    const sign = (change: object) => () => signManifest({ ...populated, ...change } as Manifest, [founder.signer]);
    await expectCode(sign({ version: 0 }), "MANIFEST_MALFORMED");
    await expectCode(sign({ members: [member, member] }), "MANIFEST_INVALID");
    await expectCode(sign({ authority: { ...populated.authority, threshold: 4 } }), "MANIFEST_BAD_THRESHOLD");
  });

  it("is fresh until it expires", async () => {
    const end = populated.expiresAt * 1000;
    assertFresh(verified, end - 1);
    await expectCode(() => assertFresh(verified, end), "MANIFEST_EXPIRED");
  });

  it("accepts a genesis without a clock, and with one only if it is not from the future", async () => {
    const earlier = genesis.issuedAt * 1000 - 300_000;
    expect(verifyGenesis(first).clusterId).toBe(clusterId);
    expect(verifyGenesis(first, { atMs: earlier }).manifest).toEqual(genesis);
    await expectCode(() => verifyGenesis(first, { atMs: earlier - 1 }), "MANIFEST_NOT_YET_VALID");
  });

  it("refuses a payload over 256 KiB before it reads it", async () => {
    const large = { ...first, payload: encodeBase64Url(new Uint8Array(256 * 1024 + 1)) };
    await expectCode(() => verifyGenesis(large), "JWS_TOO_LARGE");
    await expectCode(() => parseManifest(new Uint8Array(256 * 1024 + 1)), "MANIFEST_TOO_LARGE");
  });
});

describe("acceptLeaf", () => {
  const ca = decodeBase64Url(populated.cas[0]!.certificate);
  const leafFor = (change: object = {}) =>
    issueLeaf({ ca, caKey: caKey.signer, publicKey: hubKey.publicKey, clusterId, hubId, nowMs: atMs, ...change });

  it("finds the member a leaf belongs to", async () => {
    const accepted = acceptLeaf(await leafFor(), verified, { atMs });
    expect(accepted.member).toEqual(member);
    expect(accepted.leaf.spki).toBe(member.spki);
    expect(memberOf(populated, hubId)).toEqual(member);
    expect(memberOf(populated, otherHubId)).toBeUndefined();
  });

  it("refuses what a thief of the CA key could issue", async () => {
    const stranger = await leafFor({ hubId: otherHubId, publicKey: otherCaKey.publicKey });
    const impostor = await leafFor({ publicKey: otherCaKey.publicKey });
    const renamed = await leafFor({ hubId: otherHubId });
    for (const leaf of [stranger, impostor, renamed]) {
      await expectCode(() => acceptLeaf(leaf, verified, { atMs }), "LEAF_NOT_IN_MANIFEST");
    }
  });

  it("refuses a CA that the manifest does not name, a leaf that has ended, and a manifest that has expired", async () => {
    const other = await createCa({ clusterId, key: otherCaKey, nowMs: atMs });
    const foreign = await leafFor({ ca: other, caKey: otherCaKey.signer });
    await expectCode(() => acceptLeaf(foreign, verified, { atMs }), "LEAF_UNTRUSTED");
    const leaf = await leafFor();
    await expectCode(() => acceptLeaf(leaf, verified, { atMs: atMs + 31 * 86_400_000 }), "LEAF_EXPIRED");
    await expectCode(() => acceptLeaf(leaf, verified, { atMs: populated.expiresAt * 1000 }), "MANIFEST_EXPIRED");
  });

  it("trusts announced and retired CAs alike, so that a rotation drops nobody", async () => {
    const leaf = await leafFor();
    for (const status of ["announced", "active", "retired"] as const) {
      const manifest: Manifest = { ...populated, cas: [{ ...populated.cas[0]!, status }] };
      const chain = [first, signManifest(manifest, [founder.signer, deputy.signer])];
      expect(acceptLeaf(leaf, verifyChain(chain, { atMs }), { atMs }).member).toEqual(member);
    }
  });
});
