/**
 * The hub's end of a JSON-RPC conversation with one app, over a transport of the MCP SDK. It knows ids and nothing of MCP:
 * every answer finds the request it belongs to, one that belongs to none is dropped, and nothing waits for ever.
 */

import { type FedError, isFedError, LiveMap } from "@fed/core";
import type { JSONRPCMessage, MessageExtraInfo, Transport } from "@modelcontextprotocol/client";
import { HubError } from "../errors.js";
import { appFailure, isObject, type RequestId, type RpcFailure, rpcCodes } from "../mcp/json-rpc.js";

/** What a transport that knows it says beside a message: which of the hub's requests it belongs to. */
export interface Related extends MessageExtraInfo {
  readonly relatedRequestId?: RequestId | undefined;
  /** Why the app's own answer could not be taken; the message stands in for it. */
  readonly failure?: FedError;
}

/** Who hears what the app begins. */
export interface RpcHandlers {
  /** A request of the app's; it is answered by {@link RpcPeer.answer} or {@link RpcPeer.refuse}. */
  asked(id: RequestId, method: string, params: Record<string, unknown>, related: RequestId | undefined): void;
  /** A notification. */
  told(method: string, params: Record<string, unknown>, related: RequestId | undefined): void;
  /** The app is gone. */
  ended(): void;
}

/** Options of {@link RpcPeer.request}. */
export interface RpcRequestOptions {
  /** Aborting it tells the app to stop and rejects with its reason. */
  readonly signal?: AbortSignal;
  /** From {@link RpcPeer.nextId}. Default: the next one. */
  readonly id?: number;
  /** For transports that have headers. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
}

interface Pending {
  readonly method: string;
  resolve(result: unknown): void;
  reject(error: unknown): void;
  /** Hears no signal any more. */
  release(): void;
}

const nothing = () => {};

/** Requests of one app that may wait for this hub's answer, and the bytes of their params; further ones are refused. */
const maxAsked = 256;
const maxAskedBytes = 16 * 1024 * 1024;
/** Of the id that an app gives a request. */
const maxIdChars = 1024;

/** See the module header. */
export class RpcPeer {
  readonly #app: string;
  readonly #transport: Transport;
  /** Who serves the app; nobody until its revision is known. */
  handlers: RpcHandlers | undefined;
  readonly #pending = new LiveMap<RequestId, Pending>();
  /** The app's open requests, with the bytes of each. */
  readonly #asked = new Map<RequestId, number>();
  #askedBytes = 0;
  /** Whether ending a request's own stream is all an app needs to stop working on it, where it has such a stream. */
  cancelsByClosing = false;
  #lastId = 0;
  #ended = false;

  constructor(app: string, transport: Transport) {
    this.#app = app;
    this.#transport = transport;
    transport.onmessage = (message: JSONRPCMessage, extra: Related = {}) => this.#take(message, extra);
    transport.onclose = () => this.#end();
  }

  /** Whether the app is gone. */
  get hasEnded(): boolean {
    return this.#ended;
  }

  start(): Promise<void> {
    return this.#transport.start();
  }

