/** What connects a hub to the others: its transports, the sessions over them, and the router that picks among them. */
import {
  type Clock,
  type Connection,
  decodeBase64Url,
  type FedError,
  type HubId,
  isFedError,
  type PeerAuthenticator,
  type PeerIdentity,
  type Session,
  type Transport,
} from "@fed/core";
import type { RevocationChecker } from "@fed/revocation";
import {
  type Consent,
  createRouter,
  type Envelope,
  type EnvelopeSigner,
  type EnvelopeVerifier,
  type KeyJournal,
  type ListedApp,
  type LocalApps,
  type Member,
  type Rate,
  type Router,
  type SharingPolicy,
} from "@fed/router";
import { createSessions } from "@fed/session";
import type { LanTransport } from "@fed/transport-lan";
import {
  createRelayTransport,
  deriveRelayKeys,
  type RelayState,
  type RelayTransport,
  type WebSocketConnect,
} from "@fed/transport-relay";
import {
  createEnvelopeSigner,
  createOriginCache,
  createReplayGuard,
  createSigner,
  memberOf,
  sha256,
  type VerifiedEnvelope,
  verifyEnvelope,
} from "@fed/trust";
import type { AuditTrail } from "../audit-trail.js";
import { HubError } from "../errors.js";
import type { Identity } from "../state/identity.js";
import { createLanCandidates, type LanCandidates } from "./lan-candidates.js";
import type { Membership } from "./membership.js";
import { PeerLeaves } from "./peer-leaves.js";
import { createRenewal, type Renewal } from "./renewal.js";
import { revokedError } from "./revoking.js";
import { createSync, type Sync } from "./sync.js";

/** What a federation is made from. */
export interface FederationOptions {
  readonly identity: Identity;
  readonly membership: Membership;
  /** Undefined while the hub is in no cluster. */
  readonly revocation: RevocationChecker | undefined;
  readonly apps: LocalApps;
  readonly policy: SharingPolicy;
  readonly consent: Consent;
  readonly audit: AuditTrail;
  readonly keys: KeyJournal;
  readonly clock: Clock;
  /** Makes the LAN transport of a member. Undefined: not on the LAN. */
  readonly lan: ((authenticator: PeerAuthenticator) => LanTransport) | undefined;
  readonly relays: readonly string[];
  /** Why this hub stays out of every network and calls no other, if so. */
  readonly stopped: FedError | undefined;
  /** Undefined: the platform's own WebSocket. */
  readonly connectRelay: WebSocketConnect | undefined;
  /** Of each peer; default the router's. */
  readonly peerRate: Rate | undefined;
  /** A member answered at this LAN address, `host:port`. */
  readonly onReached: (address: string) => void;
  /** Another hub showed an operator something that is not remembered of it yet. */
  readonly onListing: (hubId: HubId, apps: readonly ListedApp[]) => void;
  /** Somebody connected to join. */
  readonly onGuest: (connection: Connection) => void;
  readonly onPeerUp: (peer: PeerIdentity) => void;
  readonly onPeerDown: (peer: PeerIdentity, error: FedError | undefined) => void;
  /** A peer counts another process with this hub's id. */
  readonly onDisplaced: (peer: HubId) => void;
  readonly onRefused: (where: string, error: FedError) => void;
  /** A request of a peer was above its rate or number. */
  readonly onOverload: (peer: HubId, error: FedError) => void;
  /** The leaf or the manifest could not be renewed now; it is tried again. */
  readonly onRenewalFailed: (error: FedError) => void;
  readonly onRelayState: (state: RelayState) => void;
}

/** A hub's connections. Before it is in a cluster there are none, and the router reaches local apps only. */
export class Federation implements AsyncDisposable {
  readonly router: Router;
  readonly lan: LanTransport | undefined;
  readonly relay: RelayTransport | undefined;
  readonly sync: Sync;
  readonly renewal: Renewal;
  readonly revocation: RevocationChecker | undefined;
  readonly #candidates: LanCandidates;
  /** Candidates that multicast shows now: one for each member of this cluster. */
  readonly #seen = new Set<string>();
  readonly #options: FederationOptions;

