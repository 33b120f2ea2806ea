/**
 * A hub in a web page: the same identity, membership, federation, sharing policy and audit log as on Node, over what a browser
 * has. It is reached through relays alone, its apps are functions of the page, and it lives as long as the page does; what it
 * keeps, keys among it, stays in the origin's IndexedDB for the next time.
 */
import { type Clock, type HubId, systemClock } from "@fed/core";
import { createRelayGuestDial } from "@fed/transport-relay";
import { openAuditTrail } from "../audit-trail.js";
import { Cluster } from "../cluster/cluster.js";
import { type Membership, openMembership } from "../cluster/membership.js";
import { Networks } from "../cluster/networks.js";
import type { Hub } from "../contract.js";
import { Opened } from "../opened.js";
import type { Logger } from "../options.js";
import { openPolicyBook, type PolicyBook } from "../policy-book.js";
import { createRefusalLog } from "../refusal-log.js";
import { openIdentity } from "../state/identity.js";
import { openUsedKeys } from "../state/used-keys.js";
import { createIndexedDbSegmentStore } from "./indexed-db-segments.js";
import { createIndexedDbStore } from "./indexed-db-store.js";
import { createPageApps, type PageApp } from "./page-apps.js";
import { openPageDatabase } from "./page-database.js";
import { openPageSecrets } from "./page-secrets.js";

/** Options of {@link createPageHub}. */
export interface PageHubOptions {
  /** Makes the hub's identity under this name when the database holds none. */
  readonly name: string;
  readonly apps?: Readonly<Record<string, PageApp>>;
  /** Federate over these relays; default those the manifest names, once the hub is in a cluster. */
  readonly relays?: readonly string[];
  /** The IndexedDB database of this origin that the hub is kept in. Default `fed-hub`. */
  readonly database?: string;
  readonly log?: Logger;
  readonly clock?: Clock;
}

/** A hub in this page. */
export interface PageHub extends AsyncDisposable {
  readonly hubId: HubId;
  readonly name: string;
  /** Whether it is in a cluster. */
  readonly joined: boolean;
  readonly cluster: Pick<Hub["cluster"], "join" | "status" | "peers" | "revocations" | "paths" | "pathHistory">;
  readonly sharing: Hub["sharing"];
  readonly audit: Hub["audit"];
  /** Leaves the cluster's relays and lets go of the database. Idempotent. */
  close(): Promise<void>;
}

const silent: Logger = { info() {}, warn() {} };

/**
 * Opens the page's hub. Nothing is shared before `sharing.share`, and nothing connected before `cluster.join`.
 * @throws {HubError} STATE_LOCKED when another page runs it, STATE_UNWRITABLE, STATE_CORRUPT, APP_CONFIG_INVALID,
 * REQUEST_INVALID for a name that is none. @throws {AuditError} AUDIT_TAMPERED, AUDIT_TRUNCATED.
 */
export async function createPageHub(options: PageHubOptions): Promise<PageHub> {
  const { name, database: databaseName = "fed-hub", clock = systemClock, log = silent } = options;
  const apps = createPageApps(options.apps ?? {});
  const opened = new Opened();
  try {
    const database = opened.use(await openPageDatabase(databaseName));
    const store = opened.use(createIndexedDbStore(database));
    const directory = await openPageSecrets(store, `the database ${databaseName} of this origin`);
    const identity = await openIdentity(directory, store, name);
    const audit = opened.use(
      await openAuditTrail({
        segments: createIndexedDbSegmentStore(database),
        key: identity.auditKey,
        store,
        clock,
        onError: (error) => log.warn({ error }, "an audit record could not be written"),
      }),
    );
    const refusals = createRefusalLog((event) => audit.note(event), clock);
    opened.defer(() => refusals.close());
    const membership = await openMembership({ identity, directory, store, clock });
    const keys = await openUsedKeys(store, clock);
    const policy = await openPolicyBook(store, () => {
      networks.announce();
      audit.note({ type: "policy.changed" });
    });
    const networks = new Networks({
      identity,
      membership,
      store,
      audit,
      clock,
      log,
      refusals,
      telemetry: { refused() {} },
      nameOfHub: (hubId) => membership.nameOf(hubId),
      relays: options.relays,
      cluster: () => cluster,
      parts: async () => ({
        apps,
        policy,
        // Whoever shares an app of a page has said yes to its calls.
        consent: { required: () => false, decide: async () => "once" },
        audit,
        keys,
        lan: undefined,
        connectRelay: undefined,
        peerRate: undefined,
        onListing() {},
      }),
    });
    opened.defer(() => networks.close());
    const cluster = new Cluster({
      identity,
      membership,
      store,
      audit,
      clock,
      revocation: () => networks.openRevocation(),
      federation: () => networks.federation,
      refederate: () => networks.refederate(),
      onJoinRefused: (from, error) => refusals.add(from, error, "join.refused"),
      guestDials: { relay: createRelayGuestDial({ clock }) },
      relays: options.relays ?? [],
    });
    await networks.refederate();
    return pageHub({ hubId: identity.hubId, name: identity.name, membership, cluster, policy, audit, opened }, () =>
      networks.revocation?.list(),
    );
  } catch (error) {
    await opened[Symbol.asyncDispose]();
    throw error;
  }
}

interface Parts extends Pick<PageHub, "hubId" | "name" | "audit"> {
  readonly membership: Membership;
  readonly cluster: Cluster;
  readonly policy: PolicyBook;
  readonly opened: Opened;
}

function pageHub(parts: Parts, revocations: PageHub["cluster"]["revocations"]): PageHub {
  const { hubId, name, membership, cluster, policy, audit, opened } = parts;
  const close = () => opened[Symbol.asyncDispose]();
  return {
    hubId,
    name,
    get joined() {
      return membership.joined;
    },
    cluster: {
      join: (token, options) => cluster.join(token, options),
      status: () => cluster.status(),
      peers: () => cluster.peers(),
      revocations,
      paths: (hub) => cluster.paths(hub),
      pathHistory: (hub) => cluster.pathHistory(hub),
    },
    get sharing() {
      return { policy: policy.current, share: policy.share, unshare: policy.unshare };
    },
    audit,
    close,
    [Symbol.asyncDispose]: close,
  };
}
