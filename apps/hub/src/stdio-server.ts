/**
 * An MCP endpoint of the running hub on this process's standard streams. Messages are carried as they are, whatever revision
 * they belong to, and the hub may be restarted meanwhile: only the calls in flight notice.
 */
import { FedError, isFedError } from "@fed/core";
import type { RunFile } from "@fed/hub";
import { type JSONRPCMessage, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { StdioServerTransport } from "@modelcontextprotocol/server/stdio";
import { notRunning, readRunFile, requireRunning } from "./hub-client.js";
import { CliError } from "./output.js";

/** The range of JSON-RPC codes that is free for failures which are no protocol's. */
const failureCode = -31_000;

/** What is served. */
export interface StdioServerOptions {
  readonly dir: string;
  /** The endpoint's path, e.g. `/mcp`. */
  readonly path: string;
  /** An agent's token; absent: the token of the run, which may do everything. */
  readonly token: string | undefined;
}

/** Serves until stdin ends. @throws {CliError} HUB_NOT_RUNNING. */
export async function serveHubOnStdio(options: StdioServerOptions): Promise<void> {
  await requireRunning(options.dir);
  const bridge = new StdioBridge(options);
  const ended = new Promise<void>((resolve) => process.stdin.once("close", resolve).once("end", resolve));
  await bridge.start();
  await ended;
  await bridge.close();
}

interface Message {
  readonly id?: string | number;
  readonly method?: string;
  readonly params?: { readonly requestId?: string | number };
}

interface Call {
  readonly method: string;
  readonly controller: AbortController;
}

class StdioBridge {
  readonly #options: StdioServerOptions;
  readonly #wire = new StdioServerTransport();
  #run: RunFile | undefined;
  #hub: StreamableHTTPClientTransport | undefined;
  /** The agent's requests under way. */
  readonly #calls = new Map<string | number, Call>();
  /** The agent's `initialize`, whose answer names the revision of all that follows. */
  #initializing: string | number | undefined;
  #revision: string | undefined;

  constructor(options: StdioServerOptions) {
    this.#options = options;
    this.#wire.onmessage = (message) => void this.#forward(message);
  }

  start(): Promise<void> {
    return this.#wire.start();
  }

  /** The agent is gone: what it asked for is cancelled. */
  async close(): Promise<void> {
    for (const [requestId, { controller }] of this.#calls) {
      controller.abort();
      const cancel = { jsonrpc: "2.0" as const, method: "notifications/cancelled", params: { requestId } };
      if (this.#revision !== undefined) await this.#hub?.send(cancel).catch(() => {});
    }
    await this.#hub?.close();
    await this.#wire.close();
  }

  async #forward(message: JSONRPCMessage): Promise<void> {
    const { id, method, params } = message as Message;
    const controller = new AbortController();
    const isRequest = method !== undefined && id !== undefined;
    if (isRequest) this.#calls.set(id, { method, controller });
    try {
      const hub = await this.#current();
      if (method === "initialize") this.#initializing = id;
      // In the later revision closing the request's stream is how it is cancelled; the message is for the earlier one.
      if (method === "notifications/cancelled" && this.#revision === undefined) {
        this.#calls.get(params?.requestId ?? "")?.controller.abort();
        return;
      }
      const { signal } = controller;
      await hub.send(message, isRequest ? { requestSignal: signal, onRequestStreamEnd: () => this.#fail(id) } : {});
    } catch (cause) {
      if (isRequest && !controller.signal.aborted) await this.#fail(id, cause);
    }
  }

  /** The way to the hub that runs now. @throws {CliError} HUB_NOT_RUNNING. */
  async #current(): Promise<StreamableHTTPClientTransport> {
    const { dir, path, token } = this.#options;
    const run = readRunFile(dir);
    if (!run) throw notRunning(dir);
    // Each run of a hub has a token of its own.
    if (this.#hub && run.token === this.#run?.token) return this.#hub;
    const before = this.#hub;
    const { sessionId } = before ?? {};
    const hub = new StreamableHTTPClientTransport(new URL(`${run.url}${path}`), {
      requestInit: { headers: { authorization: `Bearer ${token ?? run.token}` } },
      ...(sessionId === undefined ? {} : { sessionId }),
      ...(this.#revision === undefined ? {} : { protocolVersion: this.#revision }),
    });
    hub.onmessage = (message) => this.#received(hub, message);
    // What went wrong with a request is answered; what else goes wrong is tried again by the transport.
    hub.onerror = () => {};
    this.#run = run;
    this.#hub = hub;
    await hub.start();
    void before?.close();
    if (sessionId !== undefined) void hub.resumeStream("").catch(() => {});
    return hub;
  }

  #received(hub: StreamableHTTPClientTransport, message: JSONRPCMessage): void {
    const { id, method } = message as Message;
    if (method === undefined && id !== undefined) {
      this.#calls.delete(id);
      if (id === this.#initializing) {
        const { result } = message as { result?: { protocolVersion?: string } };
        this.#initializing = undefined;
        this.#revision = result?.protocolVersion;
        if (this.#revision) hub.setProtocolVersion(this.#revision);
      }
    }
    void this.#wire.send(message).catch(() => {});
  }

  /** Answers a request that the hub has not answered; the stream that its answer was to come on has ended. */
  async #fail(id: string | number, cause?: unknown): Promise<void> {
    const call = this.#calls.get(id);
    if (!this.#calls.delete(id)) return;
    const error = failureOf(cause);
    const { failure } = await import("@fed/hub");
    const answer =
      call?.method === "tools/call" && isFedError(error) ? { result: failure(error, {}) } : { error: spelt(error) };
    await this.#wire.send({ jsonrpc: "2.0", id, ...answer } as JSONRPCMessage).catch(() => {});
  }
}

/** The JSON-RPC error in an answer whose status was no success, or why there is no answer. */
function failureOf(cause: unknown): FedError | object {
  if (isFedError(cause)) return cause;
  const { text } = ((cause as { data?: unknown } | undefined)?.data ?? {}) as { text?: unknown };
  try {
    const { error, code, title, hint } = JSON.parse(String(text)) as Record<string, unknown>;
    if (typeof error === "object" && error !== null) return error;
    if (typeof code === "string")
      return new FedError({ code, message: String(title), hint: hint as string | undefined });
  } catch {
    // No document: the hub itself did not answer.
  }
  return new CliError({
    code: "OUTCOME_UNKNOWN",
    message: "The hub went away before it answered; whether it did what was asked is unknown.",
    hint: "See `fed doctor`.",
  });
}

function spelt(error: FedError | object): object {
  if (!isFedError(error)) return error;
  const { code, message, hint } = error;
  return { code: failureCode, message, data: { code, hint } };
}
