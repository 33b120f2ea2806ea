/** What connects a hub to the others: its transports, the sessions over them, and the router that picks among them. */
import { createHmac } from "node:crypto";
import {
  type Clock,
  type Connection,
  decodeBase64Url,
  encodeHex,
  type FedError,
  type HubId,
  type PeerIdentity,
} from "@fed/core";
import type { RevocationChecker } from "@fed/revocation";
import {
  type AuditSink,
  createRouter,
  type EnvelopeSigner,
  type EnvelopeVerifier,
  type LocalApps,
  type Member,
  type Router,
  type SharingPolicy,
} from "@fed/router";
import { createSession } from "@fed/session";
import { createLanTransport, type LanTransport } from "@fed/transport-lan";
import { createRelayTransport, deriveRelayKeys, type RelayState, type RelayTransport } from "@fed/transport-relay";
import {
  createEnvelopeSigner,
  createOriginCache,
  createReplayGuard,
  createSigner,
  encodePrivateKeyPem,
  memberOf,
  sha256,
  verifyEnvelope,
} from "@fed/trust";
import { HubError } from "../errors.js";
import type { LanOptions } from "../options.js";
import type { Identity } from "../state/identity.js";
import type { Membership } from "./membership.js";
import { connectRelay } from "./relay-socket.js";
import { createSync, type Sync } from "./sync.js";

const dayMs = 24 * 60 * 60_000;

/** What a federation is made from. */
export interface FederationOptions {
  readonly identity: Identity;
  readonly membership: Membership;
  /** Undefined while the hub is in no cluster. */
  readonly revocation: RevocationChecker | undefined;
  readonly apps: LocalApps;
  readonly policy: SharingPolicy;
  readonly audit: AuditSink;
  readonly clock: Clock;
  /** Undefined: not on the LAN. */
  readonly lan: LanOptions | undefined;
  readonly relays: readonly string[];
  /** Somebody connected to join. */
  readonly onGuest: (connection: Connection) => void;
  readonly onPeerUp: (peer: PeerIdentity) => void;
  readonly onPeerDown: (peer: PeerIdentity, error: FedError | undefined) => void;
  readonly onRefused: (where: string, error: FedError) => void;
  readonly onRelayState: (state: RelayState) => void;
}

/** A hub's connections. Before it is in a cluster there are none, and the router reaches local apps only. */
export class Federation implements AsyncDisposable {
  readonly router: Router;
  readonly lan: LanTransport | undefined;
  readonly relay: RelayTransport | undefined;
  readonly sync: Sync;
  readonly revocation: RevocationChecker | undefined;
  readonly #options: FederationOptions;

  constructor(options: FederationOptions) {
    const { identity, membership, revocation, clock } = options;
    this.#options = options;
    this.revocation = revocation;
    this.lan = membership.joined && options.lan ? createLan(options.lan, options) : undefined;
    this.relay = membership.joined && options.relays.length > 0 ? createRelay(options) : undefined;
    this.sync = createSync({
      state: {
        heads: () => ({ manifest: membership.current.manifest.version, revocations: revocation?.size ?? 0 }),
        manifestsAfter: (version) => membership.chain.slice(version),
        revocationList: () => revocation?.signed(),
        adoptManifests: (signed) => membership.adoptNext(signed),
        adoptRevocationList: async (signed) => revocation?.adopt(signed, membership.current),
      },
      nowMs: () => clock.nowMs(),
      onRefused: options.onRefused,
    });
    this.router = createRouter({
      self: { hubId: identity.hubId, name: identity.name },
      transports: [this.lan, this.relay].filter(
        (transport): transport is LanTransport | RelayTransport => transport !== undefined,
      ),
      openSession: async (connection, handler) => {
        const session = await createSession(connection, { epoch: identity.bootNonce, handler, clock });
        if (session.role === "initiator") this.sync.start(session);
        return session;
      },
      signer: createSigning(options),
      verifier: createVerifying(options),
      digest: sha256,
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
      audit: options.audit,
      apps: options.apps,
      protocols: { sync: (session, stream) => this.sync.serve(session, stream) },
      onLargerRevocationSize: () => this.sync.announce(),
      onGuest: options.onGuest,
      onRefused: options.onRefused,
      onPeerUp: options.onPeerUp,
      onPeerDown: options.onPeerDown,
      clock,
    });
    this.refreshMembers();
  }

  /** Begins to listen, to look for peers and to dial. */
  start(): Promise<void> {
    return this.router.start();
  }

  /** Takes over the manifest in force: who may be dialled and where. Revoked members stay cut off. */
  refreshMembers(): void {
    const { membership, revocation } = this.#options;
    if (!membership.joined) return;
    const reachable = membership.others.filter((member) => !revocation?.isRevoked("hub", member.hubId));
    this.router.setMembers(
      reachable.map(
        (member): Member => ({
          hubId: member.hubId,
          name: member.name,
          addresses: this.relay ? [{ transport: "relay", address: member.hubId }] : [],
        }),
      ),
    );
    this.lan?.reloadCredentials();
  }

  /** Ends every session and leaves every network. Idempotent. */
  async close(): Promise<void> {
    await this.router.close();
    await this.relay?.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

function createLan(lan: LanOptions, { identity, membership, revocation, clock }: FederationOptions): LanTransport {
  const tagKey = createHmac("sha256", membership.clusterKey).update("fed-lan-tag/1").digest();
  const tagOf = (day: number) => encodeHex(createHmac("sha256", tagKey).update(String(day)).digest().subarray(0, 8));
  const dayOf = (atMs: number) => Math.floor(atMs / dayMs);
  return createLanTransport({
    credentials: () => ({
      leaf: membership.leaf.der,
      privateKeyPem: encodePrivateKeyPem(identity.leafKey.secretKey),
      caCertificates: membership.cas,
    }),
    authenticator: membership.authenticator((leaf) => revocation?.assertLeaf(leaf)),
    self: identity.hubId,
    host: lan.listen?.host,
    port: lan.listen?.port,
    staticPeers: lan.peers,
    discovery:
      lan.discovery === false
        ? undefined
        : {
            bootId: identity.epoch,
            clusterTag: (atMs) => tagOf(dayOf(atMs)),
            acceptedTags: (atMs) => [dayOf(atMs) - 1, dayOf(atMs), dayOf(atMs) + 1].map(tagOf),
          },
    clock,
  });
}

function createRelay({
  identity,
  membership,
  revocation,
  relays,
  clock,
  onRelayState,
}: FederationOptions): RelayTransport {
  return createRelayTransport({
    relays,
    self: identity.hubId,
    noiseKey: identity.noiseKey,
    leaf: () => ({ leaf: membership.leaf.der, chain: membership.cas }),
    authenticator: membership.authenticator((leaf) => revocation?.assertLeaf(leaf)),
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

function createVerifying({ identity, membership, clock }: FederationOptions): EnvelopeVerifier {
  const replay = createReplayGuard();
  const origins = createOriginCache();
  const publicKeyOf = (hubId: HubId) => membership.publicKeyOf(hubId);
  return {
    verify(envelope, { peer, bodyDigest }) {
      const { operator, homeHub, roles, scope, hubs, txn } = verifyEnvelope(envelope, {
        self: identity.hubId,
        epoch: identity.epoch,
        peer,
        audience: membership.clusterId,
        bodyDigest,
        atMs: clock.nowMs(),
        publicKeyOf,
        replay,
        origins,
      });
      return { operator, homeHub, roles, scope, hubs, txn, local: false };
    },
  };
}
