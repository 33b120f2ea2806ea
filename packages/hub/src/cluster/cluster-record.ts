/** What a hub keeps about its cluster: the manifest chain, its own leaf, the cluster's key. Verified before every use. */
import { type Clock, encodeUtf8, parseJson, type Store, toFedError } from "@fed/core";
import {
  acceptLeaf,
  type Leaf,
  memberOf,
  readLeafClaims,
  type SignedManifest,
  spkiHash,
  type VerifiedManifest,
  verifyChain,
} from "@fed/trust";
import { HubError } from "../errors.js";
import type { Identity } from "../state/identity.js";
import type { SecretKeeper } from "../state/state-directory.js";

const maxChainBytes = 16 * 1024 * 1024;
const chainKey = ["cluster", "chain"];
const leafKey = ["cluster", "leaf"];

/** See the module header. */
export interface ClusterRecord {
  /** All signed manifests, genesis first. */
  readonly chain: readonly SignedManifest[];
  /** The last of them. */
  readonly verified: VerifiedManifest;
  readonly leaf: Leaf;
  /** 32 bytes, shared by all members. */
  readonly clusterKey: Uint8Array;
}

/** Where a record is kept, and by whose key and time it is judged. */
export interface RecordPlace {
  readonly identity: Identity;
  readonly directory: SecretKeeper;
  readonly store: Store;
  readonly clock: Clock;
}

/**
 * The record kept in `place`, or undefined for a hub in no cluster. An expired leaf or manifest is still this hub's own:
 * its peers refuse it until it is renewed.
 * @throws {HubError} STATE_CORRUPT when what is kept no longer verifies.
 */
export async function loadRecord(place: RecordPlace): Promise<ClusterRecord | undefined> {
  const { directory, store } = place;
  const stored = await store.get(chainKey);
  if (!stored) return undefined;
  try {
    const chain = parseJson(stored, { maxBytes: maxChainBytes }) as unknown as SignedManifest[];
    const leaf = await store.get(leafKey);
    const clusterKey = directory.readSecret("cluster");
    if (!leaf || clusterKey?.length !== 32) throw corrupt("The leaf or the cluster key is missing.");
    return verifyRecord(chain, leaf, clusterKey, place, { expired: true });
  } catch (cause) {
    throw new HubError({
      code: "STATE_CORRUPT",
      message: `The cluster state in ${directory.path} does not verify: ${toFedError(cause).message}`,
      hint: "Restore the state directory from a backup.",
      cause,
    });
  }
}

/**
 * The record made of these documents.
 * @throws {TrustError} what does not verify. @throws {HubError} NOT_IN_CLUSTER when the manifest does not name this hub,
 * STATE_CORRUPT when the leaf is for another key.
 */
export function verifyRecord(
  chain: readonly unknown[],
  leafDer: Uint8Array,
  clusterKey: Uint8Array,
  { identity, clock }: RecordPlace,
  { expired = false }: { readonly expired?: boolean } = {},
): ClusterRecord {
  const nowMs = clock.nowMs();
  const verified = verifyChain(chain, { atMs: nowMs });
  if (!memberOf(verified.manifest, identity.hubId)) {
    throw new HubError({
      code: "NOT_IN_CLUSTER",
      message: "The manifest does not name this hub.",
      hint: "Join again with a new token.",
    });
  }
  const leaf = verifyOwnLeaf(leafDer, verified, identity, expired ? lastGoodMs(leafDer, verified, nowMs) : nowMs);
  return { chain: chain as readonly SignedManifest[], verified, leaf, clusterKey };
}

/** The leaf in `der`, which must be this hub's own. @throws {TrustError} as `acceptLeaf`. @throws {HubError} STATE_CORRUPT. */
export function verifyOwnLeaf(der: Uint8Array, verified: VerifiedManifest, identity: Identity, atMs: number): Leaf {
  const { leaf } = acceptLeaf(der, verified, { atMs });
  if (leaf.hubId !== identity.hubId || leaf.spki !== spkiHash(identity.leafKey.publicKey)) {
    throw corrupt("The leaf is not for this hub's key.");
  }
  return leaf;
}

/** Persists before use, the chain last, so that a half-written cluster is no cluster. */
export async function saveRecord(
  { chain, leaf, clusterKey }: ClusterRecord,
  { directory, store }: RecordPlace,
): Promise<void> {
  await directory.writeSecret("cluster", clusterKey);
  await saveLeaf(leaf, store);
  await saveChain(chain, store);
}

export async function saveLeaf(leaf: Leaf, store: Store): Promise<void> {
  await store.set(leafKey, leaf.der);
}

export async function saveChain(chain: readonly SignedManifest[], store: Store): Promise<void> {
  await store.set(chainKey, encodeUtf8(JSON.stringify(chain)));
}

/** Now, or the last moment at which both the leaf and the manifest were good. */
function lastGoodMs(leafDer: Uint8Array, { manifest }: VerifiedManifest, nowMs: number): number {
  return Math.min(nowMs, readLeafClaims(leafDer).notAfterMs, manifest.expiresAt * 1000 - 1);
}

function corrupt(message: string): HubError {
  return new HubError({ code: "STATE_CORRUPT", message, hint: "Restore the state directory from a backup." });
}
