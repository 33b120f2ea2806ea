/** `/api/federation/*`: what operators do, as the CLI does it. Every route names the scope it needs and checks its input. */
import type { Context, Hono } from "hono";
import { z } from "zod";
import type { Hub } from "../contract.js";
import { requireScope, requireWhole, type Scope } from "../operators/operator.js";
import { valid } from "../valid.js";
import type { AgentTokens } from "./agent-tokens.js";
import { addCatalogueRoutes } from "./catalogue-api.js";
import { addConsentRoutes } from "./consent-api.js";
import type { HubEnvironment } from "./http-server.js";
import { body, json } from "./request-body.js";

const base = "/api/federation";
const name = z.string().min(1).max(128);
const createBody = z.strictObject({ name });
const inviteBody = z.strictObject({
  ttlMs: z
    .int()
    .min(1000)
    .max(24 * 60 * 60_000)
    .optional(),
  roles: z.array(name).max(16).optional(),
});
const pairBody = z.strictObject({ token: z.string().min(1).max(8192) });
const shareBody = z.strictObject({ app: name, target: z.string().min(1).max(256), tool: name.optional() });
const revokeBody = z.strictObject({
  kind: z.enum(["hub", "leaf", "spki", "operator", "link", "token", "grant"]),
  id: z.string().min(1).max(256),
  reason: z.string().max(256).default(""),
});
const exportBody = z.strictObject({ directory: z.string().min(1).max(4096) });
const linesQuery = z.coerce.number().int().min(1).max(65_536).default(100);
const tailQuery = z.coerce.number().int().min(1).max(1000).default(20);

type Handler = (context: Context<HubEnvironment>) => Promise<unknown> | unknown;

/** Adds one route below `/api/federation`. */
export type AddRoute = (
  method: "GET" | "POST" | "DELETE",
  path: string,
  scope: Scope,
  handler: Handler,
  status?: 200 | 201,
) => void;

/** Adds the routes. */
export function addApiRoutes(app: Hono<HubEnvironment>, hub: Hub, tokens: AgentTokens): void {
  const route: AddRoute = (method, path, scope, handler, status = 200) => {
    app.on(method, `${base}${path}`, async (context) => {
      requireScope(context.get("operator"), scope);
      return context.json(((await handler(context)) ?? null) as object, status);
    });
  };

  route("GET", "/identity", "ReadOnly", () => ({ hubId: hub.hubId, name: hub.name }));
  route("GET", "/status", "ReadOnly", () => hub.cluster.status());
  route("GET", "/peers", "ReadOnly", () => hub.cluster.peers());
  route("GET", "/peers/:id/paths", "ReadOnly", (context) => hub.cluster.paths(context.req.param("id") ?? ""));
  route("GET", "/peers/:id/paths/history", "ReadOnly", (context) =>
    hub.cluster.pathHistory(context.req.param("id") ?? ""),
  );
  route(
    "POST",
    "/cluster",
    "Admin",
    async (context) => {
      await hub.cluster.create(await body(context, createBody));
      return hub.cluster.status();
    },
    201,
  );
  route(
    "POST",
    "/generate-pairing-token",
    "Admin",
    async (context) => {
      const options = await body(context, inviteBody);
      return { token: await hub.cluster.invite(options), expiresInMs: options.ttlMs ?? 600_000 };
    },
    201,
  );
  route(
    "POST",
    "/pair",
    "Admin",
    async (context) => {
      const { token } = await body(context, pairBody);
      return { ...(await hub.cluster.join(token)), cluster: hub.cluster.status() };
    },
    201,
  );
  route("POST", "/cluster/export", "Admin", async (context) =>
    hub.cluster.exportPublic((await body(context, exportBody)).directory),
  );
  route("GET", "/sharing", "ReadOnly", (context) => {
    requireWhole(context.get("operator"));
    return hub.sharing.policy;
  });
  route("POST", "/share", "Admin", async (context) => {
    const { app: shared, target, tool } = await body(context, shareBody);
    await hub.sharing.share(shared, target, { tool });
    return hub.sharing.policy;
  });
  route("POST", "/unshare", "Admin", async (context) => {
    const { app: shared, target, tool } = await body(context, shareBody);
    await hub.sharing.unshare(shared, target, { tool });
    return hub.sharing.policy;
  });
  route(
    "POST",
    "/revocations",
    "Admin",
    async (context) => {
      const { reason, ...target } = await body(context, revokeBody);
      return hub.cluster.revoke(target, reason);
    },
    201,
  );
  route("GET", "/revocations", "ReadOnly", () => hub.cluster.revocations() ?? { number: 0, entries: [] });
  const tokenOf = (context: Context) => context.req.param("id") ?? "";
  route(
    "POST",
    "/agent-tokens",
    "ReadOnly",
    async (context) => tokens.issue(context.get("operator"), await json(context)),
    201,
  );
  route("GET", "/agent-tokens", "ReadOnly", (context) => tokens.list(context.get("operator")));
  route("GET", "/agent-tokens/:id", "ReadOnly", (context) => tokens.show(context.get("operator"), tokenOf(context)));
  route("DELETE", "/agent-tokens/:id", "ReadOnly", (context) =>
    tokens.revoke(context.get("operator"), tokenOf(context)),
  );
  addConsentRoutes(route, hub);
  const appOf = (context: Context) => context.req.param("app") ?? "";
  addCatalogueRoutes(route, hub);
  // With what they printed when they failed, as their logs.
  route("GET", "/local-apps", "Admin", () => ({ apps: hub.apps.health(), configFile: hub.apps.configFile() }));
  for (const action of ["launch", "stop", "restart"] as const) {
    route("POST", `/apps/:app/${action}`, "Admin", async (context) => {
      await hub.apps[action](appOf(context));
      return hub.apps.health().find(({ app: name }) => name === appOf(context));
    });
  }
  route("GET", "/apps/:app/logs", "Admin", (context) => ({
    lines: hub.apps.logs(appOf(context), valid(linesQuery, context.req.query("lines"))),
  }));
  route("GET", "/audit", "Admin", (context) => hub.audit.tail(valid(tailQuery, context.req.query("count"))));
  route("GET", "/audit/verify", "Admin", async () => {
    const { records, tornBytes } = await hub.audit.verify();
    return { records, tornBytes };
  });
}