  /**
   * The app's result.
   * @throws {HubError} TOOL_FAILED with the app's own error, OUTCOME_UNKNOWN when it ended before it answered; the reason
   *   of the signal.
   */
  request(method: string, params: Record<string, unknown>, options: RpcRequestOptions = {}): Promise<unknown> {
    const { signal, id = this.nextId(), headers } = options;
    if (signal?.aborted) return Promise.reject(signal.reason);
    if (this.#ended) return Promise.reject(this.#gone(false));
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const pending: Pending = { method, resolve, reject, release: nothing };
    this.#pending.set(id, pending);
    const closing = this.#transport.hasPerRequestStream ? new AbortController() : undefined;
    const sent = this.#transport.send(
      { jsonrpc: "2.0", id, method, params } as JSONRPCMessage,
      closing && { requestSignal: closing.signal, headers, onRequestStreamEnd: () => this.#fail(id, this.#gone(true)) },
    );
    sent.catch((cause: unknown) => this.#fail(id, sendFailure(this.#app, cause)));
    if (!signal) return promise;
    const onAbort = () => {
      if (!this.#pending.has(id)) return;
      this.#fail(id, signal.reason);
      closing?.abort();
      if (!closing || !this.cancelsByClosing) this.notify("notifications/cancelled", { requestId: id });
    };
    signal.addEventListener("abort", onAbort);
    pending.release = () => signal.removeEventListener("abort", onAbort);
    return promise;
  }

  /** An id for a request to come. */
  nextId(): number {
    return ++this.#lastId;
  }

  /** Says from now on which revision is spoken. */
  setRevision(revision: string): void {
    this.#transport.setProtocolVersion?.(revision);
  }

  /** Sends a notification; one that cannot be sent is lost. */
  notify(method: string, params: Record<string, unknown>): void {
    this.#send({ jsonrpc: "2.0", method, params });
  }

  /** Answers a request of the app's. */
  answer(id: RequestId, result: unknown): void {
    if (this.#forget(id)) this.#send({ jsonrpc: "2.0", id, result });
  }

  /** Refuses a request of the app's. */
  refuse(id: RequestId, error: RpcFailure): void {
    if (this.#forget(id)) this.#send({ jsonrpc: "2.0", id, error });
  }

  /** Ends the transport; what is pending fails. */
  async close(): Promise<void> {
    await this.#transport.close().catch(() => {});
    this.#end();
  }

  /** Nothing that an app says may end the hub: what cannot be taken is lost, or refused where the app waits for an answer. */
  #take(message: unknown, extra: Related): void {
    try {
      this.#receive(message, extra);
    } catch {
      const { id } = message as { readonly id?: unknown };
      if (isId(id)) this.refuse(id, { code: rpcCodes.invalidRequest, message: "The request cannot be taken." });
    }
  }

  #receive(message: unknown, { relatedRequestId: related, failure }: Related): void {
    if (!isObject(message)) return;
    const { id, method } = message;
    if (failure) {
      this.#fail(id as RequestId, failure);
      return;
    }
    const params = isObject(message.params) ? message.params : {};
    if (typeof method === "string") {
      if (id === undefined) this.#tells(method, params, related);
      else if (isId(id)) this.#asks(id, method, params, related);
    } else if (isId(id)) this.#settle(id, message);
  }

  #tells(method: string, params: Record<string, unknown>, related: RequestId | undefined): void {
    this.handlers?.told(method, params, related);
    // What the app does not want to know any more is answered no more.
    if (method === "notifications/cancelled") this.#forget(params.requestId as RequestId);
  }

  #asks(id: RequestId, method: string, params: Record<string, unknown>, related: RequestId | undefined): void {
    // An id that is in use names the request that has it; this one could not be answered.
    if (this.#asked.has(id)) return;
    this.#asked.set(id, 0);
    if (this.#asked.size > maxAsked || String(id).length > maxIdChars || !this.#hold(id, params)) {
      this.refuse(id, { code: rpcCodes.internalError, message: "Too many open requests, or one that is too large." });
    } else if (method === "ping") this.answer(id, {});
    else if (this.handlers) this.handlers.asked(id, method, params, related);
    else this.refuse(id, { code: rpcCodes.invalidRequest, message: `${method} before the revision is settled.` });
  }

  /** Counts what an open request fills; false when there is no room for it. */
  #hold(id: RequestId, params: Record<string, unknown>): boolean {
    const bytes = Buffer.byteLength(JSON.stringify(params));
    if (this.#askedBytes + bytes > maxAskedBytes) return false;
    this.#asked.set(id, bytes);
    this.#askedBytes += bytes;
    return true;
  }

  /** Strikes out an open request; false when there is none of that id. */
  #forget(id: RequestId): boolean {
    this.#askedBytes -= this.#asked.get(id) ?? 0;
    return this.#asked.delete(id);
  }

  #settle(id: RequestId, { result, error }: Record<string, unknown>): void {
    const pending = this.#pending.get(id);
    if (!pending) return;
    this.#pending.delete(id);
    pending.release();
    if (isObject(error)) pending.reject(appFailure(this.#app, failureIn(error)));
    else if (isObject(result)) pending.resolve(result);
    else {
      const message = `an answer to ${pending.method} that is no JSON-RPC`;
      pending.reject(appFailure(this.#app, { code: rpcCodes.internalError, message }));
    }
  }

  #fail(id: RequestId, error: unknown): void {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    pending?.release();
    pending?.reject(error);
  }

  #send(message: object): void {
    if (!this.#ended) this.#transport.send(message as JSONRPCMessage).catch(() => {});
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    for (const id of [...this.#pending.keys()]) this.#fail(id, this.#gone(true));
    this.handlers?.ended();
  }

  #gone(sent: boolean): HubError {
    if (sent) return outcomeUnknown(this.#app);
    return new HubError({ code: "APP_UNAVAILABLE", message: `App ${this.#app} has ended.`, retryable: true });
  }
}

/** An app that is gone while it worked on something. */
export function outcomeUnknown(app: string, cause?: unknown): HubError {
  return new HubError({
    code: "OUTCOME_UNKNOWN",
    message: `App ${app} ended during the call; whether it took effect is unknown.`,
    hint: "Look at the app's state before you call again.",
    cause,
  });
}

/** An HTTP app that answers with a status instead of a message: what it says is passed on, bounded. */
function sendFailure(app: string, cause: unknown): FedError {
  if (isFedError(cause)) return cause;
  const { data } = cause as { data?: { status?: unknown; text?: unknown } };
  const failure = bodyFailure(data?.text);
  if (failure) return appFailure(app, failure);
  const refused = typeof data?.status === "number" && data.status < 500;
  if (!refused) return outcomeUnknown(app, cause);
  return new HubError({
    code: "APP_UNAVAILABLE",
    message: `App ${app} refused the request with HTTP status ${String(data.status)}.`,
    hint: "See its address, headers and credentials in the mcpServers file.",
    details: { httpStatus: data.status as number },
    cause,
  });
}

/** The JSON-RPC error in the body of a refusal, e.g. `Method not found` with status 404. */
function bodyFailure(text: unknown): RpcFailure | undefined {
  if (typeof text !== "string" || text.length > 65_536) return undefined;
  try {
    const { error } = JSON.parse(text) as { error?: unknown };
    return isObject(error) && typeof error.code === "number" ? failureIn(error) : undefined;
  } catch {
    return undefined;
  }
}

function failureIn({ code, message, data }: Record<string, unknown>): RpcFailure {
  return {
    code: typeof code === "number" ? code : rpcCodes.internalError,
    message: typeof message === "string" ? message : "",
    ...(data === undefined ? {} : { data }),
  };
}

function isId(value: unknown): value is RequestId {
  return typeof value === "string" || typeof value === "number";
}
