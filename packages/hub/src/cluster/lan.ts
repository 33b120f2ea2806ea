/** A hub's part in its LAN. */
import type { Clock, PeerAuthenticator } from "@fed/core";
import { encodeGreeting } from "@fed/session";
import { createClusterTags, createLanTransport, type LanTransport } from "@fed/transport-lan";
import { encodePrivateKeyPem } from "@fed/trust";
import type { LanOptions } from "../options.js";
import type { Identity } from "../state/identity.js";
import type { Membership } from "./membership.js";

/** What {@link createLan} works with. */
export interface LanParts {
  readonly identity: Identity;
  readonly membership: Membership;
  readonly authenticator: PeerAuthenticator;
  readonly clock: Clock;
}

/** The transport of a member that is on the LAN as `options` say. */
export function createLan(options: LanOptions, { identity, membership, authenticator, clock }: LanParts): LanTransport {
  return createLanTransport({
    credentials: () => ({
      leaf: membership.leaf.der,
      privateKeyPem: encodePrivateKeyPem(identity.leafKey.secretKey),
      caCertificates: membership.cas,
    }),
    authenticator,
    self: identity.hubId,
    greeting: encodeGreeting(identity.bootNonce),
    host: options.listen?.host,
    port: options.listen?.port,
    staticPeers: options.peers,
    discovery:
      options.discovery === false ? undefined : { bootId: identity.epoch, ...createClusterTags(membership.clusterKey) },
    clock,
  });
}
