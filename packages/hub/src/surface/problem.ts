/** Errors over HTTP: RFC 9457 problem documents with our `code`, and the headers that clients act on. */
import type { FedError, Json } from "@fed/core";
import type { Context } from "hono";
import { challenge } from "./protected-resource.js";

type Status = 400 | 401 | 403 | 404 | 409 | 413 | 429 | 503;

/** HTTP status of the codes that are not simply a bad request. */
const statusOf: Readonly<Record<string, Status>> = {
  UNAUTHENTICATED: 401,
  AGENT_TOKEN_TOO_WIDE: 403,
  APP_NOT_ALLOWED: 403,
  NOT_THE_AUTHORITY: 403,
  OPERATOR_REVOKED: 403,
  ORIGIN_REFUSED: 403,
  SCOPE_MISSING: 403,
  AGENT_TOKEN_UNKNOWN: 404,
  APPROVAL_UNKNOWN: 404,
  APP_UNKNOWN: 404,
  HUB_UNKNOWN: 404,
  AGENT_TOKEN_LIMIT: 409,
  ALREADY_IN_CLUSTER: 409,
  NAME_TAKEN: 409,
  NOT_IN_CLUSTER: 409,
  TOOL_CHANGED: 409,
  REQUEST_TOO_LARGE: 413,
  RATE_LIMITED: 429,
};

/** A problem document and its headers. */
export interface Problem {
  readonly status: Status;
  readonly headers: Record<string, string>;
  readonly body: string;
}

/** What a client is answered when `error` stops its request. */
export function problemOf(
  error: FedError,
  request: {
    /** The hub's address as the client knows it. */
    readonly base: string;
    readonly path: string;
    /** Whether it carried credentials. */
    readonly credentials: boolean;
  },
  status?: Status,
): Problem {
  const { code, message, hint, retryable } = error;
  const { details } = error as { readonly details?: { readonly [key: string]: Json } };
  const answered = status ?? statusOf[code] ?? (retryable ? 503 : 400);
  const headers: Record<string, string> = { "content-type": "application/problem+json" };
  if (answered === 401 || code === "SCOPE_MISSING") {
    headers["www-authenticate"] = challenge(request.base, request.path, {
      code,
      sent: request.credentials,
      scope: typeof details?.scope === "string" ? details.scope : undefined,
    });
  }
  if (code === "RATE_LIMITED" || code === "BUSY") {
    headers["retry-after"] = String(Math.ceil(Number(details?.retryAfterMs ?? 1000) / 1000));
  }
  const body = { type: "about:blank", title: message, status: answered, code, ...(hint ? { hint } : {}), retryable };
  return { status: answered, headers, body: JSON.stringify(details ? { ...body, details } : body) };
}

/** The answer for `error`; `baseOf` gives the hub's address as the client knows it. */
export function problem(
  context: Context,
  error: FedError,
  baseOf: (request: Request) => string,
  status?: Status,
): Response {
  const { req } = context;
  const credentials = req.header("authorization") !== undefined;
  const answer = problemOf(error, { base: baseOf(req.raw), path: req.path, credentials }, status);
  return context.body(answer.body, answer.status, answer.headers);
}
