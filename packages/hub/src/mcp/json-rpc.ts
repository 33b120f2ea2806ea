/** JSON-RPC 2.0 messages as MCP uses them, and how a failure is spelt as one. */
import { type FedError, type Json, toFedError } from "@fed/core";
import { detailsOf } from "@fed/router";
import { HubError } from "../errors.js";

/** A request's id. */
export type RequestId = string | number;

/** A request. */
export interface RpcRequest {
  readonly jsonrpc: "2.0";
  readonly id: RequestId;
  readonly method: string;
  readonly params?: Record<string, unknown>;
}

/** The `error` of a response. */
export interface RpcFailure {
  readonly code: number;
  readonly message: string;
  readonly data?: unknown;
}

/** Codes of JSON-RPC and of MCP that a hub itself answers with. */
export const rpcCodes = {
  parseError: -32700,
  invalidRequest: -32600,
  methodNotFound: -32601,
  invalidParams: -32602,
  internalError: -32603,
  headerMismatch: -32020,
  unsupportedProtocolVersion: -32022,
  /** A failure of the federation, outside the range that JSON-RPC reserves; `data.code` says which. */
  federation: -31_000,
} as const;

/** Codes of this hub that JSON-RPC has a number of its own for. */
const standardCodes: Readonly<Record<string, number>> = {
  METHOD_NOT_SUPPORTED: rpcCodes.methodNotFound,
  REQUEST_INVALID: rpcCodes.invalidParams,
  REQUEST_MALFORMED: rpcCodes.invalidParams,
  INPUT_STATE_INVALID: rpcCodes.invalidParams,
};

/** An app's own JSON-RPC error, to be handed on unchanged. */
export function appFailure(app: string, failure: RpcFailure): HubError {
  return new HubError({
    code: "TOOL_FAILED",
    message: `App ${app} refused: ${failure.message.slice(0, 500)}`,
    details: { rpc: { code: failure.code, message: failure.message, data: failure.data as Json } },
  });
}

/** The error an agent is answered with: the app's own if it has one, else this federation's. */
export function failureOf(cause: unknown): RpcFailure {
  const error = toFedError(cause);
  return ownFailure(error) ?? federationFailure(error);
}

/** What the app itself answered, if `error` comes from an app. */
function ownFailure(error: FedError): RpcFailure | undefined {
  const rpc = detailsOf(error)?.rpc as Partial<RpcFailure> | undefined;
  if (error.code !== "TOOL_FAILED" || typeof rpc?.code !== "number" || typeof rpc.message !== "string")
    return undefined;
  return rpc.data === undefined ? { code: rpc.code, message: rpc.message } : (rpc as RpcFailure);
}

function federationFailure({ code, message, hint, retryable }: FedError): RpcFailure {
  return {
    code: standardCodes[code] ?? rpcCodes.federation,
    message,
    data: { code, ...(hint ? { hint } : {}), retryable },
  };
}

/** Whether `value` is a JSON object with something in it. */
export function hasMembers(value: unknown): boolean {
  return isObject(value) && Object.keys(value).length > 0;
}

/** Whether `value` is a JSON object. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
