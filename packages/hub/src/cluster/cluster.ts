/** What an operator does with a cluster: found it, invite to it, join it, look at it, cut somebody off. */
import {
  type Clock,
  type Connection,
  type ErrorReport,
  type FedError,
  type GuestDial,
  type HubId,
  reportError,
  type Store,
  toFedError,
} from "@fed/core";
import {
  acceptJoin,
  caPin,
  createTokenBook,
  formatPairingToken,
  join,
  nextPeerState,
  type PeerState,
  type TokenBook,
  type TokenRecord,
} from "@fed/pairing";
import type { RevocationChecker } from "@fed/revocation";
import type { PathEvent, PathStatus } from "@fed/router";
import { deriveRelayKeys, formatAdmissionKey, type RelayState } from "@fed/transport-relay";
import { readLeafClaims, spkiHash, verifyLeaf } from "@fed/trust";
import type { AuditTrail } from "../audit-trail.js";
import { HubError } from "../errors.js";
import { pause } from "../pause.js";
import type { Identity } from "../state/identity.js";
import type { Federation } from "./federation.js";
import { rememberAddress } from "./known-addresses.js";
import type { Membership } from "./membership.js";

const defaultInviteMs = 10 * 60_000;
/** How long `join` waits for the first session as a member. */
const firstSessionMs = 10_000;

/** One member as `fed peers` shows it. */
export interface Peer {
  readonly hubId: HubId;
  readonly name: string;
  readonly roles: readonly string[];
  readonly state: PeerState;
  /** The transport that reaches it now. */
  readonly path: string | undefined;
  readonly rttMs: number | undefined;
  /** What it last announced that it holds. */
  readonly holds: { readonly manifest: number; readonly revocations: number; readonly atMs: number } | undefined;
}

/** What `fed cluster status` shows. */
export interface ClusterStatus {
  readonly name: string;
  readonly clusterId: string;
  readonly manifestVersion: number;
  readonly manifestExpiresAtMs: number;
  readonly authority: { readonly threshold: number; readonly keys: number; readonly held: boolean };
  readonly members: readonly { readonly hubId: HubId; readonly name: string; readonly roles: readonly string[] }[];
  readonly leafExpiresAtMs: number;
  readonly revocations: number;
  /** What a relay's operator must admit: `fedrelay1.…`. */
  readonly relayAdmissionKey: string;
  readonly relays: readonly RelayState[];
  /** Why this hub has left the cluster's networks, if it has. */
  readonly stopped: ErrorReport | undefined;
  readonly lan:
    | {
        readonly addresses: readonly string[];
        readonly discovery: string;
        /** At how many addresses multicast shows hubs of this cluster now. */
        readonly seenByMulticast: number;
        /** Why it does not listen now; it tries again by itself. */
        readonly error: { readonly code: string; readonly message: string } | undefined;
      }
    | undefined;
}

/** What a cluster works on. */
export interface ClusterOptions {
  readonly identity: Identity;
  readonly membership: Membership;
  readonly store: Store;
  readonly audit: AuditTrail;
  readonly clock: Clock;
  /** What is revoked in the cluster this hub is in. @throws {HubError} NOT_IN_CLUSTER. */
  readonly revocation: () => Promise<RevocationChecker>;
  /** The federation in force; a new one after joining. */
  readonly federation: () => Federation;
  /** Builds the federation anew, now as a member. */
  readonly refederate: () => Promise<void>;
  /** Somebody could not join. */
  readonly onJoinRefused: (from: string, error: FedError) => void;
  /** How a pairing token's addresses are dialled, by their scheme. */
  readonly guestDials: Readonly<Record<string, GuestDial>>;
  readonly relays: readonly string[];
}

/** See the module header. */
export class Cluster {
  readonly #options: ClusterOptions;
  readonly #tokens: TokenBook;
  readonly #states = new Map<HubId, PeerState>();

  constructor(options: ClusterOptions) {
    this.#options = options;
    this.#tokens = createTokenBook({ store: options.store, clock: options.clock });
  }

  /** Founds a cluster with this hub as its first member and only authority. @throws {HubError} ALREADY_IN_CLUSTER. */
  async create(options: { readonly name: string }): Promise<void> {
    const { membership, audit, relays, refederate } = this.#options;
    await membership.create({ name: options.name, relays });
    audit.note({ type: "cluster.created", cluster: membership.clusterId, name: options.name });
    await refederate();
  }

