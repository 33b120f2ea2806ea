/** This hub's place in its cluster: the manifest chain it holds, its leaf, and what only the authority can do. */
import {
  type Clock,
  type ClusterId,
  decodeBase64Url,
  encodeBase64Url,
  encodeUtf8,
  type HubId,
  isFedError,
  type Json,
  type PeerAuthenticator,
  type PeerIdentity,
  parseJson,
  randomBytes,
  type Store,
  toFedError,
} from "@fed/core";
import { caPin, type JoinRequest, type Welcome } from "@fed/pairing";
import {
  acceptLeaf,
  assertFresh,
  createCa,
  createSigner,
  generateKeyPair,
  issueLeaf,
  keyId,
  type Leaf,
  type Manifest,
  memberOf,
  type SignedManifest,
  type Signer,
  signManifest,
  spkiHash,
  type VerifiedManifest,
  verifyChain,
  verifyGenesis,
  verifyNext,
} from "@fed/trust";
import { HubError } from "../errors.js";
import type { Identity } from "../state/identity.js";
import type { StateDirectory } from "../state/state-directory.js";

const daySeconds = 24 * 60 * 60;
const manifestLifetimeSeconds = 365 * daySeconds;
const maxChainBytes = 16 * 1024 * 1024;
const chainKey = ["cluster", "chain"];
const leafKey = ["cluster", "leaf"];

/** What the hub has persisted about its cluster. */
interface ClusterRecord {
  readonly chain: readonly SignedManifest[];
  readonly verified: VerifiedManifest;
  readonly leaf: Leaf;
  /** 32 bytes, shared by all members. */
  readonly clusterKey: Uint8Array;
}

/** Options of {@link openMembership}. */
export interface MembershipOptions {
  readonly identity: Identity;
  readonly directory: StateDirectory;
  readonly store: Store;
  readonly clock: Clock;
}

/** See the module header; made by {@link openMembership}. */
export class Membership {
  readonly #options: MembershipOptions;
  readonly #listeners = new Set<() => void>();
  /** Leaf keys of members that have proved them to this hub. */
  readonly #provedKeys = new Map<HubId, { readonly spki: string; readonly publicKey: Uint8Array }>();
  #record: ClusterRecord | undefined;
  /** One change of the chain at a time; the store's compare-and-set guards against other processes. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: MembershipOptions, record: ClusterRecord | undefined) {
    this.#options = options;
    this.#record = record;
  }

  /** Whether this hub is in a cluster. */
  get joined(): boolean {
    return this.#record !== undefined;
  }

  /** The manifest in force. @throws {HubError} NOT_IN_CLUSTER. */
  get current(): VerifiedManifest {
    return this.#state.verified;
  }

  get clusterId(): ClusterId {
    return this.current.clusterId;
  }

  /** This hub's leaf. */
  get leaf(): Leaf {
    return this.#state.leaf;
  }

  /** Secret of all members, 32 bytes. */
  get clusterKey(): Uint8Array {
    return this.#state.clusterKey;
  }

  /** All signed manifests, genesis first. */
  get chain(): readonly SignedManifest[] {
    return this.#state.chain;
  }

  /** DER of every CA that leaves may come from, the one that issues now first. */
  get cas(): Uint8Array[] {
    const rank = { active: 0, announced: 1, retired: 2 };
    return [...this.current.manifest.cas]
      .sort((a, b) => rank[a.status] - rank[b.status])
      .map((ca) => decodeBase64Url(ca.certificate));
  }

  /** SHA-256 of the issuing CA, for pairing tokens. */
  get pin(): Uint8Array {
    return caPin(this.cas[0]!);
  }

  /** Whether this hub holds an authority key and may so change the manifest and the revocation list. */
  get isAuthority(): boolean {
    return this.joined && this.#options.directory.readSecret("authority") !== undefined;
  }

