/** The cases of vectors/trust/manifest.json: a good chain of three manifests, and chains that break one rule each. */
import { canonicalJson, encodeBase32, encodeBase64Url, encodeUtf8 } from "@fed/core";
import {
  clusterIdOf,
  type GeneralJws,
  keyId,
  type Manifest,
  type ManifestAuthority,
  type ManifestMember,
  type Signer,
  sha256,
  signGeneral,
  spkiHash,
} from "../src/index.js";
import { caKey, caWith, hubId, hubKey, otherCaKey, otherHubId, type TestKey, testKey } from "./certificate-world.js";

export interface ManifestCase {
  readonly name: string;
  /** Expected code; absent when the chain is to be accepted. */
  readonly code?: string;
  /** Genesis first. */
  readonly chain: readonly unknown[];
  /** Pinned cluster id, when the case pins one. */
  readonly clusterId?: string;
  readonly atMs?: number;
}

export interface ManifestVectors {
  readonly notes: Readonly<Record<string, string>>;
  readonly clusterId: string;
  readonly hash: string;
  readonly atMs: number;
  readonly cases: readonly ManifestCase[];
}

export const founder: TestKey = testKey("the founder");
export const deputy: TestKey = testKey("the first deputy");
export const second: TestKey = testKey("the second deputy");
const stranger = testKey("a stranger");

const issuedAt = 1_800_000_000;
const yearS = 31_536_000;
export const atMs: number = (issuedAt + 3600) * 1000;

const base64url = (seed: string, bytes = 32) => encodeBase64Url(sha256(encodeUtf8(seed)).slice(0, bytes));
const authority = (threshold: number, ...keys: TestKey[]): ManifestAuthority => ({
  threshold,
  keys: keys.map(({ publicKey }) => ({ kid: keyId(publicKey), x: encodeBase64Url(publicKey) })),
});

export const genesis: Manifest = {
  type: "fed-manifest",
  suite: "ed25519-1",
  cluster: { name: "Example", salt: base64url("salt", 16) },
  version: 1,
  previous: null,
  issuedAt,
  expiresAt: issuedAt + yearS,
  authority: authority(1, founder),
  cas: [],
  members: [],
  relays: [],
};

/** Any value, signed as a manifest: what a correct signer would refuse to sign. */
export function forge(value: unknown, ...keys: { signer: Signer }[]): GeneralJws {
  return forgeBytes(canonicalJson(value), ...keys);
}

function forgeBytes(bytes: Uint8Array, ...keys: { signer: Signer }[]): GeneralJws {
  return signGeneral(
    "fed-manifest+json",
    bytes,
    keys.map(({ signer }) => signer),
  );
}

const hashOf = (manifest: Manifest) => encodeBase64Url(sha256(canonicalJson(manifest)));
export const clusterId: string = clusterIdOf(canonicalJson(genesis));
const ca = encodeBase64Url(caWith({ cluster: clusterId }));
const secondCa = encodeBase64Url(caWith({ cluster: clusterId, key: otherCaKey }));

export const member: ManifestMember = {
  hubId,
  name: "pc1",
  roles: ["founder"],
  spki: spkiHash(hubKey.publicKey),
  noise: base64url("noise key"),
};

const otherMember: ManifestMember = {
  hubId: otherHubId,
  name: "pc2",
  roles: [],
  spki: base64url("other spki"),
  noise: base64url("other noise key"),
};

/** Version 2: the founder's CA and hub, and two deputies, two of three. */
export const populated: Manifest = {
  ...genesis,
  version: 2,
  previous: hashOf(genesis),
  issuedAt: issuedAt + 60,
  expiresAt: issuedAt + 60 + yearS,
  authority: authority(2, founder, deputy, second),
  cas: [{ certificate: ca, status: "active" }],
  members: [member],
  relays: [{ url: "wss://relay.example/v1" }],
};

/** Version 3: the founder is lost; the deputies put a new CA in place of its own. */
const recovered: Manifest = {
  ...populated,
  version: 3,
  previous: hashOf(populated),
  issuedAt: issuedAt + 120,
  authority: authority(2, deputy, second),
  cas: [{ certificate: secondCa, status: "active" }],
  members: [member, otherMember],
};

