/** A hub on Node that runs: its parts, each handed what it needs of the others, behind the one contract. */
import type { Clock, HubId, Store } from "@fed/core";
import type { RevocationEntry } from "@fed/revocation";
import type { KeyJournal } from "@fed/router";
import { dialLanGuest } from "@fed/transport-lan";
import { createRelayGuestDial } from "@fed/transport-relay";
import { formatPrincipal } from "@fed/trust";
import { type AppHost, createAppHost } from "./apps/app-host.js";
import { AppSources } from "./apps/app-sources.js";
import type { AuditTrail } from "./audit-trail.js";
import { FleetCatalogue } from "./catalogue/fleet-catalogue.js";
import { openToolWatch, type ToolWatch } from "./catalogue/tool-watch.js";
import { Cluster } from "./cluster/cluster.js";
import { exportPublic } from "./cluster/export-public.js";
import { lanOptions } from "./cluster/known-addresses.js";
import { createLan } from "./cluster/lan.js";
import { type Membership, openMembership } from "./cluster/membership.js";
import { type FederationParts, Networks } from "./cluster/networks.js";
import { connectRelay } from "./cluster/relay-socket.js";
import { revoke, revokedError } from "./cluster/revoking.js";
import { type Consent, openConsent } from "./consent/consent.js";
import type { Hub } from "./contract.js";
import { FleetCalls } from "./fleet-calls.js";
import { type AgentFacts, stampFacts } from "./mcp/meta.js";
import type { Opened } from "./opened.js";
import { OpenExchanges } from "./operators/open-exchanges.js";
import { type OperatorTokens, openOperatorTokens, unauthenticated } from "./operators/tokens.js";
import type { HubOptions, Logger } from "./options.js";
import { openPolicyBook, type PolicyBook } from "./policy-book.js";
import { createRefusalLog, type RefusalLog } from "./refusal-log.js";
import type { Seal } from "./seal.js";
import type { Identity } from "./state/identity.js";
import { removeRunFile, writeRunFile } from "./state/run-file.js";
import type { StateDirectory } from "./state/state-directory.js";
import type { HttpServer } from "./surface/http-server.js";
import { openPorts } from "./surface/ports.js";
import { createTelemetry, type Telemetry } from "./telemetry/telemetry.js";
import { WaitingCalls } from "./waiting-calls.js";

/** A program that calls in-process can be asked nothing. Progress renews its deadline, whether or not it listens. */
const programFacts: AgentFacts = { capabilities: {}, clientInfo: undefined, logLevel: undefined, progress: true };

/** What a hub holds that outlives it, and what lets go of it. */
export interface HubParts {
  readonly options: HubOptions;
  readonly directory: StateDirectory;
  readonly store: Store;
  readonly seal: Seal;
  readonly usedKeys: KeyJournal;
  readonly identity: Identity;
  readonly audit: AuditTrail;
  readonly clock: Clock;
  readonly log: Logger;
  /** What to let go of, in reverse order, when the hub closes. */
  readonly opened: Opened;
}

/** See the module header. */
export class RunningHub implements Hub {
  readonly appHost: AppHost;
  readonly #parts: HubParts;
  #membership!: Membership;
  #policy!: PolicyBook;
  #consent!: Consent;
  #tokens!: OperatorTokens;
  #catalogue!: FleetCatalogue;
  #tools!: ToolWatch;
  #cluster!: Cluster;
  #networks!: Networks;
  #sources!: AppSources;
  #http: HttpServer | undefined;
  readonly #refusals: RefusalLog;
  readonly #telemetry: Telemetry;
  readonly #calls: FleetCalls;
  readonly #exchanges: OpenExchanges;
  readonly #waiting: WaitingCalls;
  #closing: Promise<void> | undefined;

