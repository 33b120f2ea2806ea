/**
 * One app's life: idle until it is asked for or started with the hub, ready, failed and tried again with growing pauses for
 * ever, stopped by its operator. It can be replaced, drained and ended at any point of it, and never hurts another.
 */
import { type Clock, type FedError, type Timer, toFedError } from "@fed/core";
import { type AppStatus, detailsOf } from "@fed/router";
import type { HubError } from "../errors.js";
import { isObject } from "../mcp/json-rpc.js";
import { pause } from "../pause.js";
import { type AppConfig, fingerprint, startOf } from "./app-config.js";
import type { AppConnection, AppRequestOptions } from "./app-connection.js";
import { appEnded, appNotRunning, appStopped } from "./app-errors.js";
import type { AppHealth } from "./app-health.js";
import { AppLog } from "./app-log.js";
import { concealment } from "./app-secrets.js";
import { AppUse } from "./app-use.js";
import { Backoff } from "./backoff.js";
import { concealError } from "./conceal-error.js";
import { heldMs } from "./held-call.js";
import type { RunningApp } from "./open-app.js";
import { orAborted } from "./or-aborted.js";

/** A request waits for a start that is at most this far off; beyond that it is told why not. */
const patienceMs = 1_000;
/** How long what is under way may take to end when an app is stopped, changed or removed. */
const drainMs = 5_000;

/** Options of {@link App}. */
export interface AppOptions {
  readonly name: string;
  readonly config: AppConfig;
  readonly clock: Clock;
  /** Starts a conversation. @throws {FedError} when it cannot; then nothing is left of the attempt. */
  open(config: AppConfig, log: AppLog, signal: AbortSignal): Promise<RunningApp>;
  /** Called after each start; until it resolves the app is ready, but not described. */
  describe(app: App, connection: AppConnection): Promise<void>;
  /** Told that the status is another one. */
  onStatus(): void;
  /** What is left of an app of the same name, which must be gone before this one starts. */
  readonly after?: Promise<void> | undefined;
}

/** See the module header. */
export class App {
  readonly name: string;
  readonly log = new AppLog();
  readonly #options: AppOptions;
  readonly #clock: Clock;
  #config: AppConfig;
  #fingerprint: string | undefined;
  #running: RunningApp | undefined;
  #startedAtMs = 0;
  #starts = 0;
  #starting: Promise<boolean> | undefined;
  #attempt: AbortController | undefined;
  #described: Promise<void> = Promise.resolve();
  /** Why it does not run, and why it did not the last time. */
  #error: FedError | undefined;
  #lastError: { readonly error: FedError; readonly atMs: number } | undefined;
  readonly #backoff: Backoff;
  #retry: Timer | undefined;
  #stopped = false;
  #closed = false;
  /** Resolves when what ran before is gone. */
  #gone: Promise<unknown>;
  readonly #use: AppUse;
  #toldStatus: AppStatus | undefined;

  constructor(options: AppOptions) {
    this.name = options.name;
    this.#options = options;
    this.#clock = options.clock;
    this.#backoff = new Backoff(options.clock);
    this.#use = new AppUse(options.clock);
    this.#config = options.config;
    this.#fingerprint = fingerprint(options.config);
    this.#gone = options.after ?? Promise.resolve();
  }

  get config(): AppConfig {
    return this.#config;
  }

  /** That of {@link config}. */
  get fingerprint(): string | undefined {
    return this.#fingerprint;
  }

