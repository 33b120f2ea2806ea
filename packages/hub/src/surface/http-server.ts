/** The hub's HTTP port: `/mcp` for agents, `/api/federation/*` for operators, health. Loopback unless told otherwise. */

import { type Clock, type FedError, isFedError, toFedError } from "@fed/core";
import { serve } from "@hono/node-server";
import {
  hostHeaderValidationResponse,
  localhostAllowedHostnames,
  localhostAllowedOrigins,
  type McpServerFactory,
  originValidationResponse,
} from "@modelcontextprotocol/server";
import { type Context, Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import { HubError } from "../errors.js";
import type { Operator, OperatorTokens } from "../operator.js";
import { createMcpEndpoint } from "./mcp-endpoint.js";

const maxBodyBytes = 4 * 1024 * 1024;

/** Options of {@link startHttpServer}. */
export interface HttpServerOptions {
  readonly host: string;
  /** 0 lets the system choose. */
  readonly port: number;
  readonly tokens: OperatorTokens;
  readonly surface: McpServerFactory;
  readonly clock: Clock;
  /** Adds the operator routes below `/api/federation`. */
  readonly api: (app: Hono<HubEnvironment>) => void;
  /** Whether the hub can serve calls. */
  readonly ready: () => boolean;
}

/** What a route finds in its context. */
export interface HubEnvironment {
  Variables: { operator: Operator };
}

/** A listening port. */
export interface HttpServer {
  /** `http://host:port`, with the port that was chosen. */
  readonly url: string;
  /** Ends open exchanges. Idempotent. */
  close(): Promise<void>;
}

/** HTTP status of the codes that are not simply a bad request. */
const statusOf: Readonly<Record<string, 401 | 403 | 404 | 409 | 413 | 503>> = {
  UNAUTHENTICATED: 401,
  ORIGIN_REFUSED: 403,
  SCOPE_MISSING: 403,
  NOT_THE_AUTHORITY: 403,
  HUB_UNKNOWN: 404,
  APP_UNKNOWN: 404,
  ALREADY_IN_CLUSTER: 409,
  NOT_IN_CLUSTER: 409,
  NAME_TAKEN: 409,
  REQUEST_TOO_LARGE: 413,
};

/** @throws {HubError} HTTP_PORT_IN_USE. */
export async function startHttpServer(options: HttpServerOptions): Promise<HttpServer> {
  const mcp = createMcpEndpoint(options.surface, { clock: options.clock, maxBodyBytes });
  const app = new Hono<HubEnvironment>();
  const hosts = [...localhostAllowedHostnames(), options.host];

  app.onError((error, context) => problem(context, isFedError(error) ? error : toFedError(error)));
  app.notFound((context) =>
    problem(context, new HubError({ code: "REQUEST_INVALID", message: `There is no ${context.req.path}.` }), 404),
  );
  app.get("/healthz", (context) => context.text("ok"));
  app.get("/readyz", (context) => (options.ready() ? context.text("ready") : context.text("not ready", 503)));
  app.use(async (context, next) => {
    const { raw } = context.req;
    if (hostHeaderValidationResponse(raw, hosts) ?? originValidationResponse(raw, localhostAllowedOrigins())) {
      throw new HubError({
        code: "ORIGIN_REFUSED",
        message: "The request's Host or Origin is not this hub's own.",
        hint: "A web page of another site cannot use the hub; agents send no Origin.",
      });
    }
    const bearer = /^Bearer (\S{1,256})$/.exec(context.req.header("authorization") ?? "");
    try {
      context.set("operator", await options.tokens.authenticate(bearer?.[1] ?? ""));
    } catch (error) {
      context.header("WWW-Authenticate", "Bearer");
      throw error;
    }
    return next();
  });
  app.all("/mcp", (context) => mcp.fetch(context.req.raw, context.get("operator")));
  app.use(
    "/api/*",
    bodyLimit({
      maxSize: maxBodyBytes,
      onError: (context) =>
        problem(
          context,
          new HubError({ code: "REQUEST_TOO_LARGE", message: `The request has more than ${maxBodyBytes} bytes.` }),
        ),
    }),
  );
  options.api(app);

  return new Promise((resolve, reject) => {
    const server = serve({ fetch: app.fetch, hostname: options.host, port: options.port }, ({ port }) => {
      const host = options.host.includes(":") ? `[${options.host}]` : options.host;
      resolve({
        url: `http://${host}:${port}`,
        async close() {
          await mcp.close();
          if ("closeAllConnections" in server) server.closeAllConnections();
          await new Promise((done) => server.close(done));
        },
      });
    });
    server.once("error", (cause: NodeJS.ErrnoException) => {
      reject(
        cause.code === "EADDRINUSE"
          ? new HubError({
              code: "HTTP_PORT_IN_USE",
              message: `Port ${options.port} on ${options.host} is in use.`,
              hint: "Choose another with --http HOST:PORT.",
              cause,
            })
          : new HubError({
              code: "HTTP_PORT_IN_USE",
              message: `Cannot listen on ${options.host}:${options.port}: ${cause.message}`,
              hint: "Choose another address with --http HOST:PORT.",
              cause,
            }),
      );
    });
  });
}

/** An RFC 9457 problem document with our `code`. */
function problem(
  context: Context,
  error: FedError,
  status: 400 | 401 | 403 | 404 | 409 | 413 | 503 = statusOf[error.code] ?? (error.retryable ? 503 : 400),
): Response {
  const { code, message, hint, retryable } = error;
  return context.body(
    JSON.stringify({ type: "about:blank", title: message, status, code, ...(hint ? { hint } : {}), retryable }),
    status,
    {
      "content-type": "application/problem+json",
    },
  );
}
