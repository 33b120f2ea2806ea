/** MCP up to revision 2025-11-25 over Streamable HTTP, in front of a service that knows only the later one. */
import type { ServerResponse } from "node:http";
import { type Clock, CoreError, type FedError, type Store } from "@fed/core";
import { InFlight } from "@fed/router";
import { HubError } from "../errors.js";
import { failureOf, hasMembers, isObject, type RequestId, type RpcRequest, rpcCodes } from "../mcp/json-rpc.js";
import { isLogLevel } from "../mcp/log-level.js";
import { type AgentFacts, stampFacts } from "../mcp/meta.js";
import { givingUp } from "../mcp/refusal.js";
import type { Seal } from "../seal.js";
import type { Exchange } from "./exchange.js";
import { initializeResult, legacyResult } from "./legacy-dialect.js";
import { createLegacyQuestions } from "./legacy-questions.js";
import { createLegacySessions, type LegacyClient, type LegacySession } from "./legacy-session.js";
import { McpResponse } from "./mcp-response.js";

/** A message of the agent's and where it belongs. */
interface Call extends Exchange {
  readonly session: LegacySession | undefined;
  readonly reply: McpResponse;
  readonly message: RpcRequest;
}

const sessionHeader = "mcp-session-id";
/** Rounds of questions that one call may need. */
const maxRounds = 32;
const giveUpMs = 30_000;
/** Open streams of one operator's clients, and of all. */
const maxStreams = { perOperator: 256, overall: 2048 };
/** Of a client that has said nothing about log messages. */
const defaultLogLevel = "info";
const unknownClient: LegacyClient = { protocolVersion: "2025-03-26", capabilities: {}, clientInfo: undefined };

/** See the module header. */
export interface LegacyRequests {
  /** Serves a request or notification, or takes an answer, that was POSTed. */
  post(exchange: Exchange, message: unknown): Promise<void>;
  /** Serves the stream of what a client is not told in answers. @throws {RouterError} BUSY above 256 of an operator's. */
  get(exchange: Exchange): Promise<void>;
  /** Ends a session. */
  delete(exchange: Exchange): Promise<void>;
  close(): void;
}