  /** The other members. */
  get others(): Manifest["members"] {
    return this.current.manifest.members.filter((member) => member.hubId !== this.#options.identity.hubId);
  }

  /** Calls `listener` after every change of the manifest. */
  onChange(listener: () => void): void {
    this.#listeners.add(listener);
  }

  /** The hub that `text`, a name or an id, means. @throws {HubError} HUB_UNKNOWN. */
  resolve(text: string): Manifest["members"][number] {
    const member = this.current.manifest.members.find((m) => m.hubId === text || m.name === text);
    if (!member)
      throw new HubError({
        code: "HUB_UNKNOWN",
        message: `No hub of this cluster is called ${text}.`,
        hint: "See `fed peers`.",
      });
    return member;
  }

  /** Founds a cluster: a genesis manifest that names the authority, then one that brings the CA and this hub. */
  async create(options: { readonly name: string; readonly relays?: readonly string[] }): Promise<void> {
    await this.#inTurn(async () => {
      if (this.joined)
        throw new HubError({
          code: "ALREADY_IN_CLUSTER",
          message: "This hub is in a cluster already.",
          hint: "See `fed cluster status`.",
        });
      const { identity, directory, clock } = this.#options;
      const authority = generateKeyPair();
      const caKey = generateKeyPair();
      const signer = createSigner(authority.secretKey);
      const nowMs = clock.nowMs();
      const issuedAt = Math.floor(nowMs / 1000);
      const genesis: Manifest = {
        type: "fed-manifest",
        suite: "ed25519-1",
        cluster: { name: options.name, salt: encodeBase64Url(randomBytes(16)) },
        version: 1,
        previous: null,
        issuedAt,
        expiresAt: issuedAt + manifestLifetimeSeconds,
        authority: {
          threshold: 1,
          keys: [{ kid: keyId(authority.publicKey), x: encodeBase64Url(authority.publicKey) }],
        },
        cas: [],
        members: [],
        relays: [],
      };
      const first = verifyGenesis(signManifest(genesis, [signer]), { atMs: nowMs });
      const ca = await createCa({ clusterId: first.clusterId, key: caKey, nowMs });
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
            relays: (options.relays ?? []).map((url) => ({ url })),
          },
          [signer],
        ),
        { atMs: nowMs },
      );
      const leafDer = await issueLeaf({
        ca,
        caKey: createSigner(caKey.secretKey),
        publicKey: identity.leafKey.publicKey,
        clusterId: first.clusterId,
        hubId: identity.hubId,
        nowMs,
      });
      directory.writeSecret("authority", authority.secretKey);
      directory.writeSecret("ca", caKey.secretKey);
      await this.#adopt([first.signed, second.signed], leafDer, randomBytes(32));
    });
  }

  /** Keeps what a join brought. @throws {FedError} the first thing about it that does not verify; nothing is kept then. */
  async accept(welcome: Welcome, pin: Uint8Array): Promise<void> {
    await this.#inTurn(async () => {
      if (this.joined)
        throw new HubError({
          code: "ALREADY_IN_CLUSTER",
          message: "This hub is in a cluster already.",
          hint: "See `fed cluster status`.",
        });
      const verified = verifyChain(welcome.manifests, { atMs: this.#options.clock.nowMs() });
      const pinned = verified.manifest.cas.some(
        (ca) => encodeBase64Url(caPin(decodeBase64Url(ca.certificate))) === encodeBase64Url(pin),
      );
      if (!pinned)
        throw new HubError({
          code: "REQUEST_INVALID",
          message: "The manifest does not name the CA that the pairing token pins.",
          hint: "Ask for a new token.",
        });
      await this.#adopt(welcome.manifests as readonly SignedManifest[], welcome.leaf, welcome.clusterKey);
    });
  }

  /** Adopts the manifests that come after the one held, as far as they verify. @returns whether anything changed. */
  async adoptNext(next: readonly unknown[]): Promise<boolean> {
    return this.#inTurn(async () => {
      const before = this.#state;
      let verified = before.verified;
      const chain = [...before.chain];
      for (const signed of next) {
        const version = versionOf(signed);
        if (version !== undefined && version <= verified.manifest.version) continue;
        verified = verifyNext(verified, signed, { atMs: this.#options.clock.nowMs() });
        chain.push(verified.signed);
      }
      if (verified === before.verified) return false;
      await this.#persistChain(chain);
      this.#record = { ...before, chain, verified };
      this.#announce();
      return true;
    });
  }

  /** Makes the joiner a member and returns all it needs. @throws {HubError} NOT_THE_AUTHORITY, NAME_TAKEN. */
  async enroll(request: JoinRequest): Promise<Omit<Welcome, "revocations">> {
    this.admit(request);
    const { directory, clock } = this.#options;
    await this.publish((manifest) => ({
      members: [
        ...manifest.members,
        {
          hubId: request.hubId,
          name: request.name,
          roles: [...request.roles],
          spki: spkiHash(request.publicKey),
          noise: encodeBase64Url(request.noiseKey),
        },
      ],
    }));
    const caKey = directory.readSecret("ca");
    if (!caKey) throw this.#notAuthority();
    const leaf = await issueLeaf({
      ca: this.cas[0]!,
      caKey: createSigner(caKey),
      publicKey: request.publicKey,
      clusterId: this.clusterId,
      hubId: request.hubId,
      nowMs: clock.nowMs(),
    });
    return { leaf, manifests: this.chain, clusterKey: this.clusterKey };
  }

  /** @throws {HubError} NAME_TAKEN when the joiner's name, id or key belongs to a member. */
  admit(request: JoinRequest): void {
    const spki = spkiHash(request.publicKey);
    const clash = this.current.manifest.members.find(
      (m) => m.name === request.name || m.hubId === request.hubId || m.spki === spki,
    );
    if (clash) {
      throw new HubError({
        code: "NAME_TAKEN",
        message:
          clash.name === request.name
            ? `A hub called ${request.name} is in this cluster already.`
            : "This hub is a member already.",
        hint: "Give the joining hub another name: `fed init --name N`.",
      });
    }
  }

  /** Signs and adopts the next manifest. @throws {HubError} NOT_THE_AUTHORITY. */
  async publish(change: (manifest: Manifest) => Partial<Manifest>): Promise<void> {
    const signer = this.authoritySigner();
    const { manifest, hash } = this.current;
    const issuedAt = Math.max(Math.floor(this.#options.clock.nowMs() / 1000), manifest.issuedAt);
    const next: Manifest = {
      ...manifest,
      ...change(manifest),
      version: manifest.version + 1,
      previous: hash,
      issuedAt,
      expiresAt: issuedAt + manifestLifetimeSeconds,
    };
    await this.adoptNext([signManifest(next, [signer])]);
  }

  /** @throws {HubError} NOT_THE_AUTHORITY when this hub holds no authority key. */
  authoritySigner(): Signer {
    const secret = this.joined ? this.#options.directory.readSecret("authority") : undefined;
    if (!secret) throw this.#notAuthority();
    return createSigner(secret);
  }

  /** Judges certificates and Noise keys against the manifest in force; `assertLeaf` adds revocation. */
  authenticator(assertLeaf: (leaf: Leaf) => void): PeerAuthenticator {
    return {
      authenticate: (evidence) => {
        const atMs = this.#options.clock.nowMs();
        assertFresh(this.current, atMs);
        const { leaf, member } = acceptLeaf(evidence.leaf, this.current, { atMs });
        assertLeaf(leaf);
        if (evidence.kind === "noise" && encodeBase64Url(evidence.noiseKey) !== member.noise) {
          throw new HubError({
            code: "UNAUTHENTICATED",
            message: "The peer's Noise key is not the one the manifest names.",
          });
        }
        this.#provedKeys.set(leaf.hubId, { spki: leaf.spki, publicKey: leaf.publicKey });
        const peer: PeerIdentity = {
          hubId: leaf.hubId,
          clusterId: leaf.clusterId,
          name: member.name,
          thumbprint: leaf.thumbprint,
          serial: leaf.serial,
          spki: leaf.spki,
        };
        return peer;
      },
    };
  }

  /** The leaf key (32 bytes) of a member that has proved it here and still is one. */
  publicKeyOf(hubId: HubId): Uint8Array | undefined {
    const proved = this.#provedKeys.get(hubId);
    return proved && memberOf(this.current.manifest, hubId)?.spki === proved.spki ? proved.publicKey : undefined;
  }

  get #state(): ClusterRecord {
    if (!this.#record) {
      throw new HubError({
        code: "NOT_IN_CLUSTER",
        message: "This hub is in no cluster.",
        hint: "Found one with `fed cluster create NAME`, or join one with `fed join TOKEN`.",
      });
    }
    return this.#record;
  }

  #notAuthority(): HubError {
    return new HubError({
      code: "NOT_THE_AUTHORITY",
      message: "This hub does not hold the cluster's authority key.",
      hint: "Run this on the hub that founded the cluster.",
    });
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(work);
    this.#turn = result.catch(() => {});
    return result;
  }

  async #persistChain(chain: readonly SignedManifest[]): Promise<void> {
    await this.#options.store.set(chainKey, encodeUtf8(JSON.stringify(chain)));
  }

  /** Persists before use, the chain last, so that a half-written cluster is no cluster. */
  async #adopt(chain: readonly SignedManifest[], leafDer: Uint8Array, clusterKey: Uint8Array): Promise<void> {
    const { directory, store } = this.#options;
    const record = verifyRecord(chain, leafDer, clusterKey, this.#options);
    directory.writeSecret("cluster", clusterKey);
    await store.set(leafKey, leafDer);
    await this.#persistChain(chain);
    this.#record = record;
    this.#announce();
  }

  #announce(): void {
    for (const listener of this.#listeners) listener();
  }
}