  constructor(options: FederationOptions) {
    const { identity, membership, revocation, clock } = options;
    this.#options = options;
    this.revocation = revocation;
    const peerLeaves = new PeerLeaves({
      manifest: () => membership.current,
      clock,
      assertLeaf: (leaf) => revocation?.assertLeaf(leaf),
    });
    const isOut = !membership.joined || options.stopped !== undefined;
    this.lan = isOut ? undefined : options.lan?.(peerLeaves);
    this.relay = isOut || options.relays.length === 0 ? undefined : createRelay(options, peerLeaves);
    this.sync = createSync({
      state: {
        heads: () => ({ manifest: membership.current.manifest.version, revocations: revocation?.size ?? 0 }),
        manifestsAfter: (version) => membership.chain.slice(version),
        revocationList: () => revocation?.signed(),
        adoptManifests: (signed) => membership.adoptNext(signed),
        adoptRevocationList: async (signed) => revocation?.adopt(signed, membership.current),
      },
      clock,
      onRefused: options.onRefused,
    });
    this.#candidates = createLanCandidates({ lan: this.lan, clock, onRefused: options.onRefused });
    this.renewal = createRenewal({
      membership,
      clock,
      sessions: () => this.router.peers().flatMap(({ hubId }) => this.router.session(hubId) ?? []),
      peerLeaves,
      onIssued: ({ hubId, serial }) => options.audit.record({ type: "leaf.issued", hub: hubId, serial }),
      onError: options.onRenewalFailed,
    });
    const sessions = createSessions({ epoch: identity.bootNonce, clock });
    const greeted = new WeakSet<Session>();
    this.router = createRouter({
      self: { hubId: identity.hubId, name: identity.name },
      transports: [this.lan && this.#watched(this.lan), this.relay].filter((transport) => transport !== undefined),
      sessions: {
        open: async (connection, handler, options) => {
          const session = await sessions.open(connection, handler, options);
          // A further connection goes on with the same session, whose streams are there already.
          if (session.role === "initiator" && !greeted.has(session)) {
            greeted.add(session);
            this.sync.start(session);
            this.#candidates.start(session);
          }
          return session;
        },
        refuse: sessions.refuse,
      },
      signer: createSigning(options),
      verifier: createVerifying(options, peerLeaves),
      digest: sha256,
      authorizePeer: (peer) => revocation?.assertLeaf(peer),
      revocation: {
        assertCaller(caller, peer) {
          if (peer) revocation?.assertLeaf(peer);
          revocation?.assertPrincipals({ hubs: caller.hubs, operators: [caller.operator] });
        },
        get size() {
          return revocation?.size ?? 0;
        },
      },
      policy: options.policy,
      consent: options.consent,
      audit: options.audit,
      keys: options.keys,
      apps: options.apps,
      ...(options.peerRate ? { peerRate: options.peerRate } : {}),
      protocols: {
        sync: (session, stream) => this.sync.serve(session, stream),
        lan: (session, stream) => this.#candidates.serve(session, stream),
        renew: (session, stream) => void this.renewal.serveRenew(session, stream),
        leaf: (session, stream) => void this.renewal.serveLeaf(session, stream),
      },
      onLargerRevocationSize: (_peer, size) => this.sync.catchUp(size),
      onListing: options.onListing,
      onGuest: options.onGuest,
      onRefused: options.onRefused,
      onOverload: options.onOverload,
      onPeerUp: (peer) => {
        options.onPeerUp(peer);
        void this.renewal.greet(peer);
      },
      onPeerDown: options.onPeerDown,
      onDisplaced: options.onDisplaced,
      clock,
    });
    this.refreshMembers();
  }

  /** `lan`, with an eye on what its discovery finds and where members answer. */
  #watched(lan: LanTransport): Transport {
    return {
      ...lan,
      dial: async (address, options) => {
        const connection = await lan.dial(address, options);
        this.#options.onReached(connection.remoteAddress);
        return connection;
      },
      discover: (onCandidate) =>
        lan.discover((candidate) => {
          if (candidate.source === "mdns") this.#seen[candidate.present ? "add" : "delete"](candidate.address);
          onCandidate(candidate);
        }),
    };
  }

  /** How many hubs of this cluster multicast shows now; one that has just restarted may count twice. */
  get seenByMulticast(): number {
    return this.#seen.size;
  }

