/** What apps ask clients of MCP up to 2025-11-25: by a request on the stream of the call that needs the answer. */
import { randomUUID } from "node:crypto";
import type { ServerResponse } from "node:http";
import type { Clock } from "@fed/core";
import { InFlight } from "@fed/router";
import { HubError } from "../errors.js";
import { canAnswer } from "../mcp/input-capability.js";
import { isObject, type RequestId, rpcCodes } from "../mcp/json-rpc.js";
import { failureIn, refusedAnswer } from "../mcp/refusal.js";
import type { Operator } from "../operators/operator.js";
import type { LegacySession } from "./legacy-session.js";
import type { McpResponse } from "./mcp-response.js";

/** How long a client may take to answer a question of an app's. */
const answerMs = 600_000;
const maxPerOperator = 256;
const maxQuestions = 1024;

/** The call that needs to know. */
export interface AskingCall {
  readonly operator: Operator;
  readonly session: LegacySession | undefined;
  readonly response: ServerResponse;
  readonly reply: McpResponse;
}

/** Questions that wait for clients' answers. */
export interface LegacyQuestions {
  /**
   * Puts `inputRequests` to the client of `call` and returns `inputResponses`: its answers, and how it refused.
   * @throws {HubError} INPUT_UNANSWERED when it has no session, is gone or says nothing; the reason of `signal`.
   * @throws {RouterError} BUSY while 256 questions to the operator's agents, or 1024 in all, wait for an answer.
   */
  ask(call: AskingCall, inputRequests: unknown, signal: AbortSignal): Promise<Record<string, unknown>>;
  /** Takes what a client POSTed that is no request. */
  answered(principal: string, message: Record<string, unknown>): void;
}

interface Waiting {
  readonly principal: string;
  answer(message: Record<string, unknown>): void;
}

/** See {@link LegacyQuestions}. */
export function createLegacyQuestions(clock: Clock): LegacyQuestions {
  /** By the id each was asked under. */
  const waiting = new Map<RequestId, Waiting>();
  const open = new InFlight(maxPerOperator, maxQuestions);

  async function askOne(call: AskingCall, question: unknown, signal: AbortSignal): Promise<unknown> {
    const { reply, operator, session, response } = call;
    const { method, params } = isObject(question) ? question : {};
    if (typeof method !== "string" || !session || !reply.open) throw cannotBeAsked();
    if (!canAnswer(session.client.capabilities, method, isObject(params) ? params : {})) {
      return refusedAnswer(method, { code: rpcCodes.methodNotFound, message: `The client declared no ${method}.` });
    }
    open.take(operator.principal);
    const id = randomUUID();
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const abort = () => reject(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    // Whoever has gone may answer, but could not hear what comes of it.
    const gone = () => reject(cannotBeAsked());
    response.once("close", gone);
    const timer = clock.setTimer(answerMs, () =>
      reject(new HubError({ code: "INPUT_UNANSWERED", message: "The agent did not answer what the app asked." })),
    );
    waiting.set(id, { principal: operator.principal, answer: (message) => resolve(answerIn(method, message)) });
    reply.ask(id, method, params);
    try {
      return await promise;
    } finally {
      timer.cancel();
      waiting.delete(id);
      open.release(operator.principal);
      signal.removeEventListener("abort", abort);
      response.off("close", gone);
    }
  }

  return {
    async ask(call, inputRequests, signal) {
      const questions = Object.entries(isObject(inputRequests) ? inputRequests : {});
      const answers = questions.map(async ([key, question]) => [key, await askOne(call, question, signal)] as const);
      return Object.fromEntries(await Promise.all(answers));
    },
    answered(principal, message) {
      const question = waiting.get(message.id as RequestId);
      if (question?.principal === principal) question.answer(message);
    },
  };
}

/** An answer as the later revision spells it, where an error is no answer. */
function answerIn(method: string, { result, error }: Record<string, unknown>): unknown {
  return isObject(result) ? result : refusedAnswer(method, failureIn(isObject(error) ? error : {}));
}

function cannotBeAsked(): HubError {
  return new HubError({
    code: "INPUT_UNANSWERED",
    message: "The app asks something that this client cannot be asked.",
    hint: "The client needs a session and must keep the request's stream open.",
  });
}
