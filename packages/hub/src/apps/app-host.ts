/** The hub's own apps, as the router asks for them: a set that is replaced by difference while it runs. */
import { type Clock, type FedError, isFedError, type Store } from "@fed/core";
import { type AppContext, type AppRequest, detailsOf, type LocalApp, type LocalApps } from "@fed/router";
import { HubError } from "../errors.js";
import { isObject, rpcCodes } from "../mcp/json-rpc.js";
import { modernRevision } from "../mcp/meta.js";
import { discoverResult } from "../mcp/modern-result.js";
import { encodeParamHeaders, paramHeadersOf } from "../mcp/param-headers.js";
import type { Seal } from "../seal.js";
import { App } from "./app.js";
import { type AppConfig, checkApp, fingerprint, runsAlike } from "./app-config.js";
import type { AppConnection } from "./app-connection.js";
import type { AppHealth } from "./app-health.js";
import { concealment } from "./app-secrets.js";
import { createGroupLedger } from "./group-ledger.js";
import { createInputStates } from "./input-state.js";
import { KnownApps } from "./known-apps.js";
import { moderated } from "./moderation.js";
import { openApp } from "./open-app.js";
import { listTools, type ToolDefinition } from "./tool-list.js";

/** What belongs to one conversation and is not passed on; what agents want by it they say with each request. */
const refusedMethods = new Set(["initialize", "logging/setLevel", "resources/subscribe", "resources/unsubscribe"]);
const maxApps = 256;
/** Changes of its tools that an app announces are looked at so often. */
const relistMs = 1_000;

/** Options of {@link createAppHost}. */
export interface AppHostOptions {
  readonly seal: Seal;
  readonly clock: Clock;
  readonly store: Store;
  /** A file for what must be ended should this process be killed. */
  readonly ledgerFile: string;
  /** Something could not be written down; the apps run on. */
  readonly onError: (error: unknown) => void;
}

/** Runs apps and answers for them. */
export interface AppHost extends LocalApps, AsyncDisposable {
  /**
   * Replaces the whole set by difference: what is new starts if it starts with the hub, what is gone ends once its calls are
   * done (5 s at most), what runs otherwise than before is restarted, and the rest is not touched. In-process servers are
   * the same if they are the same function. Resolves when the new set is in force.
   * @throws {HubError} APP_CONFIG_INVALID for a wrong name or more than 256 apps; nothing has changed then.
   */
  configure(apps: Readonly<Record<string, AppConfig>>): Promise<void>;
  /** Starts an app and resolves when it is ready. @throws {HubError} APP_UNKNOWN, APP_START_FAILED with the reason. */
  launch(app: string): Promise<void>;
  /** Ends an app once its calls are done, 5 s at most; it stays stopped until it is launched. @throws {HubError} APP_UNKNOWN. */
  stop(app: string): Promise<void>;
  /** Ends an app as {@link stop} and launches it; calls meanwhile wait. @throws {HubError} as {@link launch}. */
  restart(app: string): Promise<void>;
  /** Ends the calls that wait for an answer of those whom `concerns` names, because of `error`. */
  endWaiting(concerns: (principal: string) => boolean, error: FedError): void;
  /** How every app is, in the order of the configuration. */
  health(): AppHealth[];
  /** The last lines an app printed on standard error, without its secrets. @throws {HubError} APP_UNKNOWN. */
  logs(app: string, count?: number): string[];
  version(): number;
  /** The tools an app had when it was last asked, now or in an earlier run with the same configuration. */
  tools(app: string): readonly ToolDefinition[] | undefined;
  /** One of them. */
  tool(app: string, tool: string): ToolDefinition | undefined;
  /** Makes {@link tools} known, and starts the app for it if need be. @throws {HubError} APP_UNKNOWN, and why it did not start. */
  learn(app: string, tool: string, context: AppContext): Promise<void>;
  /** Hears that {@link LocalApps.list} says something else, and with `app` that {@link tools} of it does. Must not throw. */
  onChange(listener: (app?: string) => void): () => void;
  /** Resolves when every app that starts with the hub has ended its first start, well or not, and is described. */
  settled(): Promise<void>;
  /** Ends all apps and their processes. Idempotent. */
  close(): Promise<void>;
}