const first = forge(genesis, founder);
const next = forge(populated, founder, deputy);

export function manifestVectors(): ManifestVectors {
  return {
    notes: {
      use: "Verify each case's chain, genesis first, at `atMs`, pinned to the case's `clusterId` if it has one; it is refused with `code`, or its last manifest is accepted.",
      encodings:
        "Manifests are JWS general JSON serialization over RFC 8785 bytes. Times are Unix milliseconds; inside a manifest they are seconds.",
    },
    clusterId,
    hash: hashOf(recovered),
    atMs,
    cases: [...valid(), ...genesisCases(), ...successors(), ...contents(), ...signatures()],
  };
}

function valid(): ManifestCase[] {
  return [
    {
      name: "a chain of three in which two deputies replace a lost founder",
      chain: [first, next, forge(recovered, deputy, second)],
      clusterId,
    },
    { name: "a genesis alone", chain: [first], clusterId },
    { name: "more signatures than needed", chain: [first, forge(populated, founder, deputy, second)] },
    { name: "a signature by a stranger besides", chain: [first, forge(populated, stranger, founder, deputy)] },
    { name: "an expired manifest in history", chain: [first, next], atMs: atMs + 3 * yearS * 1000 },
  ];
}

function genesisCases(): ManifestCase[] {
  const bad = (name: string, code: string, change: object, ...keys: TestKey[]): ManifestCase => ({
    name,
    code,
    chain: [forge({ ...genesis, ...change }, ...(keys.length > 0 ? keys : [founder]))],
  });
  return [
    { name: "an empty chain", code: "MANIFEST_NOT_GENESIS", chain: [] },
    { name: "a chain without its genesis", code: "MANIFEST_NOT_GENESIS", chain: [next] },
    {
      name: "the genesis of another cluster",
      code: "MANIFEST_WRONG_CLUSTER",
      chain: [forge({ ...genesis, cluster: { ...genesis.cluster, salt: base64url("x", 16) } }, founder)],
      clusterId,
    },
    bad("a genesis with a CA", "MANIFEST_INVALID", { cas: [{ certificate: ca, status: "active" }] }),
    bad("a genesis with a member", "MANIFEST_INVALID", { members: [member] }),
    bad("a genesis with a relay", "MANIFEST_INVALID", { relays: [{ url: "wss://relay.example" }] }),
    bad("a genesis with a predecessor", "MANIFEST_INVALID", { previous: hashOf(genesis) }),
    bad("a genesis signed by a stranger", "TOO_FEW_SIGNATURES", {}, stranger),
    bad("a genesis that lacks one of two signatures", "TOO_FEW_SIGNATURES", {
      authority: authority(2, founder, deputy),
    }),
    bad("a genesis from the future", "MANIFEST_NOT_YET_VALID", { issuedAt: issuedAt + 7200 }),
  ];
}

