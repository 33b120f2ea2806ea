/**
 * A conversation with one running app, in the terms of MCP revision 2026-07-28 whatever revision the app speaks: requests
 * without a handshake, notifications that belong to a request, and input asked for by an `input_required` result.
 */
import type { Notification } from "@fed/router";

/** What an app says of itself: the answer to `server/discover`, or to `initialize` of an older one. */
export interface AppDescription {
  readonly serverInfo: { readonly name: string; readonly version: string; readonly [key: string]: unknown };
  readonly capabilities: { readonly [name: string]: unknown };
  readonly instructions?: string;
}

/** Options of one request to an app. */
export interface AppRequestOptions {
  /** Aborting it cancels the app's work; its reason is a FedError. */
  readonly signal: AbortSignal;
  /** Who asks: a held request is only continued by the same principal. */
  readonly principal: string;
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
  /** Hears what the app says to nobody in particular, e.g. `notifications/tools/list_changed`. */
  onNotification(listener: (notification: Notification) => void): () => void;
  /** Resolves when the app has ended or {@link close} was called. */
  readonly closed: Promise<void>;
  /** Ends the conversation, and with it a process or server of the hub's own. Idempotent. */
  close(): Promise<void>;
}