/** See {@link AppHost}. */
export function createAppHost(options: AppHostOptions): AppHost {
  const { clock, onError } = options;
  const inputs = createInputStates(options.seal, clock);
  const apps = new Map<string, App>();
  /** Apps that are no more and not gone yet. */
  const leaving = new Map<string, Promise<void>>();
  const known = new KnownApps(options.store);
  const ledger = createGroupLedger(options.ledgerFile);
  const listeners = new Set<(app?: string) => void>();
  let opening: Promise<unknown> | undefined;
  let configuring: Promise<void> = Promise.resolve();
  let closed = false;
  const onExit = () => ledger.signalAll();
  process.on("exit", onExit);

  let changes = 0;
  const tell = (app?: string): void => {
    changes++;
    for (const listener of listeners) listener(app);
  };

  const find = (name: string): App => {
    const app = apps.get(name);
    if (app) return app;
    throw new HubError({
      code: "APP_UNKNOWN",
      message: `This hub has no app called ${name}.`,
      hint: "See `fed apps`.",
    });
  };

  const headersFor = (app: App, method: string, params: Record<string, unknown>) => {
    if (method !== "tools/call" || !("url" in app.config)) return undefined;
    const definition = known.tool(app.name, app.fingerprint, String(params.name));
    const headers = paramHeadersOf(definition?.inputSchema);
    return headers.length > 0 ? encodeParamHeaders(headers, params.arguments) : undefined;
  };

  const learnTools = async (app: App, connection: AppConnection): Promise<void> => {
    const run = app.fingerprint;
    const era = connection.revision === modernRevision ? "modern" : "legacy";
    const before = known.of(app.name, run).tools;
    const listed = await listTools(connection, clock).catch(() => before);
    const tools = listed && unchanged(before ?? [], listed);
    await known.learn(app.name, run, { era, tools }).catch(onError);
    if (tools !== before) tell(app.name);
  };

  const describe = async (app: App, connection: AppConnection): Promise<void> => {
    let waiting = false;
    const unwatch = connection.watch((method) => {
      if (waiting || method !== "notifications/tools/list_changed") return;
      waiting = true;
      clock.setTimer(relistMs, () => {
        waiting = false;
        if (app.runs(connection)) void learnTools(app, connection);
      });
    });
    void connection.closed.then(unwatch);
    await learnTools(app, connection);
  };

  const add = (name: string, config: AppConfig): void => {
    const app = new App({
      name,
      config,
      clock,
      after: leaving.get(name),
      onStatus: () => tell(),
      describe,
      async open(current, log, signal) {
        const run = fingerprint(current);
        const { era, tools } = known.of(name, run);
        try {
          return await openApp({ name, config: current, clock, log, ledger, era, signal });
        } catch (cause) {
          // It may have learnt another one since.
          if (era !== undefined) await known.learn(name, run, { tools }).catch(onError);
          throw cause;
        }
      },
    });
    apps.set(name, app);
    app.begin();
  };

  const remove = (name: string, app: App): void => {
    apps.delete(name);
    const gone = app.remove().finally(() => {
      if (leaving.get(name) === gone) leaving.delete(name);
    });
    leaving.set(name, gone);
  };

  const apply = (wanted: Readonly<Record<string, AppConfig>>): void => {
    if (closed) return;
    for (const [name, app] of apps) if (!Object.hasOwn(wanted, name)) remove(name, app);
    for (const [name, config] of Object.entries(wanted)) {
      const app = apps.get(name);
      if (!app) add(name, config);
      else if (runsAlike(app.config, config)) app.adopt(config);
      else app.replace(config);
    }
    inOrder(apps, Object.keys(wanted));
    tell();
  };

  return {
    configure(wanted) {
      check(wanted);
      opening ??= Promise.all([known.load(), ledger.reap()]);
      configuring = Promise.all([configuring, opening]).then(() => apply(wanted));
      return configuring;
    },
    version: () => changes + known.version,
    list() {
      return [...apps.values()].map(
        (app): LocalApp => ({
          app: app.name,
          title: app.config.title,
          description: app.config.description,
          status: app.status,
          error: app.error && { code: app.error.code, message: app.error.message },
        }),
      );
    },
    async call(name, request, context) {
      const app = find(name);
      const params = paramsOf(request);
      if (request.method === "server/discover") {
        return discoverResult((await app.connection(context.signal)).description);
      }
      if (request.method === "ping") return {};
      const principal = context.caller.operator;
      const about = { principal, app: name, method: request.method, params };
      const sent = inputs.open(about);
      const send = () =>
        app.request(request.method, sent, {
          signal: context.signal,
          principal,
          headers: headersFor(app, request.method, params),
          notify: moderated((notification) => context.notify(notification), clock),
        });
      try {
        return inputs.close(about, await send());
      } catch (cause) {
        // The definition has changed unnoticed, and the app refused before it did anything.
        if (!("url" in app.config) || app.revision !== modernRevision || !isHeaderMismatch(cause)) throw cause;
        await learnTools(app, await app.connection(context.signal));
        return inputs.close(about, await send());
      }
    },
    tool(name, tool) {
      const app = apps.get(name);
      return app && known.tool(name, app.fingerprint, tool);
    },
    learn: (name, _tool, context) => find(name).described(context.signal),
    launch: async (name) => find(name).launch(),
    stop: async (name) => find(name).stop(),
    restart: async (name) => find(name).restart(),
    endWaiting(concerns, error) {
      for (const app of apps.values()) app.endWaiting(concerns, error);
    },
    health: () =>
      [...apps.values()].map((app) => {
        const tools = toolsOf(app, known)?.length;
        return { ...app.health(), ...(tools !== undefined && { tools }) };
      }),
    logs(name, count) {
      const app = find(name);
      return app.log.lines(concealment(app.config), count);
    },
    tools(name) {
      const app = apps.get(name);
      return app && toolsOf(app, known);
    },
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    async settled() {
      await configuring;
      await Promise.all([...apps.values()].map((app) => app.settled()));
    },
    async close() {
      closed = true;
      await configuring.catch(() => {});
      await Promise.all([...[...apps.values()].map((app) => app.close()), ...leaving.values()]);
      process.off("exit", onExit);
    },
    [Symbol.asyncDispose]() {
      return this.close();
    },
  };
}

