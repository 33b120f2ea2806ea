/** A hub, put together: identity, apps, policy, audit, cluster, and the ports for agents and operators. */
import { rmSync, writeFileSync } from "node:fs";
import type { VerifiedLog } from "@fed/audit-chain";
import { type Clock, type HubId, isFedError, type Store, systemClock } from "@fed/core";
import { createRevocationChecker, type RevocationChecker, type RevocationList } from "@fed/revocation";
import type { Caller, Notification, PathStatus } from "@fed/router";
import { formatPrincipal, type ShareOptions, type SharingPolicy } from "@fed/trust";
import { type AppHost, createAppHost } from "./apps/app-host.js";
import { type AuditEntry, type AuditTrail, openAuditTrail } from "./audit-trail.js";
import { Cluster, type ClusterStatus, type Peer } from "./cluster/cluster.js";
import { Federation } from "./cluster/federation.js";
import { knownAddresses } from "./cluster/known-addresses.js";
import { type Membership, openMembership } from "./cluster/membership.js";
import { applyRevocations, type RevocationReport, type RevocationTarget, revoke } from "./cluster/revoking.js";
import { Opened } from "./opened.js";
import { createOperatorTokens, type Operator, type OperatorTokens, type Scope } from "./operator.js";
import type { HubOptions, LanOptions, Logger } from "./options.js";
import { callScope, openPolicyBook, type PolicyBook } from "./policy-book.js";
import { createRefusalLog, type RefusalLog } from "./refusal-log.js";
import { createIdentity, type Identity, loadIdentity } from "./state/identity.js";
import { openSqliteStore } from "./state/sqlite-store.js";
import { openStateDirectory, type StateDirectory } from "./state/state-directory.js";
import { addApiRoutes } from "./surface/api.js";
import { type HttpServer, startHttpServer } from "./surface/http-server.js";
import { createSurface, type ListedApp } from "./surface/mcp-surface.js";

/** What to call. */
export interface HubCall {
  /** The hub's name or id; absent: this hub if it has the app, else the one that shows it. */
  readonly hub?: string;
  readonly app: string;
  readonly tool: string;
  readonly arguments?: Readonly<Record<string, unknown>>;
}

/** On whose authority, and how. */
export interface HubCallOptions {
  readonly operator: Operator;
  readonly signal?: AbortSignal;
  /** Default 60 000 ms. */
  readonly deadlineMs?: number;
  /** The owner returns the first outcome to every repetition for 10 minutes. */
  readonly idempotencyKey?: string;
  /** Each notification that belongs to the call, in order; progress is `notifications/progress`. */
  readonly onNotification?: (notification: Notification) => void;
}

/** What the CLI reads to find the running hub; mode 0600, gone when the hub has stopped. */
export interface RunFile {
  readonly url: string;
  readonly pid: number;
  /** An operator token with scope Admin, good for this run. */
  readonly token: string;
}

/** A hub in this process. */
export interface Hub extends AsyncDisposable {
  readonly hubId: HubId;
  readonly name: string;
  /** Where agents and operators reach it, or undefined without an HTTP port. */
  readonly url: string | undefined;
  readonly apps: {
    /** Every app the operator may use, on every hub. */
    list(options: { readonly operator: Operator; readonly signal?: AbortSignal }): Promise<ListedApp[]>;
    /** The tool's MCP result. @throws {FedError} when the call was refused or its fate is unknown. */
    call(call: HubCall, options: HubCallOptions): Promise<unknown>;
    /** Resolves when every local app's first start has ended, well or not. */
    settled(): Promise<void>;
  };
  readonly cluster: {
    create(options: { readonly name: string }): Promise<void>;
    /** A pairing token, shown once. */
    invite(options?: { readonly ttlMs?: number; readonly roles?: readonly string[] }): Promise<string>;
    join(
      token: string,
      options?: { readonly signal?: AbortSignal },
    ): Promise<{ readonly via: string; readonly connected: boolean }>;
    status(): ClusterStatus;
    exportPublic(directory: string): string[];
    revoke(target: RevocationTarget, reason: string): Promise<RevocationReport>;
    revocations(): RevocationList | undefined;
    peers(): Peer[];
    paths(hub: string): PathStatus[];
  };
  readonly sharing: {
    readonly policy: SharingPolicy;
    /** `target`: `local`, `cluster`, `role:R`, `principal:P` or `link:L`. */
    share(app: string, target: string, options?: ShareOptions): Promise<void>;
    unshare(app: string, target: string, options?: ShareOptions): Promise<void>;
  };
  readonly audit: {
    tail(count: number): Promise<AuditEntry[]>;
    verify(): Promise<VerifiedLog>;
  };
  readonly operators: {
    /** An operator of this hub, for calls from within this process. */
    local(name: string, options?: { readonly roles?: readonly string[]; readonly scope?: Scope }): Operator;
    issueToken(options: {
      readonly name: string;
      readonly roles?: readonly string[];
      readonly scope: Scope;
    }): Promise<string>;
  };
  /** Ends apps, sessions and ports. Idempotent. */
  close(): Promise<void>;
}