  /**
   * A single-use pairing token, shown once.
   * @throws {HubError} NOT_THE_AUTHORITY, NO_INVITE_ADDRESS when a guest could reach this hub in no way.
   */
  async invite(
    options: { readonly ttlMs?: number; readonly roles?: readonly string[] } = {},
  ): Promise<{ token: string; record: TokenRecord }> {
    const { membership, audit, clock } = this.#options;
    membership.authoritySigner();
    const ttlMs = options.ttlMs ?? defaultInviteMs;
    const { lan, relay } = this.#options.federation();
    // A token that leads to a relay which is down would only fail later, and elsewhere.
    const relayIsUp = relay?.relayStates.some(({ status }) => status === "up");
    const hints = [
      ...(lan?.guestAddresses(clock.nowMs() + ttlMs) ?? []),
      ...(relayIsUp ? relay!.guestAddresses(clock.nowMs() + ttlMs) : []),
    ];
    if (hints.length === 0) {
      throw new HubError({
        code: "NO_INVITE_ADDRESS",
        message: "Nobody could reach this hub to join.",
        hint: "Start it with `fed up --lan`, or with `--relay URL` and a relay that is up.",
      });
    }
    const { record, secret } = await this.#tokens.issue({ ttlMs, roles: options.roles });
    audit.note({ type: "invite.issued", token: record.id, expiresAtMs: record.expiresAtMs });
    return { token: formatPairingToken({ secret, pin: membership.pin, hints: hints.slice(0, 8) }), record };
  }