/** `after` with the definitions that are in `before`, too, as the same objects: all of `before` where nothing is new. */
function unchanged(before: readonly ToolDefinition[], after: readonly ToolDefinition[]): readonly ToolDefinition[] {
  const known = new Map(before.map((tool) => [JSON.stringify(tool), tool]));
  const tools = after.map((tool) => known.get(JSON.stringify(tool)) ?? tool);
  return tools.length === before.length && tools.every((tool, index) => tool === before[index]) ? before : tools;
}

function toolsOf(app: App, known: KnownApps): readonly ToolDefinition[] | undefined {
  return known.of(app.name, app.fingerprint).tools;
}

function check(wanted: Readonly<Record<string, AppConfig>>): void {
  const names = Object.keys(wanted);
  if (names.length > maxApps) {
    throw new HubError({ code: "APP_CONFIG_INVALID", message: `A hub runs at most ${maxApps} apps.` });
  }
  for (const name of names) checkApp(name, wanted[name]!);
}

function inOrder(apps: Map<string, App>, names: readonly string[]): void {
  for (const name of names) {
    const app = apps.get(name)!;
    apps.delete(name);
    apps.set(name, app);
  }
}

/** @throws {HubError} METHOD_NOT_SUPPORTED for what is not passed on, REQUEST_INVALID for params that are no object. */
function paramsOf({ method, params = {} }: AppRequest): Record<string, unknown> {
  if (refusedMethods.has(method) || method.startsWith("notifications/")) {
    throw new HubError({
      code: "METHOD_NOT_SUPPORTED",
      message: `${method.slice(0, 128)} is not passed on to apps.`,
      hint: "Declare capabilities, log level and subscriptions with each request, as MCP 2026-07-28 does.",
    });
  }
  if (isObject(params)) return params;
  throw new HubError({ code: "REQUEST_INVALID", message: "The request's params are not an object." });
}

/** Whether an app refused a request for what its headers say; from one that knows no such headers it means something else. */
function isHeaderMismatch(cause: unknown): boolean {
  const rpc = isFedError(cause) && detailsOf(cause)?.rpc;
  return isObject(rpc) && rpc.code === rpcCodes.headerMismatch;
}
