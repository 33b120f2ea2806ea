/** This hub's place in its cluster: the manifest chain it holds, its leaf, and what only the authority can do. */
import { type ClusterId, decodeBase64Url, encodeBase64Url, type HubId, type Json, parseJson } from "@fed/core";
import { caPin, type JoinRequest, type Welcome } from "@fed/pairing";
import {
  acceptLeaf,
  createSigner,
  issueLeaf,
  type Leaf,
  type Manifest,
  type SignedManifest,
  type Signer,
  signManifest,
  spkiHash,
  type VerifiedManifest,
  verifyChain,
  verifyNext,
} from "@fed/trust";
import { HubError } from "../errors.js";
import {
  type ClusterRecord,
  loadRecord,
  type RecordPlace,
  saveChain,
  saveLeaf,
  saveRecord,
  verifyOwnLeaf,
  verifyRecord,
} from "./cluster-record.js";
import { foundCluster, manifestLifetimeSeconds } from "./founding.js";

/** See the module header; made by {@link openMembership}. */
export class Membership {
  readonly #options: RecordPlace;
  readonly #listeners = new Set<() => void>();
  #record: ClusterRecord | undefined;
  /** One change of the chain at a time; the store's compare-and-set guards against other processes. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: RecordPlace, record: ClusterRecord | undefined) {
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

  /** Whether this hub holds the CA's key and may so issue leaves. */
  get isIssuer(): boolean {
    return this.joined && this.#options.directory.readSecret("ca") !== undefined;
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

  /** The name of a member, or undefined. */
  nameOf(hubId: HubId): string | undefined {
    return this.joined ? this.current.manifest.members.find((member) => member.hubId === hubId)?.name : undefined;
  }

  /** Founds a cluster: a genesis manifest that names the authority, then one that brings the CA and this hub. */
  async create(options: { readonly name: string; readonly relays?: readonly string[] }): Promise<void> {
    await this.#inTurn(async () => {
      if (this.joined) throw alreadyInCluster();
      const { identity, directory, clock } = this.#options;
      const { chain, leaf, authorityKey, caKey, clusterKey } = await foundCluster({
        identity,
        name: options.name,
        relays: options.relays ?? [],
        nowMs: clock.nowMs(),
      });
      await directory.writeSecret("authority", authorityKey);
      await directory.writeSecret("ca", caKey);
      await this.#adopt(chain, leaf, clusterKey);
    });
  }

  /** @throws {HubError} ALREADY_IN_CLUSTER, unless this hub's leaf or manifest has expired and a token is the way back. */
  assertMayJoin(): void {
    if (!this.#record) return;
    const { leaf, verified } = this.#record;
    const nowMs = this.#options.clock.nowMs();
    if (nowMs <= leaf.notAfterMs && nowMs < verified.manifest.expiresAt * 1000) throw alreadyInCluster();
  }

  /** Keeps what a join brought. @throws {FedError} the first thing about it that does not verify; nothing is kept then. */
  async accept(welcome: Welcome, pin: Uint8Array): Promise<void> {
    await this.#inTurn(async () => {
      this.assertMayJoin();
      const held = this.#record?.verified;
      const verified = verifyChain(welcome.manifests, {
        clusterId: held?.clusterId,
        atMs: this.#options.clock.nowMs(),
      });
      if (held && verified.manifest.version < held.manifest.version) {
        throw new HubError({
          code: "REQUEST_INVALID",
          message: "The inviting hub holds an older manifest than this one.",
          hint: "Ask for a token from a hub that is up to date.",
        });
      }
      const pinned = verified.manifest.cas.some(
        (ca) => encodeBase64Url(caPin(decodeBase64Url(ca.certificate))) === encodeBase64Url(pin),
      );
      if (!pinned)
        throw new HubError({
          code: "REQUEST_INVALID",
          message: "The manifest does not name the CA that the pairing token pins.",
          hint: "Ask for a new token.",
        });
      await this.#adopt(welcome.manifests, welcome.leaf, welcome.clusterKey);
    });
  }

  /** Adopts the manifests that come after the one held, as far as they verify. @returns whether anything changed. */
  adoptNext(next: readonly unknown[]): Promise<boolean> {
    return this.#inTurn(() => this.#adoptNext(next));
  }

  /** Makes the joiner a member and returns all it needs. @throws {HubError} NOT_THE_AUTHORITY, NAME_TAKEN. */
  async enroll(request: JoinRequest): Promise<Omit<Welcome, "revocations">> {
    const { hubId, name, roles, publicKey, noiseKey } = request;
    const joiner = { hubId, name, roles: [...roles], spki: spkiHash(publicKey), noise: encodeBase64Url(noiseKey) };
    await this.publish(({ members }) => {
      // Another joiner may have been enrolled a moment ago.
      this.admit(request);
      return members.some((member) => member.hubId === hubId) ? undefined : { members: [...members, joiner] };
    });
    const leaf = await this.issueLeaf(hubId, publicKey);
    return { leaf: leaf.der, manifests: this.chain, clusterKey: this.clusterKey };
  }

  /**
   * @throws {HubError} NAME_TAKEN when the joiner's name, id or key belongs to a member. A member that comes back as it was,
   * because its leaf has expired, is let in.
   */
  admit({ hubId, name, publicKey, noiseKey }: JoinRequest): void {
    const spki = spkiHash(publicKey);
    const clash = this.current.manifest.members.find((m) => m.name === name || m.hubId === hubId || m.spki === spki);
    if (!clash) return;
    const same = clash.hubId === hubId && clash.name === name && clash.spki === spki;
    if (same && clash.noise === encodeBase64Url(noiseKey)) return;
    throw new HubError({
      code: "NAME_TAKEN",
      message:
        clash.name === name ? `A hub called ${name} is in this cluster already.` : "This hub is a member already.",
      hint: "Give the joining hub another name: `fed init --name N`.",
    });
  }

  /** Signs and adopts the next manifest, unless `change` finds nothing to do. @throws {HubError} NOT_THE_AUTHORITY. */
  async publish(change: (manifest: Manifest) => Partial<Manifest> | undefined): Promise<void> {
    const signer = this.authoritySigner();
    await this.#inTurn(async () => {
      const { manifest, hash } = this.current;
      const changed = change(manifest);
      if (!changed) return;
      const issuedAt = Math.max(Math.floor(this.#options.clock.nowMs() / 1000), manifest.issuedAt);
      const next: Manifest = {
        ...manifest,
        ...changed,
        version: manifest.version + 1,
        previous: hash,
        issuedAt,
        expiresAt: issuedAt + manifestLifetimeSeconds,
      };
      await this.#adoptNext([signManifest(next, [signer])]);
    });
  }

  /** A leaf with a new term for this hub. @throws {HubError} NOT_THE_AUTHORITY. */
  issueOwnLeaf(): Promise<Leaf> {
    const { identity } = this.#options;
    return this.issueLeaf(identity.hubId, identity.leafKey.publicKey);
  }

  /** The leaf in `der`, if it can be this hub's next. @throws {FedError} when it is for another key or ends no later. */
  checkOwnLeaf(der: Uint8Array): Leaf {
    const { identity, clock } = this.#options;
    const { verified, leaf: held } = this.#state;
    const leaf = verifyOwnLeaf(der, verified, identity, clock.nowMs());
    if (leaf.notAfterMs > held.notAfterMs) return leaf;
    throw new HubError({ code: "RENEWAL_FAILED", message: "The new leaf ends no later than the one held." });
  }

  /** Keeps and uses a leaf that {@link checkOwnLeaf} has passed. */
  async adoptLeaf(leaf: Leaf): Promise<void> {
    await this.#inTurn(async () => {
      await saveLeaf(leaf, this.#options.store);
      this.#record = { ...this.#state, leaf };
      this.#announce();
    });
  }

  /** @throws {HubError} NOT_IN_CLUSTER, NOT_THE_AUTHORITY when this hub holds no authority key. */
  authoritySigner(): Signer {
    const secret = this.#state && this.#options.directory.readSecret("authority");
    if (!secret) throw this.notAuthority();
    return createSigner(secret);
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

  /** The error for what only a hub with the cluster's keys can do. */
  notAuthority(): HubError {
    return new HubError({
      code: "NOT_THE_AUTHORITY",
      message: "This hub does not hold the cluster's authority key.",
      hint: "Run this on the hub that founded the cluster.",
    });
  }

  /** A leaf for the member `hubId` and the key it has proved. @throws {HubError} NOT_THE_AUTHORITY. @throws {TrustError} as `acceptLeaf`. */
  async issueLeaf(hubId: HubId, publicKey: Uint8Array): Promise<Leaf> {
    const { directory, clock } = this.#options;
    const caKey = directory.readSecret("ca");
    if (!caKey) throw this.notAuthority();
    const nowMs = clock.nowMs();
    const der = await issueLeaf({
      ca: this.cas[0]!,
      caKey: createSigner(caKey),
      publicKey,
      clusterId: this.clusterId,
      hubId,
      nowMs,
    });
    return acceptLeaf(der, this.current, { atMs: nowMs }).leaf;
  }

  async #adoptNext(next: readonly unknown[]): Promise<boolean> {
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
    await saveChain(chain, this.#options.store);
    this.#record = { ...before, chain, verified };
    this.#announce();
    return true;
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(work);
    this.#turn = result.catch(() => {});
    return result;
  }

  async #adopt(chain: readonly unknown[], leafDer: Uint8Array, clusterKey: Uint8Array): Promise<void> {
    const record = verifyRecord(chain, leafDer, clusterKey, this.#options);
    await saveRecord(record, this.#options);
    this.#record = record;
    this.#announce();
  }

  #announce(): void {
    for (const listener of this.#listeners) listener();
  }
}

/** The membership kept in `place`. @throws {HubError} STATE_CORRUPT when it no longer verifies. */
export async function openMembership(place: RecordPlace): Promise<Membership> {
  return new Membership(place, await loadRecord(place));
}

function alreadyInCluster(): HubError {
  return new HubError({
    code: "ALREADY_IN_CLUSTER",
    message: "This hub is in a cluster already.",
    hint: "See `fed cluster status`.",
  });
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