  constructor(parts: HubParts) {
    this.#parts = parts;
    this.appHost = createAppHost({
      clock: parts.clock,
      seal: parts.seal,
      store: parts.store,
      ledgerFile: parts.directory.file("app-processes.json"),
      onError: (error) => parts.log.warn({ error }, "what an app said of itself could not be written down"),
    });
    this.#exchanges = new OpenExchanges(parts.clock, ({ principal, token }, ended) =>
      parts.audit.note({ type: "token.expired", ...(token && { token }), operator: principal, ended }),
    );
    this.#waiting = new WaitingCalls(this.#exchanges, parts.clock);
    this.#refusals = createRefusalLog((event) => parts.audit.note(event), parts.clock);
    this.#telemetry = createTelemetry({
      selfId: parts.identity.hubId,
      clock: parts.clock,
      log: parts.log,
      apps: this.appHost,
      audit: parts.audit,
      router: () => this.#networks.federation.router,
      nameOfHub: (hubId) => this.#nameOfHub(hubId),
      revocations: () => this.#networks.revocation?.list(),
      secretInputs: (app, tool) => this.#consent.secretInputs(app, tool),
    });
    this.#calls = new FleetCalls({
      selfId: parts.identity.hubId,
      router: () => this.#networks.federation.router,
      catalogue: () => this.#catalogue,
      tools: () => this.#tools,
      telemetry: this.#telemetry,
      waiting: this.#waiting,
    });
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
    const { options, directory, store, identity, audit, clock, log, opened } = this.#parts;
    const announce = () => this.#networks?.announce();
    this.appHost.onChange(announce);
    this.#policy = await openPolicyBook(store, () => {
      announce();
      return audit.note({ type: "policy.changed" });
    });
    this.#membership = await openMembership({ identity, directory, store, clock });
    const nameOfHub = (hubId: HubId) => this.#nameOfHub(hubId);
    const mode = options.toolPinning ?? "alert";
    this.#tools = opened.use(
      await openToolWatch({ selfId: identity.hubId, mode, store, audit, clock, log, nameOfHub }),
    );
    this.#consent = await openConsent({
      apps: this.appHost,
      accepted: this.#tools.own,
      name: identity.name,
      store,
      audit,
      clock,
      timeoutMs: options.approvalTimeoutMs,
      nameOfHub,
      onRules: announce,
    });
    this.#catalogue = new FleetCatalogue({
      selfId: identity.hubId,
      router: () => this.#networks.federation.router,
      pins: this.#tools.pins,
      audit,
      clock,
      nameOfHub,
      callerOf: (operator) => this.#calls.callerOf(operator),
      request: (target, options) => this.#calls.request(target, options),
    });
    this.#tokens = opened.use(
      await openOperatorTokens({
        store,
        clock,
        hubId: identity.hubId,
        resolveHub: (hub) =>
          hub === identity.name || hub === identity.hubId ? identity.hubId : this.#membership.resolve(hub).hubId,
        nameOfHub,
        onChange: (event) => audit.note(event),
        onRevoked: (ids) =>
          this.#exchanges.end(({ token }) => ids.has(token ?? ""), unauthenticated("The token was revoked.")),
        onError: (error) => log.warn({ error }, "the use of a token could not be written down"),
      }),
    );
    this.#networks = new Networks({
      identity,
      membership: this.#membership,
      store,
      audit,
      clock,
      log,
      refusals: this.#refusals,
      telemetry: this.#telemetry,
      nameOfHub,
      relays: options.relays === false ? [] : options.relays,
      cluster: () => this.#cluster,
      parts: () => this.#federationParts(),
      onRevoked: (added) => this.#revoked(added),
    });
    this.#cluster = new Cluster({
      identity,
      membership: this.#membership,
      store,
      audit,
      clock,
      revocation: () => this.#networks.openRevocation(),
      federation: () => this.#networks.federation,
      refederate: () => this.#networks.refederate(),
      onJoinRefused: (from, error) => {
        this.#refusals.add(from, error, "join.refused");
        this.#telemetry.refused("join", error);
      },
      guestDials: {
        relay: createRelayGuestDial({ connect: connectRelay, clock }),
        ...(options.lan && { lan: dialLanGuest }),
      },
      relays: options.relays || [],
    });
    this.#sources = opened.use(
      new AppSources({ host: this.appHost, given: options.apps ?? {}, file: options.mcpConfig, clock, log }),
    );
    await this.#sources.open();
    this.#tools.follow(this.appHost, announce);
    await this.#networks.refederate();
    if (options.http) await this.#listen(options.http);
  }

  readonly apps: Hub["apps"] = {
    list: (options) => this.#catalogue.list(options),
    page: (options) => this.#catalogue.page(options),
    search: (options) => this.#catalogue.search(options),
    describe: (address, options) => this.#catalogue.describe(address, options),
    changedTools: () => this.#catalogue.changed(),
    acceptTools: (change, options) => this.#catalogue.accept(change, options),
    call: ({ hub, app, tool, arguments: args }, options) =>
      this.#calls.request(
        { hub, app, method: "tools/call", params: stampFacts({ name: tool, arguments: args ?? {} }, programFacts) },
        options,
      ),
    settled: () => this.appHost.settled(),
    configure: (apps) => this.#sources.configure(apps),
    configFile: () => this.#sources.file(),
    launch: (app) => this.appHost.launch(app),
    stop: (app) => this.appHost.stop(app),
    restart: (app) => this.appHost.restart(app),
    health: () => this.appHost.health(),
    logs: (app, count) => this.appHost.logs(app, count),
    tools: (app) => this.appHost.tools(app),
  };

  readonly cluster: Hub["cluster"] = {
    create: (options) => this.#cluster.create(options),
    invite: async (options) => (await this.#cluster.invite(options)).token,
    join: (token, options) => this.#cluster.join(token, options),
    status: () => this.#cluster.status(),
    exportPublic: (directory) => exportPublic(this.#membership, directory),
    revoke: (target, reason) =>
      revoke(target, reason, {
        selfId: this.hubId,
        membership: this.#membership,
        federation: () => this.#networks.federation,
        audit: this.#parts.audit,
        clock: this.#parts.clock,
      }),
    revocations: () => this.#networks.revocation?.list(),
    peers: () => this.#cluster.peers(),
    paths: (hub) => this.#cluster.paths(hub),
    pathHistory: (hub) => this.#cluster.pathHistory(hub),
  };

  get sharing(): Hub["sharing"] {
    const policy = this.#policy;
    return { policy: policy.current, share: policy.share, unshare: policy.unshare };
  }

  get consent(): Hub["consent"] {
    const { rules, rated } = this.#consent;
    return {
      rules: rules.current,
      change: (app, tools, change) => rules.change(app, tools, change),
      tools: (app, { operator, signal }) =>
        rated(app, this.#calls.callerOf(operator), signal ?? new AbortController().signal),
    };
  }

  get approvals(): Hub["approvals"] {
    return this.#consent.approvals;
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
    issueToken: (request) => this.#tokens.issue(request),
    tokens: () => this.#tokens.list(),
    revokeToken: (id) => this.#tokens.revoke(id),
  };

  get tap(): Hub["tap"] {
    return this.#telemetry.tap;
  }

  metrics(): Promise<string> {
    return this.#telemetry.metrics();
  }

  close(): Promise<void> {
    this.#closing ??= (async () => {
      removeRunFile(this.#parts.directory);
      await this.#parts.opened[Symbol.asyncDispose]();
    })();
    return this.#closing;
  }

  /** Leaves every network; as far as it got where opening failed half-way. */
  async disconnect(): Promise<void> {
    await this.#http?.close();
    this.#waiting.close();
    await this.#networks?.close();
    this.#refusals.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #nameOfHub(hubId: HubId): string | undefined {
    const { identity } = this.#parts;
    return hubId === identity.hubId ? identity.name : this.#membership.nameOf(hubId);
  }

  #revoked(added: readonly RevocationEntry[]): void {
    for (const entry of added) {
      if (entry.kind !== "operator" && entry.kind !== "hub") continue;
      const { id } = entry;
      const error = revokedError(entry);
      const concerns = (principal: string) => (entry.kind === "hub" ? principal.endsWith(`@${id}`) : principal === id);
      this.appHost.endWaiting(concerns, error);
      this.#exchanges.end(({ principal }) => concerns(principal), error);
    }
    this.#tools.revoked(added);
  }

  async #federationParts(): Promise<FederationParts> {
    const { options, identity, store, usedKeys, audit, clock } = this.#parts;
    const membership = this.#membership;
    const lan = await lanOptions(options.lan, store);
    return {
      apps: this.#telemetry.calls.watchApps(this.#consent.apps),
      policy: this.#policy,
      consent: this.#consent.port,
      audit: this.#telemetry.calls.watchAudit(audit),
      keys: usedKeys,
      lan: lan && ((authenticator) => createLan(lan, { identity, membership, authenticator, clock })),
      connectRelay,
      peerRate: options.limits?.peer,
      onListing: (hubId, apps) => this.#tools.listed(hubId, apps),
    };
  }

  async #listen(address: { readonly host: string; readonly port: number }): Promise<void> {
    const { options, clock, seal, store, directory } = this.#parts;
    this.#http = await openPorts(address, {
      hub: this,
      calls: this.#calls,
      tokens: this.#tokens,
      exchanges: this.#exchanges,
      telemetry: this.#telemetry,
      seal,
      store,
      clock,
      options,
      assertOperator: (principal) => this.#networks.revocation?.assertPrincipals({ operators: [principal] }),
      isReady: () => this.#closing === undefined,
      stopped: () => this.#networks.stopped,
    });
    writeRunFile(directory, { url: this.#http.url, token: this.#tokens.issueForThisRun("admin") });
  }
}
