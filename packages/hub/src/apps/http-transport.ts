/**
 * Streamable HTTP to an app, by the MCP SDK's transport: one for each request, so that whatever comes back on a request's
 * stream is known to belong to it, and one for what the app says by itself.
 */
import {
  type JSONRPCMessage,
  StreamableHTTPClientTransport,
  type StreamableHTTPClientTransportOptions,
  type Transport,
  type TransportSendOptions,
} from "@modelcontextprotocol/client";
import { isObject, type RequestId, rpcCodes } from "../mcp/json-rpc.js";
import type { HttpAppConfig } from "./app-config.js";
import { type HttpAccess, httpAccess } from "./http-access.js";
import type { Related } from "./rpc-peer.js";

/** A transport to `app`, with the access its configuration gives. */
export function connectHttp(app: string, config: HttpAppConfig): Transport {
  return new HttpTransport(httpAccess(app, config));
}

/** See the module header. */
class HttpTransport implements Transport {
  readonly hasPerRequestStream = true;
  onclose?: () => void;
  onerror?: (error: Error) => void;
  onmessage?: (message: JSONRPCMessage, extra?: Related) => void;
  readonly #access: HttpAccess;
  /** Sends what belongs to no request and hears what the app says by itself. */
  readonly #main: StreamableHTTPClientTransport;
  readonly #perRequest = new Map<RequestId, StreamableHTTPClientTransport>();
  #revision: string | undefined;

  constructor(access: HttpAccess) {
    this.#access = access;
    this.#main = this.#open({ fetch: access.fetchFor() });
    this.#main.onmessage = (message) => this.onmessage?.(message);
    this.#main.onerror = (error) => this.onerror?.(error);
  }

  start(): Promise<void> {
    return this.#main.start();
  }

  async send(message: JSONRPCMessage, options?: TransportSendOptions): Promise<void> {
    const { id, method } = message as { id?: RequestId; method?: string };
    // The answer to `initialize` opens the session that all later requests name.
    if (id === undefined || method === undefined || method === "initialize") return this.#main.send(message, options);
    const transport = await this.#openFor(id);
    const forget = () => this.#perRequest.delete(id);
    options?.requestSignal?.addEventListener("abort", forget, { once: true });
    try {
      await transport.send(message, {
        ...options,
        onRequestStreamEnd: () => {
          forget();
          options?.onRequestStreamEnd?.();
        },
      });
    } catch (error) {
      forget();
      throw error;
    }
  }

  setProtocolVersion(version: string): void {
    this.#revision = version;
    this.#main.setProtocolVersion(version);
  }

  async close(): Promise<void> {
    if (this.#main.sessionId) await this.#main.terminateSession().catch(() => {});
    for (const transport of this.#perRequest.values()) await transport.close();
    await this.#main.close();
    await this.#access.close();
    this.onclose?.();
  }

  async #openFor(id: RequestId): Promise<StreamableHTTPClientTransport> {
    const { sessionId } = this.#main;
    const error = { code: rpcCodes.federation, message: "The answer is too large." };
    const transport = this.#open({
      fetch: this.#access.fetchFor((failure) => this.onmessage?.({ jsonrpc: "2.0", id, error }, { failure })),
      ...(sessionId === undefined ? {} : { sessionId }),
      ...(this.#revision === undefined ? {} : { protocolVersion: this.#revision }),
    });
    transport.onerror = () => {};
    transport.onmessage = (message) => {
      const answers = isObject(message) && !("method" in message);
      if (answers) this.#perRequest.delete(id);
      this.onmessage?.(message, { relatedRequestId: id });
    };
    await transport.start();
    this.#perRequest.set(id, transport);
    return transport;
  }

  #open(options: StreamableHTTPClientTransportOptions): StreamableHTTPClientTransport {
    const { url, authProvider } = this.#access;
    return new StreamableHTTPClientTransport(url, { ...(authProvider && { authProvider }), ...options });
  }
}