  get status(): AppStatus {
    if (this.#stopped) return "stopped";
    if (this.#running) return "ready";
    if (this.#starting) return "starting";
    return this.#error ? "failed" : "idle";
  }

  /** The revision of MCP that is spoken with it, while it runs. */
  get revision(): string | undefined {
    return this.#running?.connection.revision;
  }

  /** Why it is not ready. */
  get error(): FedError | undefined {
    return this.status === "failed" ? this.#error : undefined;
  }

  health(): AppHealth {
    const running = this.#running;
    const failed = this.#lastError;
    return {
      app: this.name,
      kind: "command" in this.#config ? "command" : "url" in this.#config ? "url" : "in-process",
      start: startOf(this.#config),
      status: this.status,
      restarts: Math.max(0, this.#starts - 1),
      inFlight: this.#use.inFlight,
      ...(running && { startedAtMs: this.#startedAtMs, revision: running.connection.revision }),
      ...(running?.pid !== undefined && { pid: running.pid }),
      ...(failed && {
        lastError: {
          code: failed.error.code,
          message: failed.error.message,
          ...(failed.error.hint !== undefined && { hint: failed.error.hint }),
          atMs: failed.atMs,
        },
      }),
    };
  }

  /** Whether it is `connection` that it runs on. */
  runs(connection: AppConnection): boolean {
    return this.#running?.connection === connection;
  }

  /** Starts it if it is one of those that start with the hub. */
  begin(): void {
    if (startOf(this.#config) === "eager" && !this.#running) void this.#start();
  }

  /** Resolves when a start that is under way has ended, well or not, and the app is described if it runs. */
  async settled(): Promise<void> {
    await this.#starting;
    await this.#described;
  }

  /** Starts it if need be, and resolves when it is described. @throws {FedError} as {@link request}. */
  async described(signal: AbortSignal): Promise<void> {
    if (!this.#running) await this.#started(signal);
    await orAborted(this.#described, signal);
  }

  /** What the app says of itself, after a start if need be. @throws {FedError} as {@link request}. */
  async connection(signal: AbortSignal): Promise<AppConnection> {
    return (this.#running ?? (await this.#started(signal))).connection;
  }

  /**
   * Sends one MCP request and returns its result, verbatim. Waits for a start, and starts the app if it is idle.
   * @throws {FedError} APP_UNAVAILABLE when it does not run, with the reason; OUTCOME_UNKNOWN when it ended during the call;
   *   RESULT_TOO_LARGE; TOOL_FAILED with the app's own protocol error; the reason of `options.signal`.
   */
  async request(method: string, params: Record<string, unknown>, options: AppRequestOptions): Promise<unknown> {
    for (let again = true; ; again = false) {
      const running = this.#running ?? (await this.#started(options.signal));
      this.#use.begin();
      try {
        const result = await running.connection.request(method, params, options);
        if (isObject(result) && result.resultType === "input_required") this.#use.hold(heldMs);
        return result;
      } catch (cause) {
        const error = concealError(toFedError(cause), concealment(this.#config));
        // Whatever did not reach the app may go to its next run.
        if (!this.#forget(running, error) || !again) throw error;
      } finally {
        if (this.#use.finish()) this.#rest();
      }
    }
  }

  /** See {@link AppConnection.endWaiting}. */
  endWaiting(concerns: (principal: string) => boolean, error: FedError): void {
    this.#running?.connection.endWaiting(concerns, error);
  }

  /** Ends what {@link stop} did and starts it at once. @throws {FedError} APP_START_FAILED. */
  async launch(): Promise<void> {
    this.#stopped = false;
    this.#backoff.skip();
    if (!this.#running) await this.#start();
    await this.#described;
    if (!this.#running) throw this.#error ?? this.#unavailable();
  }

  /** Ends it once what is under way is done, after 5 s at most. It stays so until {@link launch}. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#error = undefined;
    await this.#halt(drainMs);
  }

  /** {@link stop}, then {@link launch}; requests meanwhile wait. */
  async restart(): Promise<void> {
    void this.#halt(drainMs);
    await this.launch();
  }

  /** Goes on with `config`, under which it runs as before. */
  adopt(config: AppConfig): void {
    this.#config = config;
    if (this.#stopped) return;
    this.begin();
    this.#rest();
  }

  /** Goes on with `config` after a restart, if it runs; requests meanwhile wait for it. */
  replace(config: AppConfig): void {
    const runs = this.#running !== undefined || this.#starting !== undefined;
    if (runs) void this.#halt(drainMs);
    this.#config = config;
    this.#fingerprint = fingerprint(config);
    this.#error = undefined;
    this.#backoff.reset();
    this.#retry?.cancel();
    if (this.#stopped) return;
    if (runs) void this.#start();
    else this.begin();
  }

  /** Ends it for good, once what is under way is done. Idempotent. */
  async remove(): Promise<void> {
    this.#closed = true;
    await this.#halt(drainMs);
  }

  /** Ends it for good, at once. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#halt(0);
  }

  /** The running app, after at most one start. */
  async #started(signal: AbortSignal): Promise<RunningApp> {
    for (let tried = false; ; ) {
      if (this.#running) return this.#running;
      if (this.#stopped || this.#closed || tried) throw this.#unavailable();
      const waitMs = this.#starting ? 0 : this.#backoff.waitMs;
      if (waitMs > patienceMs) throw this.#unavailable();
      if (waitMs > 0) {
        await orAborted(pause(this.#clock, waitMs), signal);
        continue;
      }
      tried = await orAborted(this.#start(), signal);
    }
  }

  /** Resolves when the attempt has ended, to false when it was called off; all that want a start at the same time share one. */
  #start(): Promise<boolean> {
    this.#retry?.cancel();
    if (this.#closed || this.#stopped) return Promise.resolve(true);
    if (this.#starting) return this.#starting;
    const starting = this.#try().finally(() => {
      if (this.#starting !== starting) return;
      this.#starting = undefined;
      this.#startLater();
      this.#tellStatus();
    });
    this.#starting = starting;
    this.#tellStatus();
    return starting;
  }

  async #try(): Promise<boolean> {
    const attempt = new AbortController();
    const { signal } = attempt;
    this.#attempt = attempt;
    try {
      await this.#gone;
      if (signal.aborted) return false;
      const running = await this.#options.open(this.#config, this.log, signal);
      if (!signal.aborted) this.#began(running);
      else await end(running);
    } catch (cause) {
      if (!signal.aborted) this.#failed(toFedError(cause));
    }
    return !signal.aborted;
  }

  #began(running: RunningApp): void {
    this.#running = running;
    this.#startedAtMs = this.#clock.nowMs();
    this.#starts++;
    this.#error = undefined;
    const startedAt = this.#clock.monotonicMs();
    void running.connection.closed.then(() => this.#lost(running, startedAt));
    this.#described = this.#options.describe(this, running.connection).catch(() => {});
    this.#rest();
    this.#tellStatus();
  }

  #lost(running: RunningApp, startedAt: number): void {
    if (this.#running !== running) return;
    this.#running = undefined;
    this.#gone = running.gone;
    this.#failed(this.#ended(running), this.#clock.monotonicMs() - startedAt);
    this.#startLater();
    this.#tellStatus();
  }

  /** Whether `error` says that nothing was sent because the connection is of no use any more; it is given up then. */
  #forget(running: RunningApp, error: FedError): boolean {
    if (error.code !== "APP_UNAVAILABLE") return false;
    if (this.#running !== running) return true;
    const status = detailsOf(error)?.httpStatus;
    // The app knows the session no more; it may be there again, and anew. Any other status is about the request.
    if (!("url" in this.#config) || (status !== undefined && status !== 404)) return false;
    this.#running = undefined;
    void running.connection.close();
    if (status === 404) return true;
    this.#failed(error);
    this.#startLater();
    this.#tellStatus();
    return false;
  }

  #failed(error: FedError, ranMs?: number): void {
    if (this.#closed || this.#stopped) return;
    this.#error = error;
    this.#lastError = { error, atMs: this.#clock.nowMs() };
    this.#backoff.failed(ranMs);
  }

  /** What starts with the hub is tried again by itself; the rest when somebody asks. */
  #startLater(): void {
    if (this.#running || !this.#error || this.#starting || startOf(this.#config) !== "eager") return;
    this.#retry?.cancel();
    this.#retry = this.#clock.setTimer(this.#backoff.waitMs, () => void this.#start());
  }

  /** Begins to count the time in which nothing is asked. */
  #rest(): void {
    const { idleStopMs } = this.#config;
    const stops = idleStopMs !== undefined && startOf(this.#config) !== "eager" && this.#running;
    if (stops) this.#use.rest(idleStopMs, () => void this.#halt(0));
    else this.#use.cancelRest();
  }

  /** Takes no further requests, waits `graceMs` for those under way, and ends what runs. */
  #halt(graceMs: number): Promise<void> {
    this.#retry?.cancel();
    this.#use.cancelRest();
    this.#attempt?.abort(this.#unavailable());
    const running = this.#running;
    this.#running = undefined;
    const before = Promise.all([this.#gone, this.#starting]);
    this.#starting = undefined;
    const halted = (async () => {
      if (running && graceMs > 0) await this.#use.drain(graceMs);
      if (running) await end(running);
      await before;
    })();
    this.#gone = halted;
    this.#tellStatus();
    return halted;
  }

  #tellStatus(): void {
    if (this.#closed || this.status === this.#toldStatus) return;
    this.#toldStatus = this.status;
    this.#options.onStatus();
  }

  #ended(running: RunningApp): HubError {
    const conceal = concealment(this.#config);
    const why = running.failure();
    return appEnded(this.name, why && conceal(why), this.log.last(conceal));
  }

  #unavailable(): HubError {
    return this.#stopped ? appStopped(this.name) : appNotRunning(this.name, this.#error, this.#backoff.waitMs);
  }
}

async function end({ connection, gone }: RunningApp): Promise<void> {
  await connection.close().catch(() => {});
  await gone;
}
