/** The hub's HTTP port: `/mcp` for agents, `/api/federation/*` for operators, health. Loopback unless told otherwise. */

import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { type FedError, toFedError } from "@fed/core";
import { getRequestListener } from "@hono/node-server";
import { type Context, Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import { HubError } from "../errors.js";
import type { AccessTokens } from "../operators/access-tokens.js";
import type { Admission } from "../operators/admission.js";
import type { Authenticate } from "../operators/authenticate.js";
import type { OpenExchanges } from "../operators/open-exchanges.js";
import { type Operator, requireWhole } from "../operators/operator.js";
import { metricsContentType } from "../telemetry/metrics.js";
import { underHeaders } from "../telemetry/trace-context.js";
import { inTurn } from "./in-turn.js";
import type { McpEndpoint } from "./mcp-endpoint.js";
import type { McpService } from "./mcp-service.js";
import { type AssertOrigin, createOriginCheck } from "./origin.js";
import { problem, problemOf } from "./problem.js";
import { addProtectedResourceRoutes } from "./protected-resource.js";

/** The largest body of an agent's request, and of an operator's. */
export const maxBodyBytes = 4 * 1024 * 1024;
const maxDocumentBytes = 256 * 1024;
/** A client sends its headers, and the whole request, within this; one that dawdles is answered 408. */
const headersMs = 30_000;
const requestMs = 60_000;
const checkEveryMs = 5_000;
/** An agent's connection on which nothing moves is closed within twice that: what lives sends a comment more often. */
const silentMs = 60_000;
/** Longer than clients keep a connection they do not use, lest one end just as they take it up again. */
const unusedMs = 75_000;

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
  readonly exchanges: OpenExchanges;
  readonly mcp: McpEndpoint;
  /** Who answers at `path`; undefined: it is no MCP endpoint. */
  readonly serviceAt: (path: string) => McpService | undefined;
  /** Adds the operator routes below `/api/federation`. */
  readonly api: (app: Hono<HubEnvironment>) => void;
  /** The page at `/metrics`; `open`: for everybody, else for every token. */
  readonly metrics: { readonly render: () => Promise<string>; readonly open: boolean };
  /** Hears of every request that was answered with an error. */
  readonly onRefused: (error: FedError) => void;
  /** Whether the hub can serve calls. */
  readonly isReady: () => boolean;
  /** Why the hub federates no more, if so: then it is not ready either. */
  readonly stopped: () => FedError | undefined;
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
  const { authenticate, accessTokens, admission, mcp, serviceAt } = options;
  const assertOrigin = createOriginCheck([
    options.host,
    ...(accessTokens ? [new URL(accessTokens.audience).hostname] : []),
  ]);
  /** The address that the client used; that it is this hub's own is {@link assertOrigin}'s matter. */
  const baseOf = (host: string | undefined) => accessTokens?.audience ?? URL.parse(`http://${host}`)?.origin ?? "";

  function operatorOf(authorization: string | undefined, path: string): Promise<Operator> {
    return authenticate(bearerOf(authorization), path);
  }

  /** Agents' requests, without the layers that operators' need: a call is to cost little more than its work. */
  async function serveAgent(request: IncomingMessage, response: ServerResponse, path: string, service: McpService) {
    const { headers } = request;
    try {
      assertOrigin(headers.host, headers.origin);
      const operator = await operatorOf(headers.authorization, path);
      // It went away while it was authenticated: nobody would tell that it has.
      if (response.destroyed) return;
      const admit = <T>(read: () => Promise<T>) => admission.request(operator, read);
      const holding = admission.hold(operator);
      const standing = options.exchanges.begin(operator);
      response.on("close", () => {
        holding.release();
        standing.close();
      });
      const exchange = { service, endpoint: path, operator, request, response, holding, standing, admit };
      await underHeaders(headers, () => mcp.serve(exchange));
    } catch (cause) {
      const error = toFedError(cause);
      options.onRefused(error);
      const {
        status,
        headers: answer,
        body,
      } = problemOf(error, {
        base: baseOf(headers.host),
        path,
        credentials: headers.authorization !== undefined,
      });
      if (response.headersSent) response.destroy();
      else response.writeHead(status, answer).end(body);
    }
  }

  const operators = getRequestListener(operatorRoutes(options, { assertOrigin, operatorOf, baseOf }).fetch);
  const timeouts = {
    headersTimeout: headersMs,
    requestTimeout: requestMs,
    connectionsCheckingInterval: checkEveryMs,
    keepAliveTimeout: unusedMs,
  };
  const server = createServer(
    timeouts,
    inTurn((request, response) => {
      const path = pathOf(request.url);
      const service = serviceAt(path);
      // What operators ask for may take its time without a word, such as to start an app.
      const patienceMs = service ? silentMs : 0;
      if (request.socket.timeout !== patienceMs) request.socket.setTimeout(patienceMs);
      if (service) void serveAgent(request, response, path, service);
      else void operators(request, response);
    }),
  );

  return new Promise((resolve, reject) => {
    server.once("error", (cause: NodeJS.ErrnoException) => reject(cannotListen(options, cause)));
    server.listen(options.port, options.host, () => {
      const { port } = server.address() as AddressInfo;
      const host = options.host.includes(":") ? `[${options.host}]` : options.host;
      resolve({
        url: `http://${host}:${port}`,
        async close() {
          mcp.close();
          server.closeAllConnections();
          await new Promise((done) => server.close(done));
        },
      });
    });
  });
}