/** Loads and verifies what is persisted. @throws {HubError} STATE_CORRUPT when it no longer verifies. */
export async function openMembership(options: MembershipOptions): Promise<Membership> {
  const { directory, store } = options;
  const stored = await store.get(chainKey);
  if (!stored) return new Membership(options, undefined);
  try {
    const chain = parseJson(stored, { maxBytes: maxChainBytes }) as unknown as SignedManifest[];
    const leaf = await store.get(leafKey);
    const clusterKey = directory.readSecret("cluster");
    if (!leaf || clusterKey?.length !== 32)
      throw new HubError({ code: "STATE_CORRUPT", message: "The leaf or the cluster key is missing." });
    return new Membership(options, verifyRecord(chain, leaf, clusterKey, options));
  } catch (cause) {
    const reason = isFedError(cause) ? cause : toFedError(cause);
    throw new HubError({
      code: "STATE_CORRUPT",
      message: `The cluster state in ${directory.path} does not verify: ${reason.message}`,
      hint: "Restore the state directory from a backup.",
      cause,
    });
  }
}

function verifyRecord(
  chain: readonly unknown[],
  leafDer: Uint8Array,
  clusterKey: Uint8Array,
  options: MembershipOptions,
): ClusterRecord {
  const { identity, clock } = options;
  const atMs = clock.nowMs();
  const verified = verifyChain(chain, { atMs });
  if (!memberOf(verified.manifest, identity.hubId)) {
    throw new HubError({
      code: "NOT_IN_CLUSTER",
      message: "The manifest does not name this hub.",
      hint: "Join again with a new token.",
    });
  }
  const { leaf } = acceptLeaf(leafDer, verified, { atMs });
  if (leaf.hubId !== identity.hubId || leaf.spki !== spkiHash(identity.leafKey.publicKey)) {
    throw new HubError({ code: "STATE_CORRUPT", message: "The leaf is not for this hub's key." });
  }
  return { chain: chain as readonly SignedManifest[], verified, leaf, clusterKey };
}

function versionOf(signed: unknown): number | undefined {
  try {
    const payload = (signed as { payload?: unknown }).payload;
    if (typeof payload !== "string") return undefined;
    const manifest = parseJson(decodeBase64Url(payload), { maxBytes: 1024 * 1024 }) as { version?: Json };
    return typeof manifest.version === "number" ? manifest.version : undefined;
  } catch {
    return undefined;
  }
}
