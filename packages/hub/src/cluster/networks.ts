/**
 * What a hub has of its cluster's networks: the federation in force and what is revoked in it. The federation is made anew
 * when the hub has joined, and once more, without a network, when another process runs from a copy of its state.
 */
import type { Clock, FedError, HubId, Store } from "@fed/core";
import { createRevocationChecker, type RevocationChecker, type RevocationEntry } from "@fed/revocation";
import type { AuditTrail } from "../audit-trail.js";
import type { Logger } from "../options.js";
import type { RefusalLog } from "../refusal-log.js";
import type { Identity } from "../state/identity.js";
import type { Telemetry } from "../telemetry/telemetry.js";
import type { Cluster } from "./cluster.js";
import { DuplicateWatch } from "./duplicate.js";
import { Federation, type FederationOptions } from "./federation.js";
import { federationEvents } from "./federation-events.js";
import type { Membership } from "./membership.js";
import { applyRevocations } from "./revoking.js";

/** What a page and Node give a federation each in their way. */
export type FederationParts = Pick<
  FederationOptions,
  "apps" | "policy" | "consent" | "audit" | "keys" | "lan" | "connectRelay" | "peerRate" | "onListing"
>;

/** Options of {@link Networks}. */
export interface NetworksOptions {
  readonly identity: Identity;
  readonly membership: Membership;
  readonly store: Store;
  readonly audit: AuditTrail;
  readonly clock: Clock;
  readonly log: Logger;
  readonly refusals: RefusalLog;
  readonly telemetry: Pick<Telemetry, "refused">;
  readonly nameOfHub: (hubId: HubId) => string | undefined;
  /** Default those the manifest names, once the hub is in a cluster. */
  readonly relays: readonly string[] | undefined;
  readonly cluster: () => Cluster;
  /** For each federation. */
  readonly parts: () => Promise<FederationParts>;
  /** Hears of what is revoked after it has been cut here. */
  readonly onRevoked?: (added: readonly RevocationEntry[]) => void;
}

/** See the module header. */
export class Networks {
  readonly #options: NetworksOptions;
  readonly #duplicates: DuplicateWatch;
  #federation!: Federation;
  #revocation: RevocationChecker | undefined;
  #closed = false;

  /** Nothing is open before the first {@link refederate}. */
  constructor(options: NetworksOptions) {
    const { membership, audit, log } = options;
    this.#options = options;
    this.#duplicates = new DuplicateWatch({
      members: () =>
        membership.others.map(({ hubId }) => hubId).filter((hubId) => !this.#revocation?.isRevoked("hub", hubId)),
      leave: () => this.refederate(),
      audit,
      log,
    });
    membership.onChange(() => {
      this.#federation.refreshMembers();
      this.#federation.sync.announce();
      this.#duplicates.weigh();
    });
  }

  /** The one in force. */
  get federation(): Federation {
    return this.#federation;
  }

  /** What is revoked in the cluster, as far as this hub knows; undefined before {@link openRevocation}. */
  get revocation(): RevocationChecker | undefined {
    return this.#revocation;
  }

  /** Why this hub stays out of every network, if so. */
  get stopped(): FedError | undefined {
    return this.#duplicates.stopped;
  }

  /** Tells the others that this hub's apps, or who may use them, are others now. */
  announce(): void {
    this.#federation?.router.announce();
  }

  /** Loads what is revoked. @throws {HubError} NOT_IN_CLUSTER. */
  async openRevocation(): Promise<RevocationChecker> {
    const { membership, store, clock, cluster, onRevoked } = this.#options;
    this.#revocation ??= await createRevocationChecker({
      clusterId: membership.clusterId,
      store,
      clock,
      onChange: (added) => {
        applyRevocations(added, cluster(), this.#federation);
        onRevoked?.(added);
        this.#duplicates.weigh();
      },
    });
    return this.#revocation;
  }

  /** Ends the federation in force, and begins one with what the hub is now: a member, or a copy's elder. */
  async refederate(): Promise<void> {
    const { identity, membership, clock, cluster, relays, parts } = this.#options;
    await this.#federation?.close();
    const revocation = membership.joined ? await this.openRevocation() : undefined;
    const given = await parts();
    if (this.#closed) return;
    const named = membership.joined ? membership.current.manifest.relays.map(({ url }) => url) : [];
    this.#federation = new Federation({
      ...given,
      identity,
      membership,
      revocation,
      clock,
      relays: relays ?? named,
      stopped: this.#duplicates.stopped,
      ...federationEvents({ ...this.#options, cluster: cluster(), duplicates: this.#duplicates }),
      onGuest: (connection) => void cluster().welcome(connection),
    });
    await this.#federation.start();
  }

  /** Leaves every network, for good: none is entered any more. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#duplicates.close();
    await this.#federation?.close();
  }
}