/** What operators, probes and clients that look for their way in are served. */
function operatorRoutes(
  options: HttpServerOptions,
  checks: {
    readonly assertOrigin: AssertOrigin;
    readonly operatorOf: (authorization: string | undefined, path: string) => Promise<Operator>;
    readonly baseOf: (host: string | undefined) => string;
  },
): Hono<HubEnvironment> {
  const app = new Hono<HubEnvironment>();
  const baseOf = ({ headers }: Request) => checks.baseOf(headers.get("host") ?? undefined);

  app.onError((cause, context) => {
    const error = toFedError(cause);
    options.onRefused(error);
    return problem(context, error, baseOf);
  });
  app.notFound((context) =>
    problem(
      context,
      new HubError({ code: "REQUEST_INVALID", message: `There is no ${context.req.path}.` }),
      baseOf,
      404,
    ),
  );
  app.use(async ({ req }, next) => {
    checks.assertOrigin(req.header("host"), req.header("origin"));
    return next();
  });
  app.get("/healthz", (context) => context.text("ok"));
  app.get("/readyz", (context) => {
    const stopped = options.stopped();
    if (stopped) return context.text(`not ready: ${stopped.code}: ${stopped.message}`, 503);
    return options.isReady() ? context.text("ready") : context.text("not ready", 503);
  });
  const metrics = async (context: Context<HubEnvironment>) =>
    context.body(await options.metrics.render(), 200, { "content-type": metricsContentType });
  if (options.metrics.open) app.get("/metrics", metrics);
  addProtectedResourceRoutes(app, { hubName: options.hubName, issuer: options.accessTokens?.issuer, baseOf });
  app.use(async (context, next) => {
    const operator = await checks.operatorOf(context.req.header("authorization"), context.req.path);
    context.set("operator", operator);
    return options.admission.request(operator, next);
  });
  app.use(
    "/api/*",
    bodyLimit({
      maxSize: maxDocumentBytes,
      onError: (context) =>
        problem(
          context,
          new HubError({ code: "REQUEST_TOO_LARGE", message: `The request has more than ${maxDocumentBytes} bytes.` }),
          baseOf,
        ),
    }),
  );
  app.get("/metrics", (context) => {
    requireWhole(context.get("operator"));
    return metrics(context);
  });
  options.api(app);
  return app;
}

/** The token that a request shows, or an empty text. */
function bearerOf(authorization: string | undefined): string {
  return /^Bearer +(\S{1,8192})$/i.exec(authorization ?? "")?.[1] ?? "";
}

/** The path of a request's target, without the query. */
function pathOf(url = "/"): string {
  const end = url.indexOf("?");
  return end < 0 ? url : url.slice(0, end);
}

function cannotListen({ host, port }: HttpServerOptions, cause: NodeJS.ErrnoException): HubError {
  const isTaken = cause.code === "EADDRINUSE";
  return new HubError({
    code: "HTTP_PORT_IN_USE",
    message: isTaken ? `Port ${port} on ${host} is in use.` : `Cannot listen on ${host}:${port}: ${cause.message}`,
    hint: `Choose another ${isTaken ? "" : "address "}with --http HOST:PORT.`,
    cause,
  });
}
