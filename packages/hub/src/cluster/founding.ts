/** How a cluster begins: its keys, a genesis manifest that names the authority alone, a second one with CA and founder. */
import { encodeBase64Url, randomBytes } from "@fed/core";
import {
  createCa,
  createSigner,
  generateKeyPair,
  issueLeaf,
  keyId,
  type Manifest,
  type SignedManifest,
  signManifest,
  spkiHash,
  verifyGenesis,
  verifyNext,
} from "@fed/trust";
import type { Identity } from "../state/identity.js";

/** How long a manifest is good for; the authority signs the next one after half of it. */
export const manifestLifetimeSeconds: number = 365 * 24 * 60 * 60;

/** A new cluster; nothing of it is kept yet. */
export interface Founding {
  readonly chain: readonly SignedManifest[];
  /** The founder's leaf, DER. */
  readonly leaf: Uint8Array;
  /** Ed25519 secret keys, 32 bytes each. */
  readonly authorityKey: Uint8Array;
  readonly caKey: Uint8Array;
  /** 32 random bytes, for all members. */
  readonly clusterKey: Uint8Array;
}

/** Makes a cluster whose only member and authority is `identity`. */
export async function foundCluster(options: {
  readonly identity: Identity;
  readonly name: string;
  readonly relays: readonly string[];
  readonly nowMs: number;
}): Promise<Founding> {
  const { identity, name, relays, nowMs } = options;
  const authority = generateKeyPair();
  const caKey = generateKeyPair();
  const signer = createSigner(authority.secretKey);
  const issuedAt = Math.floor(nowMs / 1000);
  const genesis: Manifest = {
    type: "fed-manifest",
    suite: "ed25519-1",
    cluster: { name, salt: encodeBase64Url(randomBytes(16)) },
    version: 1,
    previous: null,
    issuedAt,
    expiresAt: issuedAt + manifestLifetimeSeconds,
    authority: { threshold: 1, keys: [{ kid: keyId(authority.publicKey), x: encodeBase64Url(authority.publicKey) }] },
    cas: [],
    members: [],
    relays: [],
  };
  const first = verifyGenesis(signManifest(genesis, [signer]), { atMs: nowMs });
  const { clusterId } = first;
  const ca = await createCa({ clusterId, key: caKey, nowMs });
  const second = verifyNext(
    first,
    signManifest(
      {
        ...genesis,
        version: 2,
        previous: first.hash,
        cas: [{ certificate: encodeBase64Url(ca), status: "active" }],
        members: [
          {
            hubId: identity.hubId,
            name: identity.name,
            roles: ["founder"],
            spki: spkiHash(identity.leafKey.publicKey),
            noise: encodeBase64Url(identity.noiseKey.publicKey),
          },
        ],
        relays: relays.map((url) => ({ url })),
      },
      [signer],
    ),
    { atMs: nowMs },
  );
  const leaf = await issueLeaf({
    ca,
    caKey: createSigner(caKey.secretKey),
    publicKey: identity.leafKey.publicKey,
    clusterId,
    hubId: identity.hubId,
    nowMs,
  });
  return {
    chain: [first.signed, second.signed],
    leaf,
    authorityKey: authority.secretKey,
    caKey: caKey.secretKey,
    clusterKey: randomBytes(32),
  };
}