  /** Renews what this hub can by itself; begins to listen, to look for peers and to dial. */
  async start(): Promise<void> {
    await this.renewal.start();
    await this.router.start();
  }

  /** Takes over the manifest in force: who may be dialled and where. Revoked members stay cut off. */
  refreshMembers(): void {
    const { membership, revocation, stopped } = this.#options;
    if (!membership.joined) return;
    const revoked = (hubId: HubId) => revocation?.isRevoked("hub", hubId);
    this.router.setMembers(
      membership.others.map(
        ({ hubId, name }): Member => ({
          hubId,
          name,
          addresses: this.relay && !revoked(hubId) ? [{ transport: "relay", address: hubId }] : [],
        }),
      ),
    );
    for (const { hubId } of membership.others) {
      const entry = revoked(hubId);
      if (entry) this.router.cut(hubId, revokedError(entry));
      else if (stopped) this.router.cut(hubId, stopped);
    }
    this.lan?.reloadCredentials();
  }

  /** Why this hub stays out of every network, if so. */
  get stopped(): FedError | undefined {
    return this.#options.stopped;
  }

  /** Ends every session and leaves every network. Idempotent. */
  async close(): Promise<void> {
    this.renewal.close();
    await this.router.close();
    await this.relay?.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

function createRelay(
  { identity, membership, relays, connectRelay, clock, onRelayState }: FederationOptions,
  authenticator: PeerAuthenticator,
): RelayTransport {
  return createRelayTransport({
    relays,
    self: identity.hubId,
    noiseKey: identity.noiseKey,
    leaf: () => ({ leaf: membership.leaf.der, chain: membership.cas }),
    authenticator,
    relayKeys: deriveRelayKeys(membership.clusterKey),
    noiseKeyOf: (hubId) => {
      const member = memberOf(membership.current.manifest, hubId);
      return member && decodeBase64Url(member.noise);
    },
    connect: connectRelay,
    clock,
    onState: onRelayState,
  });
}

function createSigning({ identity, membership, clock }: FederationOptions): EnvelopeSigner {
  if (!membership.joined) {
    return {
      sign() {
        throw new HubError({
          code: "NOT_IN_CLUSTER",
          message: "This hub is in no cluster.",
          hint: "Found one with `fed cluster create NAME`, or join one with `fed join TOKEN`.",
        });
      },
    };
  }
  const signer = createEnvelopeSigner({
    signer: createSigner(identity.leafKey.secretKey),
    hubId: identity.hubId,
    thumbprint: () => membership.leaf.thumbprint,
    audience: membership.clusterId,
    clock,
  });
  return {
    sign: ({ caller, to, epoch, bodyDigest, incoming }) =>
      signer.sign({
        operator: caller.operator,
        roles: caller.roles,
        scope: caller.scope,
        to,
        epoch,
        bodyDigest,
        incoming,
      }),
  };
}

function createVerifying(
  { identity, membership, revocation, clock }: FederationOptions,
  peerLeaves: PeerLeaves,
): EnvelopeVerifier {
  const replay = createReplayGuard();
  const origins = createOriginCache();
  const verifyFrom = (envelope: Envelope, peer: PeerIdentity, bodyDigest: Uint8Array) =>
    verifyEnvelope(envelope, {
      self: identity.hubId,
      epoch: identity.epoch,
      peer,
      audience: membership.clusterId,
      bodyDigest,
      atMs: clock.nowMs(),
      publicKeyOf: (hubId) => peerLeaves.publicKeyOf(hubId),
      replay,
      origins,
    });
  return {
    verify(envelope, { peer, bodyDigest }) {
      let verified: VerifiedEnvelope;
      try {
        verified = verifyFrom(envelope, peer, bodyDigest);
      } catch (cause) {
        const renewed = peerLeaves.renewed(peer);
        if (!renewed || !isFedError(cause) || cause.code !== "WRONG_SENDER") throw cause;
        revocation?.assertLeaf(renewed);
        verified = verifyFrom(envelope, { ...peer, thumbprint: renewed.thumbprint }, bodyDigest);
      }
      const { operator, homeHub, roles, scope, hubs, txn } = verified;
      return { operator, homeHub, roles, scope, hubs, txn, local: false };
    },
  };
}
