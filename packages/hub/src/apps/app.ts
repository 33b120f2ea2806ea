/** One app: connected when it can be, reconnected for ever with growing pauses, never able to hurt the others. */
import { type Clock, FedError, type Timer, toFedError } from "@fed/core";
import {
  Client,
  SdkError,
  SdkErrorCode,
  StreamableHTTPClientTransport,
  type Transport,
} from "@modelcontextprotocol/client";
import { getDefaultEnvironment, StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import { z } from "zod";
import { HubError } from "../errors.js";
import type { AppConfig } from "./app-config.js";
import { connectInProcess } from "./in-process.js";

const firstPauseMs = 500;
const longestPauseMs = 30_000;
const connectTimeoutMs = 30_000;
/** How long an app must have run before its next start is as prompt as the first. */
const provenAfterMs = 30_000;
const maxMessageBytes = 8 * 1024 * 1024;
/** Progress notifications of one request that are passed on: at once, and in each second of its life. */
const progressBurst = 256;
const progressPerSecond = 20;
const keptStderrChars = 4096;

/** Where an app stands. */
export type AppStatus = "starting" | "ready" | "failed";

/** Options of one request to an app. */
export interface AppRequestOptions {
  readonly signal: AbortSignal;
  readonly timeoutMs: number;
  progress(params: unknown): void;
}

/** See the module header. */
export class App {
  status: AppStatus = "starting";
  /** Why it is not ready. */
  error: FedError | undefined;
  #client: Client | undefined;
  #retry: Timer | undefined;
  #pauseMs = firstPauseMs;
  #closed = false;
  #stderr = "";
  /** Who hears of the progress of each request under way, by its token. */
  readonly #progress = new Map<number, (params: unknown) => void>();
  #lastProgressToken = 0;
  readonly #ready = Promise.withResolvers<void>();

  readonly name: string;
  readonly config: AppConfig;
  readonly #clock: Clock;

  constructor(options: {
    readonly name: string;
    readonly config: AppConfig;
    readonly clock: Clock;
  }) {
    this.name = options.name;
    this.config = options.config;
    this.#clock = options.clock;
  }

  /** Begins connecting; resolves when the first attempt has ended, well or not. */
  async start(): Promise<void> {
    if (this.#closed) return;
    const client = new Client(
      { name: "fed-hub", version: "0.0.0" },
      { versionNegotiation: { mode: "auto", probe: { timeoutMs: 5_000 } } },
    );
    const startedAt = this.#clock.monotonicMs();
    // Not by the SDK's own `onprogress`: it forgets the call when the result is read, and with it the progress just before.
    client.setNotificationHandler("notifications/progress", ({ params: { progressToken, ...params } }) =>
      this.#progress.get(progressToken as number)?.(params),
    );
    client.onclose = () => this.#lost(client, startedAt);
    try {
      this.#client = client;
      await client.connect(await this.#transport(), { timeout: connectTimeoutMs });
      if (this.#closed) return void (await client.close());
      this.status = "ready";
      this.error = undefined;
      this.#ready.resolve();
    } catch (cause) {
      if (this.#client === client) this.#client = undefined;
      await client.close().catch(() => {});
      this.#fail(
        new HubError({
          code: "APP_START_FAILED",
          message: `App ${this.name} did not start: ${firstLine(cause)}${this.#stderr ? ` — it printed: ${lastLine(this.#stderr)}` : ""}`,
          hint: "Check its command, arguments and environment in the mcpServers file.",
          retryable: true,
          cause,
        }),
      );
    }
  }

  /**
   * Sends one MCP request and returns its result, verbatim.
   * @throws {FedError} APP_UNAVAILABLE when it is not ready, OUTCOME_UNKNOWN when it ended during the call,
   *   DEADLINE_EXCEEDED, ABORTED, or TOOL_FAILED with the app's own protocol error.
   */
  async request(method: string, params: Record<string, unknown>, options: AppRequestOptions): Promise<unknown> {
    if (this.status === "starting") await this.#firstReady(options.signal);
    const client = this.#client;
    if (!client || this.status !== "ready") {
      throw new HubError({
        code: "APP_UNAVAILABLE",
        message: this.error?.message ?? `App ${this.name} is not running.`,
        hint: "It is restarted by itself; try again shortly.",
        retryable: true,
        cause: this.error,
      });
    }
    const progressToken = ++this.#lastProgressToken;
    this.#progress.set(progressToken, this.#moderated(options.progress));
    try {
      const stamped = { ...params, _meta: { ...(params._meta as object | undefined), progressToken } };
      return await client.request({ method, params: stamped }, anyResult, {
        signal: options.signal,
        timeout: options.timeoutMs,
        maxTotalTimeout: options.timeoutMs,
        allowInputRequired: true,
      });
    } catch (cause) {
      throw this.#requestError(cause, client, options.signal);
    } finally {
      this.#progress.delete(progressToken);
    }
  }

  /** Ends the app and does not start it again. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#retry?.cancel();
    const client = this.#client;
    this.#client = undefined;
    await client?.close().catch(() => {});
  }

  async #transport(): Promise<Transport> {
    const { config } = this;
    if ("server" in config) return connectInProcess(config.server);
    if ("url" in config) {
      return new StreamableHTTPClientTransport(new URL(config.url), {
        requestInit: { headers: { ...config.headers } },
      });
    }
    const transport = new StdioClientTransport({
      command: config.command,
      args: [...(config.args ?? [])],
      env: { ...getDefaultEnvironment(), ...config.env },
      cwd: config.cwd,
      stderr: "pipe",
      maxBufferSize: maxMessageBytes,
    });
    this.#stderr = "";
    transport.stderr?.on("data", (chunk: Buffer) => {
      this.#stderr = (this.#stderr + chunk.toString("utf8").slice(-keptStderrChars)).slice(-keptStderrChars);
    });
    return transport;
  }

  /** Lets through as much as anybody can look at; an app that reports without end must not fill the memory of others. */
  #moderated(progress: (params: unknown) => void): (params: unknown) => void {
    const startedMs = this.#clock.monotonicMs();
    let passed = 0;
    return (params) => {
      if (passed >= progressBurst + ((this.#clock.monotonicMs() - startedMs) / 1000) * progressPerSecond) return;
      passed++;
      progress(params);
    };
  }

  async #firstReady(signal: AbortSignal): Promise<void> {
    const aborted = Promise.withResolvers<never>();
    const abort = () => aborted.reject(new FedError({ code: "ABORTED", message: "The call was cancelled." }));
    signal.addEventListener("abort", abort, { once: true });
    try {
      await Promise.race([this.#ready.promise, aborted.promise]);
    } finally {
      signal.removeEventListener("abort", abort);
    }
  }

  #requestError(cause: unknown, client: Client, signal: AbortSignal): FedError {
    if (signal.aborted)
      return toFedError(signal.reason instanceof FedError ? signal.reason : abortedCall(signal.reason));
    if (this.#client !== client || (cause instanceof SdkError && cause.code === SdkErrorCode.ConnectionClosed)) {
      return new HubError({
        code: "OUTCOME_UNKNOWN",
        message: `App ${this.name} ended during the call; whether it took effect is unknown.`,
        hint: "Look at the app's state before you call again.",
        cause,
      });
    }
    if (cause instanceof SdkError && cause.code === SdkErrorCode.RequestTimeout) {
      return new FedError({
        code: "DEADLINE_EXCEEDED",
        message: `App ${this.name} did not answer in time.`,
        hint: "The app was told to stop.",
      });
    }
    return new HubError({ code: "TOOL_FAILED", message: `App ${this.name} refused: ${firstLine(cause)}`, cause });
  }

  #lost(client: Client, startedAt: number): void {
    if (this.#closed || this.#client !== client) return;
    this.#client = undefined;
    if (this.status !== "ready") return;
    if (this.#clock.monotonicMs() - startedAt > provenAfterMs) this.#pauseMs = firstPauseMs;
    this.#fail(
      new HubError({
        code: "APP_UNAVAILABLE",
        message: `App ${this.name} ended${this.#stderr ? `; it printed: ${lastLine(this.#stderr)}` : "."}`,
        hint: "It is restarted by itself.",
        retryable: true,
      }),
    );
  }

  #fail(error: FedError): void {
    if (this.#closed) return;
    this.status = "failed";
    this.error = error;
    this.#ready.resolve();
    this.#retry = this.#clock.setTimer(this.#pauseMs * (0.5 + Math.random()), () => void this.start());
    this.#pauseMs = Math.min(this.#pauseMs * 2, longestPauseMs);
  }
}

const anyResult = z.looseObject({});

function abortedCall(cause: unknown): FedError {
  return new FedError({ code: "ABORTED", message: "The call was cancelled.", cause });
}

function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split("\n", 1)[0]!.slice(0, 300);
}

function lastLine(text: string): string {
  return (text.trimEnd().split("\n").at(-1) ?? "").slice(0, 300);
}