  /**
   * Redeems a pairing token and becomes a member with keys this hub made itself.
   * Resolves after the first session as a member, or after 10 s without one.
   */
  async join(
    token: string,
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<{ via: string; connected: boolean }> {
    const { identity, membership, audit, clock, refederate, guestDials: dials } = this.#options;
    membership.assertMayJoin();
    let accepted = false;
    const joining = join(token, {
      dials,
      hubId: identity.hubId,
      name: identity.name,
      key: identity.leafKey,
      noiseKey: identity.noiseKey.publicKey,
      verifyIssuer: (leaf, ca) => {
        verifyLeaf(leaf, { cas: [ca], clusterId: readLeafClaims(leaf).clusterId, atMs: clock.nowMs() });
      },
      accept: async (welcome, pin) => {
        await membership.accept(welcome, pin);
        if (welcome.revocations !== null)
          await (await this.#options.revocation()).adopt(welcome.revocations, membership.current);
        accepted = true;
      },
      clock,
      signal: options.signal,
    });
    const hint = await joining.catch(async (cause: unknown) => {
      // The last word was lost after this hub had become a member: it is one, and takes up its place.
      if (accepted) await refederate();
      throw cause;
    });
    audit.note({ type: "cluster.joined", cluster: membership.clusterId });
    const [via, address] = splitHint(hint);
    if (via === "lan") await rememberAddress(this.#options.store, address);
    await refederate();
    return { via, connected: await this.#firstSession() };
  }

  /** Speaks the issuer's part with somebody who connected to join. */
  async welcome(connection: Connection): Promise<void> {
    const { membership, audit, clock } = this.#options;
    try {
      const revocation = await this.#options.revocation();
      const { request, token } = await acceptJoin(connection, {
        tokens: this.#tokens,
        pins: membership.cas.map(caPin),
        admit: (candidate) => {
          membership.admit(candidate);
          revocation.assertLeaf({ hubId: candidate.hubId, serial: "", spki: spkiHash(candidate.publicKey) });
        },
        enroll: async (candidate) => {
          this.#advance(candidate.hubId, "token-redeemed");
          const welcome = await membership.enroll(candidate);
          this.#advance(candidate.hubId, "manifest-lists-it");
          return { ...welcome, revocations: revocation.signed() ?? null };
        },
        clock,
      });
      audit.note({ type: "member.joined", hub: request.hubId, name: request.name, token: token.id });
    } catch (cause) {
      const error = toFedError(cause);
      const { remoteAddress: from } = connection;
      if (error.code === "JOIN_UNCONFIRMED") audit.note({ type: "member.unconfirmed", from, code: error.code });
      else this.#options.onJoinRefused(from, error);
    }
  }

  /** A session with `hubId` came up or was lost. */
  sessionChanged(hubId: HubId, up: boolean): void {
    this.#advance(hubId, up ? "session-up" : "session-lost");
  }

  /** The hub is out for good. */
  markRevoked(hubId: HubId): void {
    this.#states.set(hubId, "revoked");
  }

  /** A pairing token was revoked. */
  closeToken(id: string): void {
    this.#tokens.close(id).catch((cause: unknown) => {
      this.#options.audit.note({ type: "token.open", token: id, code: toFedError(cause).code });
    });
  }

  /** All other members and where they stand. */
  peers(): Peer[] {
    const { membership } = this.#options;
    if (!membership.joined) return [];
    const { router, sync, revocation } = this.#options.federation();
    const reachable = new Map(router.peers().map((peer) => [peer.hubId, peer]));
    return membership.others.map((member) => {
      const revoked = revocation?.isRevoked("hub", member.hubId) !== undefined;
      const live = reachable.get(member.hubId);
      return {
        hubId: member.hubId,
        name: member.name,
        roles: member.roles,
        state: revoked ? "revoked" : this.#stateOf(member.hubId),
        path: revoked ? undefined : live?.path,
        rttMs: revoked ? undefined : live?.rttMs,
        holds: sync.peers.get(member.hubId),
      };
    });
  }

  /** Every way to a hub, and why. @throws {HubError} HUB_UNKNOWN. */
  paths(hub: string): PathStatus[] {
    return this.#options.federation().router.paths(this.#options.membership.resolve(hub).hubId);
  }

  /** What became of the ways to a hub lately, oldest first. @throws {HubError} HUB_UNKNOWN. */
  pathHistory(hub: string): readonly PathEvent[] {
    return this.#options.federation().router.pathHistory(this.#options.membership.resolve(hub).hubId);
  }

  /** @throws {HubError} NOT_IN_CLUSTER. */
  status(): ClusterStatus {
    const { membership } = this.#options;
    const { manifest, clusterId } = membership.current;
    const { lan, relay, router, revocation, stopped } = this.#options.federation();
    const listening = router.listening().find(({ transport }) => transport === "lan");
    return {
      name: manifest.cluster.name,
      clusterId,
      manifestVersion: manifest.version,
      manifestExpiresAtMs: manifest.expiresAt * 1000,
      authority: {
        threshold: manifest.authority.threshold,
        keys: manifest.authority.keys.length,
        held: membership.isAuthority,
      },
      members: manifest.members.map(({ hubId, name, roles }) => ({ hubId, name, roles })),
      leafExpiresAtMs: membership.leaf.notAfterMs,
      revocations: revocation?.size ?? 0,
      relayAdmissionKey: formatAdmissionKey(deriveRelayKeys(membership.clusterKey).admissionPublicKey),
      relays: relay?.relayStates ?? [],
      stopped: stopped && reportError(stopped),
      lan: lan && {
        addresses: listening?.addresses ?? [],
        discovery: lan.discoveryState().status,
        seenByMulticast: this.#options.federation().seenByMulticast,
        error: listening?.error && { code: listening.error.code, message: listening.error.message },
      },
    };
  }

  #stateOf(hubId: HubId): PeerState {
    return this.#states.get(hubId) ?? "enrolled";
  }

  #advance(hubId: HubId, event: Parameters<typeof nextPeerState>[1]): void {
    const before = event === "token-redeemed" ? "proposed" : this.#stateOf(hubId);
    if (before !== "revoked") this.#states.set(hubId, nextPeerState(before, event));
  }

  async #firstSession(): Promise<boolean> {
    const { clock } = this.#options;
    const deadline = clock.monotonicMs() + firstSessionMs;
    while (clock.monotonicMs() < deadline) {
      if (
        this.#options
          .federation()
          .router.peers()
          .some((peer) => peer.path !== undefined)
      )
        return true;
      await pause(clock, 20);
    }
    return false;
  }
}

/** Transport and address of a guest address `<transport>:<address>`. */
function splitHint(hint: string): [via: string, address: string] {
  const colon = hint.indexOf(":");
  return [hint.slice(0, colon), hint.slice(colon + 1)];
}