function successors(): ManifestCase[] {
  const bad = (name: string, code: string, change: Partial<Manifest>, ...keys: TestKey[]): ManifestCase => ({
    name,
    code,
    chain: [first, forge({ ...populated, ...change }, ...(keys.length > 0 ? keys : [founder, deputy]))],
  });
  const after = (name: string, code: string, change: Partial<Manifest>, ...keys: TestKey[]): ManifestCase => ({
    name,
    code,
    chain: [first, next, forge({ ...recovered, ...change }, ...keys)],
  });
  return [
    bad("a version skipped", "MANIFEST_WRONG_VERSION", { version: 3 }),
    { name: "the same version again", code: "MANIFEST_WRONG_VERSION", chain: [first, next, next] },
    {
      name: "an older version again",
      code: "MANIFEST_WRONG_VERSION",
      chain: [first, next, forge(genesis, founder, deputy)],
    },
    bad("another predecessor", "MANIFEST_WRONG_PREVIOUS", { previous: base64url("fork") }),
    bad("no predecessor", "MANIFEST_INVALID", { previous: null }),
    bad("another cluster name", "MANIFEST_WRONG_CLUSTER", { cluster: { ...genesis.cluster, name: "Other" } }),
    bad("another salt", "MANIFEST_WRONG_CLUSTER", { cluster: { ...genesis.cluster, salt: base64url("x", 16) } }),
    bad("issued before its predecessor", "MANIFEST_BACKDATED", { issuedAt: issuedAt - 1 }),
    bad("issued in the future", "MANIFEST_NOT_YET_VALID", { issuedAt: issuedAt + 7200 }),
    bad("not signed by the old authority", "TOO_FEW_SIGNATURES", {}, deputy, second),
    bad("not signed by enough of the new authority", "TOO_FEW_SIGNATURES", {}, founder),
    bad(
      "an authority that nobody of it has signed",
      "TOO_FEW_SIGNATURES",
      { authority: authority(1, stranger) },
      founder,
    ),
    after("one deputy where two must sign", "TOO_FEW_SIGNATURES", {}, deputy),
    after("one deputy and a stranger", "TOO_FEW_SIGNATURES", {}, deputy, stranger),
    after("the lost founder alone", "TOO_FEW_SIGNATURES", { authority: authority(1, founder) }, founder),
    bad("fewer keys than the threshold", "MANIFEST_BAD_THRESHOLD", { authority: authority(2, founder) }, founder),
    bad("the CA of another cluster", "CA_BAD_NAME", {
      cas: [{ certificate: encodeBase64Url(caWith()), status: "active" }],
    }),
    bad("bytes that are no CA", "CA_MALFORMED", { cas: [{ certificate: "AAAA", status: "active" }] }),
    bad("a CA that did not sign itself", "CA_BAD_SIGNATURE", {
      cas: [
        {
          certificate: encodeBase64Url(caWith({ cluster: clusterId, signer: caKey.signer, key: otherCaKey })),
          status: "active",
        },
      ],
    }),
    bad("two certificates of one CA key", "MANIFEST_INVALID", {
      cas: [
        { certificate: ca, status: "active" },
        {
          certificate: encodeBase64Url(caWith({ cluster: clusterId, contents: { serial: Uint8Array.of(7) } })),
          status: "retired",
        },
      ],
    }),
  ];
}

function hubIdOf(number: number): string {
  return encodeBase32(sha256(encodeUtf8(`hub ${number}`)).slice(0, 16));
}

