/** Who is at the other end: judges what peers prove at the handshake, and remembers the leaf each of them showed last. */
import {
  type Clock,
  encodeBase64Url,
  type HubId,
  type PeerAuthenticator,
  type PeerEvidence,
  type PeerIdentity,
} from "@fed/core";
import { acceptLeaf, type Leaf, memberOf, type VerifiedManifest } from "@fed/trust";
import { HubError } from "../errors.js";

/** Refuses a leaf that is revoked, or whose hub or key is. @throws {RevocationError} */
export type LeafCheck = (leaf: Leaf) => void;

/** See the module header. */
export class PeerLeaves implements PeerAuthenticator {
  readonly #manifest: () => VerifiedManifest;
  readonly #clock: Clock;
  readonly #assertLeaf: LeafCheck;
  /** At most one for each member. */
  readonly #shown = new Map<HubId, Leaf>();

  constructor(options: {
    readonly manifest: () => VerifiedManifest;
    readonly clock: Clock;
    readonly assertLeaf: LeafCheck;
  }) {
    this.#manifest = options.manifest;
    this.#clock = options.clock;
    this.#assertLeaf = options.assertLeaf;
  }

  /**
   * The member that `evidence` proves.
   * @throws {TrustError} as `acceptLeaf`. @throws {RevocationError} @throws {HubError} UNAUTHENTICATED for a foreign Noise key.
   */
  authenticate(evidence: PeerEvidence): PeerIdentity {
    const { leaf, member } = this.#accept(evidence.leaf);
    if (evidence.kind === "noise" && encodeBase64Url(evidence.noiseKey) !== member.noise) {
      throw new HubError({
        code: "UNAUTHENTICATED",
        message: "The peer's Noise key is not the one the manifest names.",
        hint: "Check that both hubs have the current manifest.",
      });
    }
    this.#remember(leaf);
    const { hubId, clusterId, thumbprint, serial, spki } = leaf;
    return { hubId, clusterId, name: member.name, thumbprint, serial, spki };
  }

  /** Takes note of the next leaf of a connected peer. @throws {FedError} as {@link authenticate}, REQUEST_INVALID for another's. */
  note(der: Uint8Array, { hubId, spki }: PeerIdentity): void {
    const { leaf } = this.#accept(der);
    if (leaf.hubId !== hubId || leaf.spki !== spki) {
      throw new HubError({ code: "REQUEST_INVALID", message: "The peer showed a leaf that is not its own." });
    }
    this.#remember(leaf);
  }

  /**
   * What a peer was renewed to since it connected as `peer`, while its key still stands in the manifest.
   * @throws {RevocationError} as {@link publicKeyOf}.
   */
  renewed(peer: PeerIdentity): Leaf | undefined {
    const leaf = this.#current(peer.hubId);
    return leaf?.spki === peer.spki && leaf.thumbprint !== peer.thumbprint ? leaf : undefined;
  }

  /**
   * The leaf key (32 bytes) of a member that has proved it here and still is one, while its leaf is good.
   * @throws {RevocationError} when the hub, its leaf or its key was revoked since.
   */
  publicKeyOf(hubId: HubId): Uint8Array | undefined {
    return this.#current(hubId)?.publicKey;
  }

  #accept(der: Uint8Array): ReturnType<typeof acceptLeaf> {
    const accepted = acceptLeaf(der, this.#manifest(), { atMs: this.#clock.nowMs() });
    this.#assertLeaf(accepted.leaf);
    return accepted;
  }

  /** Never an older leaf after a newer one: a handshake that was recorded may be played again. */
  #remember(leaf: Leaf): void {
    const known = this.#shown.get(leaf.hubId);
    if (known?.spki === leaf.spki && known.notBeforeMs > leaf.notBeforeMs) return;
    this.#shown.set(leaf.hubId, leaf);
  }

  #current(hubId: HubId): Leaf | undefined {
    const leaf = this.#shown.get(hubId);
    if (!leaf || leaf.notAfterMs < this.#clock.nowMs()) return undefined;
    if (memberOf(this.#manifest().manifest, hubId)?.spki !== leaf.spki) return undefined;
    this.#assertLeaf(leaf);
    return leaf;
  }
}