const silent: Logger = { info() {}, warn() {} };

/**
 * Opens the hub in `options.dir`. Federation is off until it is in a cluster and `lan` or `relays` say how.
 * @throws {HubError} STATE_MISSING, STATE_LOCKED, STATE_UNWRITABLE, STATE_CORRUPT, APP_CONFIG_INVALID, HTTP_PORT_IN_USE.
 */
export async function createHub(options: HubOptions): Promise<Hub> {
  const directory = openStateDirectory(options.dir, { create: options.name !== undefined });
  directory.lock();
  const opened = new Opened();
  opened.defer(() => directory.unlock());
  try {
    // What a hub that was killed left behind; now that the lock is ours, nobody listens there.
    rmSync(directory.file("run.json"), { force: true });
    const store = opened.use(openSqliteStore(directory.file("hub.sqlite")));
    const identity = await openIdentity(directory, store, options.name);
    const clock = options.clock ?? systemClock;
    const log = options.log ?? silent;
    const audit = opened.use(
      await openAuditTrail({
        directory: directory.file("audit"),
        key: identity.auditKey,
        store,
        clock,
        onError: (error) => log.warn({ error }, "an audit record could not be written"),
      }),
    );
    const hub = new RunningHub({ options, directory, store, identity, audit, clock, log, opened });
    opened.use(hub.appHost);
    opened.defer(() => hub.disconnect());
    await hub.open();
    return hub;
  } catch (error) {
    await opened[Symbol.asyncDispose]();
    throw error;
  }
}

async function openIdentity(directory: StateDirectory, store: Store, name: string | undefined): Promise<Identity> {
  try {
    return await loadIdentity(directory, store);
  } catch (error) {
    if (name === undefined || !isFedError(error) || error.code !== "STATE_MISSING") throw error;
    return createIdentity(directory, store, name);
  }
}

interface Parts {
  readonly options: HubOptions;
  readonly directory: StateDirectory;
  readonly store: Store;
  readonly identity: Identity;
  readonly audit: AuditTrail;
  readonly clock: Clock;
  readonly log: Logger;
  /** What to let go of, in reverse order, when the hub closes. */
  readonly opened: Opened;
}