function contents(): ManifestCase[] {
  const bad = (name: string, code: string, change: object): ManifestCase => ({
    name,
    code,
    chain: [first, forge({ ...populated, ...change }, founder, deputy)],
  });
  const malformed = (name: string, change: object) => bad(name, "MANIFEST_MALFORMED", change);
  const members = (name: string, ...list: object[]) => bad(name, "MANIFEST_INVALID", { members: list });
  const raw = (name: string, text: string): ManifestCase => ({
    name,
    code: "MANIFEST_MALFORMED",
    chain: [first, forgeBytes(encodeUtf8(text), founder, deputy)],
  });
  const text = new TextDecoder().decode(canonicalJson(populated));
  const many = (count: number) =>
    Array.from({ length: count }, (_, i) => ({
      hubId: hubIdOf(i),
      name: `hub-${i}`,
      roles: [],
      spki: base64url(`spki ${i}`),
      noise: base64url(`noise ${i}`),
    }));
  return [
    malformed("an unknown field", { extra: 1 }),
    malformed("an unknown field of a member", { members: [{ ...member, admin: true }] }),
    malformed("another type", { type: "manifest" }),
    malformed("another suite", { suite: "p256-1" }),
    malformed("version zero", { version: 0 }),
    malformed("a version that is no integer", { version: 2.5 }),
    malformed("a hash of 31 bytes", { previous: base64url("x", 31) }),
    malformed("times in text", { issuedAt: "2027-01-15" }),
    malformed("a threshold of zero", { authority: { ...populated.authority, threshold: 0 } }),
    malformed("an authority of nobody", { authority: { threshold: 1, keys: [] } }),
    malformed("an unknown CA status", { cas: [{ certificate: ca, status: "revoked" }] }),
    malformed("an upper-case hub name", { members: [{ ...member, name: "PC1" }] }),
    malformed("a hub name of 33 characters", { members: [{ ...member, name: "a".repeat(33) }] }),
    malformed("a hub id of other length", { members: [{ ...member, hubId: hubId.slice(1) }] }),
    malformed("a hub without roles", { members: [{ ...member, roles: undefined }] }),
    malformed("a relay over http", { relays: [{ url: "https://relay.example" }] }),
    malformed("a relay with a password", { relays: [{ url: "wss://a:b@relay.example" }] }),
    malformed("257 members", { members: many(257) }),
    raw("white space", ` ${text}`),
    raw("members in another order", text.replace(/^\{("authority":.*?),("cas":.*?),"cluster"/, '{$2,$1,"cluster"')),
    raw("a key twice", text.replace('"version":2', '"version":2,"version":2')),
    raw("no JSON", "manifest"),
    raw("an array", "[]"),
    bad("two active CAs", "MANIFEST_INVALID", {
      cas: [ca, secondCa].map((certificate) => ({ certificate, status: "active" })),
    }),
    bad("the same CA twice", "MANIFEST_INVALID", {
      cas: ["active", "retired"].map((status) => ({ certificate: ca, status })),
    }),
    bad("an end that is its start", "MANIFEST_INVALID", { expiresAt: populated.issuedAt }),
    bad("an authority key twice", "MANIFEST_INVALID", { authority: authority(2, founder, founder) }),
    bad("an authority key under another id", "MANIFEST_INVALID", {
      authority: { threshold: 1, keys: [{ kid: keyId(deputy.publicKey), x: encodeBase64Url(founder.publicKey) }] },
    }),
    bad("an authority key of small order", "MANIFEST_INVALID", {
      authority: { threshold: 1, keys: [{ kid: keyId(new Uint8Array(32)), x: encodeBase64Url(new Uint8Array(32)) }] },
    }),
    bad("the same relay twice", "MANIFEST_INVALID", { relays: [populated.relays[0], populated.relays[0]] }),
    members("two hubs of one id", member, { ...otherMember, hubId: member.hubId }),
    members("two hubs of one name", member, { ...otherMember, name: member.name }),
    members("two hubs of one key", member, { ...otherMember, spki: member.spki }),
    members("two hubs of one Noise key", member, { ...otherMember, noise: member.noise }),
    members("a role twice", { ...member, roles: ["a", "a"] }),
  ];
}

function signatures(): ManifestCase[] {
  const bad = (name: string, code: string, change: object): ManifestCase => ({
    name,
    code,
    chain: [first, { ...next, ...change }],
  });
  const [one, two] = next.signatures as [GeneralJws["signatures"][0], GeneralJws["signatures"][0]];
  const zero = { ...one, signature: "A".repeat(86) };
  const otherType = signGeneral("fed-origin+jwt", canonicalJson(populated), [founder.signer, deputy.signer]);
  return [
    bad("one wrong signature beside a good one", "BAD_SIGNATURE", { signatures: [zero, two] }),
    bad("a signature under another key's header", "BAD_SIGNATURE", {
      signatures: [{ ...one, signature: two.signature }],
    }),
    bad("one vote cast twice", "JWS_MALFORMED", { signatures: [one, one] }),
    bad("no signatures", "JWS_MALFORMED", { signatures: [] }),
    bad("seventeen signatures", "JWS_MALFORMED", { signatures: Array.from({ length: 17 }, () => one) }),
    bad("an unprotected header", "JWS_MALFORMED", { signatures: [{ ...one, header: {} }, two] }),
    bad("padding", "JWS_MALFORMED", { payload: `${next.payload}=` }),
    bad("a payload that is no text", "JWS_MALFORMED", { payload: 1 }),
    bad("signatures of another type", "JWS_WRONG_TYPE", { signatures: otherType.signatures }),
    { name: "a chain of texts", code: "JWS_MALFORMED", chain: ["a.b.c"] },
  ];
}
