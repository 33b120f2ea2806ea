/** The hub's own apps, as the router asks for them. */
import type { Clock } from "@fed/core";
import type { AppRequest, LocalApp, LocalApps } from "@fed/router";
import { HubError } from "../errors.js";
import { passedMeta } from "../hop-meta.js";
import { App } from "./app.js";
import { type AppConfig, checkAppName } from "./app-config.js";

/** MCP requests that may be sent to an app; anything else is refused by name. */
const passedMethods = new Set([
  "completion/complete",
  "prompts/get",
  "prompts/list",
  "resources/list",
  "resources/read",
  "resources/templates/list",
  "tools/call",
  "tools/list",
]);

const maxApps = 256;
/** The router's deadline ends a call first; this only keeps the SDK's own shorter default from doing so. */
const requestTimeoutMs = 24 * 60 * 60_000;

interface ToolHints {
  readonly readOnly?: boolean;
  readonly idempotent?: boolean;
}

/** Options of {@link createAppHost}. */
export interface AppHostOptions {
  readonly clock: Clock;
}

/** Runs apps and answers for them. */
export interface AppHost extends LocalApps, AsyncDisposable {
  /** Starts one app. @throws {HubError} APP_CONFIG_INVALID when the name is taken or there are 256 already. */
  add(name: string, config: AppConfig): void;
  /** Resolves when every app's first start has ended, well or not. */
  settled(): Promise<void>;
  /** Ends all apps and their processes. Idempotent. */
  close(): Promise<void>;
}

/** See {@link AppHost}. */
export function createAppHost({ clock }: AppHostOptions): AppHost {
  const apps = new Map<string, App>();
  const hints = new Map<string, Map<string, ToolHints>>();
  const starts: Promise<void>[] = [];

  return {
    add(name, config) {
      checkAppName(name);
      if (apps.has(name) || apps.size >= maxApps) {
        throw new HubError({
          code: "APP_CONFIG_INVALID",
          message: apps.has(name) ? `There is an app called ${name} already.` : `A hub runs at most ${maxApps} apps.`,
        });
      }
      const app = new App({ name, config, clock });
      apps.set(name, app);
      starts.push(app.start());
    },
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
      const app = apps.get(name);
      if (!app)
        throw new HubError({
          code: "APP_UNKNOWN",
          message: `This hub has no app called ${name}.`,
          hint: "See `fed apps`.",
        });
      if (!passedMethods.has(request.method)) {
        throw new HubError({
          code: "METHOD_NOT_SUPPORTED",
          message: `${request.method} is not passed on to apps.`,
          hint: `Passed on are ${[...passedMethods].join(", ")}.`,
        });
      }
      const result = await app.request(request.method, paramsOf(request), {
        signal: context.signal,
        timeoutMs: requestTimeoutMs,
        progress: (params) => context.notify({ method: "notifications/progress", params }),
      });
      if (request.method === "tools/list") remember(hints, name, result);
      return result;
    },
    hints: (app, tool) => hints.get(app)?.get(tool),
    async settled() {
      await Promise.all(starts);
    },
    async close() {
      await Promise.all([...apps.values()].map((app) => app.close()));
    },
    [Symbol.asyncDispose]() {
      return this.close();
    },
  };
}

/** The request's params without what belongs to the hop they came over. */
function paramsOf({ params }: AppRequest): Record<string, unknown> {
  if (params === undefined || params === null) return {};
  if (typeof params !== "object" || Array.isArray(params)) {
    throw new HubError({ code: "REQUEST_INVALID", message: "The request's params are not an object." });
  }
  const { _meta: meta, ...rest } = params as Record<string, unknown>;
  return { ...rest, ...passedMeta(meta) };
}

/** Keeps what the app itself says of its tools; only its owner reads this, and only to narrow. */
function remember(hints: Map<string, Map<string, ToolHints>>, app: string, result: unknown): void {
  const { tools } = result as { tools?: unknown };
  if (!Array.isArray(tools)) return;
  const known = hints.get(app) ?? new Map<string, ToolHints>();
  hints.set(app, known);
  for (const tool of tools as {
    name?: unknown;
    annotations?: { readOnlyHint?: unknown; idempotentHint?: unknown };
  }[]) {
    if (typeof tool?.name !== "string" || known.size >= 4096) continue;
    known.set(tool.name, {
      readOnly: tool.annotations?.readOnlyHint === true,
      idempotent: tool.annotations?.idempotentHint === true,
    });
  }
}
