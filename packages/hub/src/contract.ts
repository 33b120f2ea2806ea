/** What an embedder holds: a hub and its parts. */
import type { VerifiedLog } from "@fed/audit-chain";
import type { HubId } from "@fed/core";
import type { RevocationList } from "@fed/revocation";
import type { Notification, PathEvent, PathStatus } from "@fed/router";
import type { ShareOptions, SharingPolicy } from "@fed/trust";
import type { AppConfig } from "./apps/app-config.js";
import type { AppHealth } from "./apps/app-health.js";
import type { AppConfigFile } from "./apps/app-sources.js";
import type { ToolDefinition } from "./apps/tool-list.js";
import type { AuditEntry } from "./audit-trail.js";
import type { AppAddress } from "./catalogue/fleet-catalogue.js";
import type {
  AppPage,
  ChangedTool,
  DescribedApp,
  FoundPage,
  ListedApp,
  ListOptions,
  PageOptions,
  SearchOptions,
} from "./catalogue/listed-app.js";
import type { ToolAcceptance } from "./catalogue/tool-pins.js";
import type { ClusterStatus, Peer } from "./cluster/cluster.js";
import type { RevocationReport, RevocationTarget } from "./cluster/revoking.js";
import type { Approvals } from "./consent/approvals.js";
import type { RatedTool } from "./consent/guard.js";
import type { ToolRuleChange, ToolRules } from "./consent/tool-rules.js";
import type { Operator, Scope } from "./operators/operator.js";
import type { TokenRequest } from "./operators/token-record.js";
import type { IssuedToken, TokenInfo } from "./operators/tokens.js";
import type { Tap } from "./telemetry/tap.js";

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
  /** Default 60 000 ms; whatever tells of progress, as a call that waits for approval does, begins it anew. */
  readonly deadlineMs?: number;
  /** The owner returns the first outcome to every repetition for 10 minutes. */
  readonly idempotencyKey?: string;
  /** Each notification that belongs to the call, in order; progress is `notifications/progress`. */
  readonly onNotification?: (notification: Notification) => void;
}

/** A hub in this process. */
export interface Hub extends AsyncDisposable {
  readonly hubId: HubId;
  readonly name: string;
  /** Where agents and operators reach it, or undefined without an HTTP port. */
  readonly url: string | undefined;
  readonly apps: {
    /** Every app the operator may use, on every hub. */
    list(options: ListOptions): Promise<ListedApp[]>;
    /** One page of the same list. @throws {RouterError} HUB_UNKNOWN, REQUEST_MALFORMED. */
    page(options: PageOptions): Promise<AppPage>;
    /** Apps and tools that have all words of a query, best first, in what hubs have shown; none is asked. @throws {RouterError} REQUEST_MALFORMED. */
    search(options: SearchOptions): Promise<FoundPage>;
    /** One app with its tools' whole definitions. @throws {FedError} as {@link call}. */
    describe(address: AppAddress, options: ListOptions): Promise<DescribedApp>;
    /** Tools, on any hub, whose definition is not the one that was first seen or accepted since. */
    changedTools(): ChangedTool[];
    /**
     * Accepts what has changed of an app, or of one of its tools; returns it.
     * @throws {HubError} TOOL_CHANGED when the tool's definition is not the one with `hash` any more; {RouterError} HUB_UNKNOWN.
     */
    acceptTools(change: ToolAcceptance, options: ListOptions): Promise<ChangedTool[]>;
    /** The tool's MCP result. @throws {FedError} when the call was refused or its fate is unknown. */
    call(call: HubCall, options: HubCallOptions): Promise<unknown>;
    /** Resolves when every local app that starts with the hub has ended its first start, well or not. */
    settled(): Promise<void>;
    /**
     * Replaces the apps this hub was given by difference: those that stay as they are are not touched, in-process servers
     * being the same if they are the same function. Apps of `mcpConfig` stay.
     * @throws {HubError} APP_CONFIG_INVALID; nothing has changed then.
     */
    configure(apps: Readonly<Record<string, AppConfig>>): Promise<void>;
    /** How the file of `mcpConfig` is; undefined without one. */
    configFile(): AppConfigFile | undefined;
    /** Starts a local app and resolves when it is ready. @throws {HubError} APP_UNKNOWN, APP_START_FAILED with the reason. */
    launch(app: string): Promise<void>;
    /** Ends a local app once its calls are done, 5 s at most; until it is launched calls are refused. @throws {HubError} APP_UNKNOWN. */
    stop(app: string): Promise<void>;
    /** Stops and launches a local app; calls meanwhile wait. @throws {HubError} APP_UNKNOWN, APP_START_FAILED. */
    restart(app: string): Promise<void>;
    /** How every local app is. */
    health(): AppHealth[];
    /** The last lines that a local app printed on standard error, without its secrets; of 64 KiB. @throws {HubError} APP_UNKNOWN. */
    logs(app: string, count?: number): string[];
    /** The tools a local app had when it was last asked, whether or not it runs now. */
    tools(app: string): readonly ToolDefinition[] | undefined;
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
    /** What became of the ways to a hub lately, oldest first. @throws {HubError} HUB_UNKNOWN. */
    pathHistory(hub: string): readonly PathEvent[];
  };
  readonly sharing: {
    readonly policy: SharingPolicy;
    /** `target`: `local`, `cluster`, `role:R`, `principal:P` or `link:L`. */
    share(app: string, target: string, options?: ShareOptions): Promise<void>;
    unshare(app: string, target: string, options?: ShareOptions): Promise<void>;
  };
  /** What this hub's tools can do, and which of their calls wait for its operator. */
  readonly consent: {
    readonly rules: ToolRules;
    /** `tools`: one tool, several with a trailing `*`, or `*` for the whole app. What is null is taken back. */
    change(app: string, tools: string, change: ToolRuleChange): Promise<void>;
    /** The tools of an app of this hub, as they are rated now. */
    tools(
      app: string,
      options: { readonly operator: Operator; readonly signal?: AbortSignal },
    ): Promise<readonly RatedTool[]>;
  };
  /** Calls that wait for this hub's operator. */
  readonly approvals: Approvals;
  readonly audit: {
    tail(count: number): Promise<AuditEntry[]>;
    verify(): Promise<VerifiedLog>;
  };
  readonly operators: {
    /** An operator of this hub, for calls from within this process. */
    local(name: string, options?: { readonly roles?: readonly string[]; readonly scope?: Scope }): Operator;
    /** A token for agents; shown once. With a `parent` for a sub-agent, and then never more than the parent. */
    issueToken(request: TokenRequest): Promise<IssuedToken>;
    /** Oldest first; what has ended stays for 7 days. */
    tokens(): TokenInfo[];
    /** Ends a token and all below it, their running calls too; returns those that ended. */
    revokeToken(id: string): Promise<TokenInfo[]>;
  };
  /** Shows the calls of this hub as they happen. */
  readonly tap: Tap;
  /** The page that Prometheus reads, in its text format. */
  metrics(): Promise<string>;
  /** Ends apps, sessions and ports. Idempotent. */
  close(): Promise<void>;
}
