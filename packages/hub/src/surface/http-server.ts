/** The hub's HTTP port: `/mcp` for agents, `/api/federation/*` for operators, health. Loopback unless told otherwise. */

import { toFedError } from "@fed/core";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { getRequestListener } from "@hono/node-server";
import {
  localhostAllowedHostnames,
  localhostAllowedOrigins,
  validateHostHeader,
  validateOriginHeader,
} from "@modelcontextprotocol/server";
import { Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import { HubError } from "../errors.js";
import type { AccessTokens } from "../operators/access-tokens.js";
import type { Admission } from "../operators/admission.js";
import type { Authenticate } from "../operators/authenticate.js";
import type { Operator } from "../operators/operator.js";
import type { McpEndpoint } from "./mcp-endpoint.js";
import type { McpService } from "./mcp-service.js";
import { problem, problemOf } from "./problem.js";
import { addProtectedResourceRoutes } from "./protected-resource.js";

/** The largest body of a request. */
export const maxBodyBytes = 4 * 1024 * 1024;

/** Options of {@link startHttpServer}. */
export interface HttpServerOptions {
  readonly host: string;
  /** 0 lets the system choose. */
  readonly port: number;
  readonly hubName: string;
  readonly authenticate: Authenticate;
  /** The authorization server whose tokens are accepted, if any. */
  readonly accessTokens: Pick<AccessTokens, "issuer" | "audience"> | undefined;
  readonly admission: Admission;
  readonly mcp: McpEndpoint;
  /** Who answers at `path`; undefined: it is no MCP endpoint. */
  readonly serviceAt: (path: string) => McpService | undefined;
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

/** @throws {HubError} HTTP_PORT_IN_USE. */
export async function startHttpServer(options: HttpServerOptions): Promise<HttpServer> {
  const app = new Hono<HubEnvironment>();
  const { authenticate, accessTokens, admission } = options;
  const hosts = [...localhostAllowedHostnames(), options.host];
  if (accessTokens) hosts.push(new URL(accessTokens.audience).hostname);
  /** The address that the client used; whoever asks has passed the check of Host. */
  const baseOf = ({ headers }: Request) =>
    accessTokens?.audience ?? new URL(`http://${headers.get("host") ?? "localhost"}`).origin;

  app.onError((error, context) => problem(context, toFedError(error), baseOf));
  app.notFound((context) =>
    problem(
      context,
      new HubError({ code: "REQUEST_INVALID", message: `There is no ${context.req.path}.` }),
      baseOf,
      404,
    ),
  );
  app.use(async ({ req }, next) => {
    if (hostHeaderValidationResponse(req.raw, hosts) ?? originValidationResponse(req.raw, localhostAllowedOrigins())) {
      throw new HubError({
        code: "ORIGIN_REFUSED",
        message: "The request's Host or Origin is not this hub's own.",
        hint: "A web page of another site cannot use the hub; agents send no Origin.",
      });
    }
    return next();
  });
  app.get("/healthz", (context) => context.text("ok"));
  app.get("/readyz", (context) => (options.ready() ? context.text("ready") : context.text("not ready", 503)));
  addProtectedResourceRoutes(app, { hubName: options.hubName, issuer: accessTokens?.issuer, baseOf });
  app.use(async (context, next) => {
    const bearer = /^Bearer +(\S{1,8192})$/i.exec(context.req.header("authorization") ?? "");
    const operator = await authenticate(bearer?.[1] ?? "", context.req.path);
    context.set("operator", operator);
    return admission.request(operator, next);
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
          baseOf,
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
