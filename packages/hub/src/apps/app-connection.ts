/**
 * A conversation with one running app, in the terms of MCP revision 2026-07-28 whatever revision the app speaks: requests
 * without a handshake, notifications that belong to a request, and input asked for by an `input_required` result.
 */
import type { FedError } from "@fed/core";
import type { Notification } from "@fed/router";

/** What an app says of itself: its answer to `server/discover`, or what that would be of an older one. */
export interface AppDescription {
  readonly capabilities: Readonly<Record<string, unknown>>;
  readonly instructions?: string;
  readonly [key: string]: unknown;
}

/** Options of one request to an app. */
export interface AppRequestOptions {
  /** Aborting it cancels the app's work; its reason is a FedError. */
  readonly signal: AbortSignal;
  /** Who asks. What cannot be told apart by the app's words goes only to somebody it may concern. */
  readonly principal: string;
  /** What an app reached by HTTP wants repeated in the request's headers. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Hears what belongs to this request, in order, before its result. */
  notify(notification: Notification): void;
}

/** See the module header. */
export interface AppConnection {
  /** The revision spoken with the app. */
  readonly revision: string;
  readonly description: AppDescription;
  /**
   * Sends one MCP request and returns its result, verbatim.
   * @throws {HubError} TOOL_FAILED with the app's own JSON-RPC error in `details.rpc`; OUTCOME_UNKNOWN when the app ended
   *   during the request; INPUT_STATE_INVALID for input that nobody waits for.
   */
  request(method: string, params: Record<string, unknown>, options: AppRequestOptions): Promise<unknown>;
  /** Hears when a list of the app's has changed, e.g. `notifications/tools/list_changed`. @returns what ends it. */
  watch(listener: (method: string) => void): () => void;
  /** Cancels the app's work on the calls that wait for an answer of those whom `concerns` names, because of `error`. */
  endWaiting(concerns: (principal: string) => boolean, error: FedError): void;
  /** Resolves when the app has ended or {@link close} was called. */
  readonly closed: Promise<void>;
  /** Ends the conversation, and with it a process or server of the hub's own. Idempotent. */
  close(): Promise<void>;
}
