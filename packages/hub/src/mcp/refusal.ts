/**
 * What an agent of the older era says instead of an answer, in the terms of the later one, which knows only answers: that it
 * refuses a question, in the answer's `_meta`, and that it has given up the call, in the request's.
 */
import { isObject, type RpcFailure, rpcCodes } from "./json-rpc.js";

const refusalKey = "fed/refusal";
const givenUpKey = "fed/given-up";
const maxMessageChars = 1024;

/** The answer that stands for a JSON-RPC error. To an app that knows only answers a form is simply cancelled. */
export function refusedAnswer(method: string, refusal: RpcFailure): Record<string, unknown> {
  return { ...(method === "elicitation/create" && { action: "cancel" }), _meta: { [refusalKey]: refusal } };
}

/** The JSON-RPC error that `answer` stands for. */
export function refusalIn(answer: unknown): RpcFailure | undefined {
  const refusal = isObject(answer) && isObject(answer._meta) ? answer._meta[refusalKey] : undefined;
  return isObject(refusal) ? failureIn(refusal) : undefined;
}

/** `value` as the `error` of a response. */
export function failureIn({ code, message, data }: Record<string, unknown>): RpcFailure {
  return {
    code: typeof code === "number" && Number.isInteger(code) ? code : rpcCodes.internalError,
    message: typeof message === "string" ? message.slice(0, maxMessageChars) : "The agent refused.",
    ...(data === undefined ? {} : { data }),
  };
}

/**
 * `inputResponses` for an app of the later era: refusals that are answers, too, are only that.
 * @returns the first refusal that is nothing else.
 */
export function answersOnly(responses: Record<string, unknown>): {
  readonly answers: Record<string, unknown>;
  readonly refusal: RpcFailure | undefined;
} {
  const answers: Record<string, unknown> = {};
  for (const [key, answer] of Object.entries(responses)) {
    const refusal = refusalIn(answer);
    if (!refusal) {
      answers[key] = answer;
      continue;
    }
    const { _meta, ...rest } = answer as Record<string, unknown>;
    if (Object.keys(rest).length === 0) return { answers, refusal };
    answers[key] = rest;
  }
  return { answers, refusal: undefined };
}

/** The params of a request that ends the call it continues. */
export function givingUp(params: Record<string, unknown>): Record<string, unknown> {
  const { inputResponses, _meta, ...rest } = params;
  return { ...rest, _meta: { ...(isObject(_meta) ? _meta : {}), [givenUpKey]: true } };
}

/** Whether a request only ends the call it continues. */
export function isGivenUp({ requestState, _meta }: Record<string, unknown>): boolean {
  return typeof requestState === "string" && isObject(_meta) && _meta[givenUpKey] === true;
}
