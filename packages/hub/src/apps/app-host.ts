/** The hub's own apps, as the router asks for them. */
import type { Clock } from "@fed/core";
import type { AppRequest, LocalApp, LocalApps } from "@fed/router";
import { HubError } from "../errors.js";
import { isObject } from "../mcp/json-rpc.js";
import type { Seal } from "../seal.js";
import { App } from "./app.js";
import { type AppConfig, checkApp } from "./app-config.js";
import { createInputStates } from "./input-state.js";

const maxApps = 256;

interface ToolHints {
  readonly readOnly?: boolean;
  readonly idempotent?: boolean;
}

/** Options of {@link createAppHost}. */
export interface AppHostOptions {
  readonly seal: Seal;
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
export function createAppHost({ clock, seal }: AppHostOptions): AppHost {
  const inputs = createInputStates(seal, clock);
  const apps = new Map<string, App>();
  const hints = new Map<string, Map<string, ToolHints>>();
  const starts: Promise<void>[] = [];

  return {
    add(name, config) {
      checkApp(name, config);
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
      const params = paramsOf(request);
      const about = { principal: context.caller.operator, app: name, method: request.method, params };
      const result = inputs.close(
        about,
        await app.request(request.method, inputs.open(about), {
          signal: context.signal,
          principal: context.caller.operator,
          notify: (notification) => context.notify(notification),
        }),
      );
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

function paramsOf({ params }: AppRequest): Record<string, unknown> {
  if (params === undefined || params === null) return {};
  if (isObject(params)) return params;
  throw new HubError({ code: "REQUEST_INVALID", message: "The request's params are not an object." });
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