class RunningHub implements Hub {
  readonly appHost: AppHost;
  readonly #parts: Parts;
  #membership!: Membership;
  #policy!: PolicyBook;
  #tokens!: OperatorTokens;
  #cluster!: Cluster;
  #federation!: Federation;
  #revocation: RevocationChecker | undefined;
  #http: HttpServer | undefined;
  readonly #refusals: RefusalLog;
  #closing: Promise<void> | undefined;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.appHost = createAppHost({ clock: parts.clock });
    this.#refusals = createRefusalLog((event) => parts.audit.note(event), parts.clock);
  }

  get hubId(): HubId {
    return this.#parts.identity.hubId;
  }

  get name(): string {
    return this.#parts.identity.name;
  }

  get url(): string | undefined {
    return this.#http?.url;
  }

  /** Takes up everything that needs another part to be there first. */
  async open(): Promise<void> {
    const { options, directory, store, identity, audit, clock } = this.#parts;
    this.#policy = await openPolicyBook(store, () => audit.note({ type: "policy.changed" }));
    this.#tokens = createOperatorTokens(store, identity.hubId);
    this.#membership = await openMembership({ identity, directory, store, clock });
    this.#membership.onChange(() => {
      this.#federation.refreshMembers();
      this.#federation.sync.announce();
    });
    this.#cluster = new Cluster({
      identity,
      membership: this.#membership,
      store,
      audit,
      clock,
      revocation: () => this.#openRevocation(),
      federation: () => this.#federation,
      refederate: () => this.#refederate(),
      onJoinRefused: (from, error) => this.#refusals.add(from, error, "join.refused"),
      lanEnabled: Boolean(options.lan),
      relays: options.relays || [],
    });
    for (const [name, config] of Object.entries(options.apps ?? {})) this.appHost.add(name, config);
    await this.#refederate();
    if (options.http) await this.#listen(options.http);
  }

  readonly apps: Hub["apps"] = {
    list: async ({ operator, signal }) => {
      const entries = await this.#federation.router.list(this.#callerOf(operator), { signal });
      return entries.map(({ hub, app, title, description, path, status, stale }) => ({
        hub: hub.name,
        hubId: hub.id,
        app,
        title,
        description,
        path,
        status,
        stale,
      }));
    },
    call: ({ hub, app, tool, arguments: args }, options) =>
      this.#request({ hub, app, method: "tools/call", params: { name: tool, arguments: args ?? {} } }, options),
    settled: () => this.appHost.settled(),
  };

  readonly cluster: Hub["cluster"] = {
    create: (options) => this.#cluster.create(options),
    invite: async (options) => (await this.#cluster.invite(options)).token,
    join: (token, options) => this.#cluster.join(token, options),
    status: () => this.#cluster.status(),
    exportPublic: (directory) => this.#cluster.exportPublic(directory),
    revoke: (target, reason) =>
      revoke(target, reason, {
        selfId: this.hubId,
        membership: this.#membership,
        federation: () => this.#federation,
        audit: this.#parts.audit,
        clock: this.#parts.clock,
      }),
    revocations: () => this.#revocation?.list(),
    peers: () => this.#cluster.peers(),
    paths: (hub) => this.#cluster.paths(hub),
  };

  get sharing(): Hub["sharing"] {
    const policy = this.#policy;
    return { policy: policy.current, share: policy.share, unshare: policy.unshare };
  }

  get audit(): Hub["audit"] {
    return this.#parts.audit;
  }

  readonly operators: Hub["operators"] = {
    local: (name, { roles = [], scope = "Admin" } = {}) => ({
      principal: formatPrincipal({ name, hubId: this.hubId }),
      roles,
      scope,
    }),
    issueToken: (options) => this.#tokens.issue(options),
  };

  close(): Promise<void> {
    this.#closing ??= (async () => {
      rmSync(this.#parts.directory.file("run.json"), { force: true });
      await this.#parts.opened[Symbol.asyncDispose]();
    })();
    return this.#closing;
  }

  /** Leaves every network; as far as it got where opening failed half-way. */
  async disconnect(): Promise<void> {
    await this.#http?.close();
    await this.#federation?.close();
    this.#refusals.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #request(
    target: {
      readonly hub?: string;
      readonly app: string;
      readonly method: string;
      readonly params: Record<string, unknown>;
    },
    { operator, signal, onNotification, deadlineMs, idempotencyKey }: HubCallOptions,
  ): Promise<unknown> {
    const { hub, app, method, params } = target;
    return this.#federation.router.call(
      { hub, app, method, params, idempotencyKey, readOnly: method !== "tools/call" },
      { caller: this.#callerOf(operator), signal, onNotification, deadlineMs },
    );
  }

  #callerOf(operator: Operator): Caller {
    return {
      operator: operator.principal,
      homeHub: this.hubId,
      roles: operator.roles,
      scope: callScope(operator.scope !== "ReadOnly"),
      local: true,
      hubs: [this.hubId],
    };
  }

  async #openRevocation(): Promise<RevocationChecker> {
    this.#revocation ??= await createRevocationChecker({
      clusterId: this.#membership.clusterId,
      store: this.#parts.store,
      clock: this.#parts.clock,
      onChange: (added) => applyRevocations(added, this.#cluster, this.#federation),
    });
    return this.#revocation;
  }

  async #refederate(): Promise<void> {
    const { options, identity, audit, clock, log } = this.#parts;
    const membership = this.#membership;
    const previous: Federation | undefined = this.#federation;
    await previous?.close();
    const named = membership.joined ? membership.current.manifest.relays.map(({ url }) => url) : [];
    this.#federation = new Federation({
      identity,
      membership,
      revocation: membership.joined ? await this.#openRevocation() : undefined,
      apps: this.appHost,
      policy: this.#policy,
      audit,
      clock,
      lan: await this.#lanOptions(),
      relays: options.relays === false ? [] : (options.relays ?? named),
      onGuest: (connection) => void this.#cluster.welcome(connection),
      onPeerUp: (peer) => {
        this.#cluster.sessionChanged(peer.hubId, true);
        log.info({ hub: peer.name }, "a hub is connected");
      },
      onPeerDown: (peer, error) => {
        this.#cluster.sessionChanged(peer.hubId, false);
        log.info({ hub: peer.name, code: error?.code }, "a hub is gone");
      },
      onRefused: (from, error) => {
        this.#refusals.add(from, error);
        log.info({ from, code: error.code }, "a peer was refused");
      },
      onRenewalFailed: ({ code, message }) => log.warn({ code }, message),
      onRelayState: (state) => log.info({ ...state }, "relay"),
    });
    await this.#federation.start();
  }

  /** What the options say, and the addresses this hub remembers: they carry it where multicast does not. */
  async #lanOptions(): Promise<LanOptions | undefined> {
    const { options, store } = this.#parts;
    if (!options.lan) return undefined;
    const given = options.lan === true ? {} : options.lan;
    return { ...given, peers: [...new Set([...(given.peers ?? []), ...(await knownAddresses(store))])] };
  }

  async #listen(address: { readonly host: string; readonly port: number }): Promise<void> {
    this.#http = await startHttpServer({
      ...address,
      tokens: this.#tokens,
      clock: this.#parts.clock,
      surface: createSurface({
        list: (options) => this.apps.list(options),
        request: (target, options) => this.#request(target, options),
      }),
      api: (app) => addApiRoutes(app, this),
      ready: () => this.#closing === undefined,
    });
    const run: RunFile = {
      url: this.#http.url,
      pid: process.pid,
      token: this.#tokens.issueForThisRun("admin"),
    };
    writeFileSync(this.#parts.directory.file("run.json"), JSON.stringify(run), { mode: 0o600 });
  }
}