/** See the module header. */
export function createLegacyRequests(options: {
  readonly seal: Seal;
  readonly store: Store;
  readonly clock: Clock;
}): LegacyRequests {
  const { clock } = options;
  const sessions = createLegacySessions(options);
  const questions = createLegacyQuestions(clock);
  const streams = new InFlight(maxStreams.perOperator, maxStreams.overall);

  /** The session the exchange names; null for one that names none of this operator's. */
  async function sessionOf({ request, operator, endpoint }: Exchange): Promise<LegacySession | undefined | null> {
    const id = request.headers[sessionHeader];
    if (id === undefined) return undefined;
    return (await sessions.find(String(id), operator.principal, endpoint)) ?? null;
  }

  async function initialize(exchange: Exchange, { id, params = {} }: RpcRequest): Promise<void> {
    const { service, operator, endpoint, response } = exchange;
    const reply = new McpResponse(response);
    try {
      const signal = AbortSignal.timeout(60_000);
      const discovered = await service.request("server/discover", stampFacts({}, factsOf(undefined)), {
        operator,
        signal,
        notify() {},
      });
      const result = initializeResult(discovered, params.protocolVersion);
      const client = {
        protocolVersion: String(result.protocolVersion),
        capabilities: isObject(params.capabilities) ? params.capabilities : {},
        clientInfo: isObject(params.clientInfo) ? params.clientInfo : undefined,
      };
      response.setHeader(sessionHeader, sessions.begin(client, operator.principal, endpoint));
      reply.result(id, result);
    } catch (cause) {
      reply.fail(id, failureOf(cause));
    }
  }

  async function serve(call: Call): Promise<void> {
    const { session, reply, message, service, operator } = call;
    const { id, method, params = {} } = message;
    if (session?.calls.has(id)) {
      // Sent twice, or by two clients that do not know of each other: the call under way is not to be mistaken for it.
      const message = "A request with this id is under way in this session.";
      return reply.fail(id, { code: rpcCodes.invalidRequest, message }, 400);
    }
    const controller = new AbortController();
    call.standing.onEnd((error) => controller.abort(error));
    session?.calls.set(id, controller);
    const progressToken = isObject(params._meta) ? params._meta.progressToken : undefined;
    try {
      const own = await ownMethod(session, method, params);
      if (own) return reply.result(id, own);
      const facts = { ...factsOf(session), progress: progressToken !== undefined };
      let stamped = stampFacts(params, facts);
      for (let round = 0; round < maxRounds; round++) {
        const result = await service.request(method, stamped, {
          operator,
          signal: controller.signal,
          notify: (notification) => {
            const body = isObject(notification.params) ? notification.params : {};
            const isProgress = notification.method === "notifications/progress";
            reply.notify(notification.method, isProgress ? { ...body, progressToken } : body);
          },
        });
        if (result.resultType !== "input_required") return reply.result(id, legacyResult(result));
        const { requestState, inputRequests } = result;
        const { requestState: _before, ...again } = stamped;
        stamped = requestState === undefined ? again : { ...again, requestState };
        try {
          const inputResponses = await questions.ask(call, inputRequests, controller.signal);
          stamped = { ...stamped, inputResponses };
        } catch (cause) {
          giveUp(call, stamped);
          throw cause;
        }
      }
      throw new HubError({ code: "REQUEST_INVALID", message: "The app asks without end." });
    } catch (cause) {
      reply.fail(id, failureOf(cause));
    } finally {
      session?.calls.delete(id);
    }
  }

  /** The app waits for answers that do not come: it is told to stop. */
  function giveUp({ service, operator, message }: Call, params: Record<string, unknown>): void {
    if (params.requestState === undefined) return;
    const signal = AbortSignal.timeout(giveUpMs);
    service.request(message.method, givingUp(params), { operator, signal, notify() {} }).catch(() => {});
  }

  return {
    async post(exchange, message) {
      const { operator, response, holding } = exchange;
      if (!isObject(message) || Array.isArray(message)) {
        return new McpResponse(response).fail(
          null,
          { code: rpcCodes.invalidRequest, message: "One JSON-RPC message is expected; batches are not served." },
          400,
        );
      }
      if (message.method === "initialize" && isRequest(message)) return initialize(exchange, message);
      const session = await sessionOf(exchange);
      if (session === null) return notFound(response);
      if (isRequest(message)) {
        return serve({ ...exchange, session, message, reply: new McpResponse(response, { holding }) });
      }
      const params = isObject(message.params) ? message.params : {};
      if (message.method === "notifications/cancelled") {
        session?.calls.get(params.requestId as RequestId)?.abort(cancelled());
      } else if (message.method === undefined) {
        questions.answered(operator.principal, message);
      }
      response.writeHead(202).end();
    },

    async get(exchange) {
      const { request, response, service, operator, holding } = exchange;
      const session = await exchange.admit(() => sessionOf(exchange));
      if (session === null) return notFound(response);
      if (!session || !String(request.headers.accept).includes("text/event-stream")) {
        return notAllowed(response);
      }
      session.closeStream?.();
      streams.take(operator.principal);
      const stream = new McpResponse(response, { stream: true, holding });
      let following: AbortController | undefined;
      const follow = () => {
        const before = following;
        following = new AbortController();
        const wanted = {
          toolsListChanged: true,
          promptsListChanged: true,
          resourcesListChanged: true,
          ...(session.settings.subscriptions.length > 0 && { resourceSubscriptions: session.settings.subscriptions }),
        };
        const { signal } = following;
        let follows = false;
        // Something went away, or began anew: the client reads the lists again when it has connected again.
        const lost = () => {
          if (!signal.aborted) stream.end();
        };
        service
          .request("subscriptions/listen", stampFacts({ notifications: wanted }, factsOf(session)), {
            operator,
            signal,
            notify: ({ method, params }) => {
              if (method !== "notifications/subscriptions/acknowledged") stream.notify(method, params);
              else follows = isObject(params) && hasMembers(params.notifications);
            },
          })
          // A service that has nothing to tell ends at once, and its stream stays silent.
          .then(() => follows && lost(), lost);
        before?.abort(cancelled());
      };
      let isOpen = true;
      const end = (why: FedError) => {
        if (!isOpen) return;
        isOpen = false;
        streams.release(operator.principal);
        following?.abort(why);
        stream.end();
        if (session.closeStream !== close) return;
        session.closeStream = undefined;
        session.onSubscriptions = undefined;
      };
      const close = () => end(cancelled());
      session.closeStream = close;
      session.onSubscriptions = follow;
      response.once("close", close);
      follow();
      exchange.standing.onEnd(end);
    },

    async delete(exchange) {
      const { request, response } = exchange;
      const session = await exchange.admit(() => sessionOf(exchange));
      if (!session) return session === null ? notFound(response) : notAllowed(response);
      await sessions.end(String(request.headers[sessionHeader]), cancelled());
      response.writeHead(200).end();
    },

    close: () => sessions.close(cancelled()),
  };
}

/** What the endpoint answers itself. */
async function ownMethod(
  session: LegacySession | undefined,
  method: string,
  params: Record<string, unknown>,
): Promise<Record<string, unknown> | undefined> {
  switch (method) {
    case "ping":
      return {};
    case "logging/setLevel":
      if (!isLogLevel(params.level)) throw invalid("level is no severity of log messages.");
      await session?.setLogLevel(params.level);
      return {};
    case "resources/subscribe":
    case "resources/unsubscribe":
      if (typeof params.uri !== "string") throw invalid("uri is missing.");
      if (!session || !(await session.follow(params.uri, method === "resources/subscribe"))) {
        throw invalid(
          "Subscriptions need a session, and one session follows at most 256 resources of 2048 characters.",
        );
      }
      return {};
    default:
      return undefined;
  }
}

function factsOf(session: LegacySession | undefined): AgentFacts {
  const { capabilities, clientInfo } = session?.client ?? unknownClient;
  return { capabilities, clientInfo, logLevel: session?.settings.logLevel ?? defaultLogLevel, progress: false };
}

function isRequest(message: Record<string, unknown>): message is Record<string, unknown> & RpcRequest {
  const { id, method } = message;
  return typeof method === "string" && method.length <= 128 && (typeof id === "string" || typeof id === "number");
}

function invalid(message: string): HubError {
  return new HubError({ code: "REQUEST_INVALID", message });
}

function cancelled(): CoreError {
  return new CoreError({ code: "ABORTED", message: "The agent has cancelled." });
}

/** On this a client begins a new session. */
function notFound(response: ServerResponse): void {
  new McpResponse(response).fail(null, { code: -32001, message: "Session not found" }, 404);
}

function notAllowed(response: ServerResponse): void {
  response.setHeader("allow", "GET, POST, DELETE");
  new McpResponse(response).fail(null, { code: -32000, message: "Method not allowed: it needs a session." }, 405);
}
