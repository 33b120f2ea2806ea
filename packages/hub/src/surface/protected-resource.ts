/** OAuth 2.0 protected-resource metadata (RFC 9728) and the challenges that lead to it: how an MCP client finds its way in. */
import type { Env, Hono } from "hono";
import { scopes } from "../operators/operator.js";

const wellKnown = "/.well-known/oauth-protected-resource";

/** The resource that a request at `path` is for: an MCP endpoint has its own, all else is the hub. */
export function resourcePathOf(path: string): string {
  return /^\/mcp$|^\/apps\/[^/]+\/[^/]+\/mcp$/.test(path) ? path : "";
}

/** Why a request is refused. */
export interface Refusal {
  readonly code: string;
  /** Whether it carried credentials at all. */
  readonly sent: boolean;
  /** The scope that it lacks. */
  readonly scope: string | undefined;
}

/** The value of `WWW-Authenticate` (RFC 6750 §3, RFC 9728 §5.1). Without credentials it names no error. */
export function challenge(base: string, path: string, { code, sent, scope }: Refusal): string {
  const error = code === "SCOPE_MISSING" ? "insufficient_scope" : sent ? "invalid_token" : undefined;
  return [
    `Bearer resource_metadata="${base}${wellKnown}${resourcePathOf(path)}"`,
    ...(error === undefined ? [] : [`error="${error}"`]),
    ...(scope === undefined ? [] : [`scope="${scope}"`]),
  ].join(", ");
}

/** Serves the metadata of the hub and of every MCP endpoint, to anybody: it says nothing about what is there. */
export function addProtectedResourceRoutes<E extends Env>(
  app: Hono<E>,
  options: {
    readonly hubName: string;
    readonly issuer: string | undefined;
    /** The hub's address as the client knows it. */
    readonly baseOf: (request: Request) => string;
  },
): void {
  app.get(`${wellKnown}/*`, async (context, next) => {
    const path = context.req.path.slice(wellKnown.length);
    if (resourcePathOf(path) !== path) return next();
    return context.json(
      {
        resource: `${options.baseOf(context.req.raw)}${path}`,
        ...(options.issuer === undefined ? {} : { authorization_servers: [options.issuer] }),
        bearer_methods_supported: ["header"],
        scopes_supported: scopes,
        resource_name: `fed hub ${options.hubName}`,
      },
      200,
      { "cache-control": "no-store" },
    );
  });
}
