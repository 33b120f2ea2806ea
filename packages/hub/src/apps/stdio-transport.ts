/**
 * MCP's stdio transport, client side: an app as a child process in a process group of its own, one JSON-RPC message a line.
 * Everything the app may do wrong is bounded here: how long a line may be, how much waits for an app that does not read,
 * how much of what is no message is borne, and how long an app is asked to end.
 */
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { statSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import type { JSONRPCMessage, Transport } from "@modelcontextprotocol/client";
import { HubError } from "../errors.js";
import { isObject, rpcCodes } from "../mcp/json-rpc.js";
import type { StdioAppConfig } from "./app-config.js";
import type { AppLog } from "./app-log.js";
import type { GroupLedger } from "./group-ledger.js";
import { inheritedEnvironment } from "./inherited-environment.js";
import { MessageLines } from "./message-lines.js";
import { endGroup, hasGroups, isGroupAlive } from "./process-group.js";
import { maxMessageBytes, tooLarge } from "./result-bound.js";
import type { Related } from "./rpc-peer.js";

const maxSkippedBytes = 128 * 1024 * 1024;
/** Lines that are no message, one after the other, from something that is no MCP server. */
const maxBadLines = 32;
/** What waits for an app that does not read its standard input. */
const maxQueuedBytes = 16 * 1024 * 1024;
/** How long an app may take to end by itself once its input has ended. */
const politeMs = 1_000;
/** How long the pipes of a process that has ended may be held open by others. */
const drainMs = 1_000;

/** Options of {@link StdioTransport}. */
export interface StdioTransportOptions {
  readonly app: string;
  readonly config: StdioAppConfig;
  readonly log: AppLog;
  readonly ledger: GroupLedger;
}

/** See the module header. */
export class StdioTransport implements Transport {
  onclose?: () => void;
  onerror?: (error: Error) => void;
  onmessage?: (message: JSONRPCMessage, extra?: Related) => void;
  /** Why it ended, where that is known. */
  failure: string | undefined;
  readonly #options: StdioTransportOptions;
  #child: ChildProcessWithoutNullStreams | undefined;
  #badLines = 0;
  /** Lines that go out at the end of this turn. */
  #outgoing = "";
  #drained: PromiseWithResolvers<void> | undefined;
  #finished = false;
  #closing: Promise<void> | undefined;
  #burial: Promise<void> | undefined;
  readonly #exited = Promise.withResolvers<void>();
  readonly #gone = Promise.withResolvers<void>();

  constructor(options: StdioTransportOptions) {
    this.#options = options;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Resolves when nothing of the app's process group is left. */
  get gone(): Promise<void> {
    return this.#child ? this.#gone.promise : Promise.resolve();
  }

  /** @throws {HubError} APP_START_FAILED when there is no such program or folder, or it may not be run. */
  async start(): Promise<void> {
    const { command, args = [], env, cwd } = this.#options.config;
    if (cwd !== undefined && !isDirectory(cwd)) throw startFailed(`there is no folder ${cwd}`);
    const spawned = Promise.withResolvers<void>();
    let child: ChildProcessWithoutNullStreams;
    try {
      child = spawn(command, [...args], {
        cwd,
        env: { ...inheritedEnvironment(), ...env, ...this.#options.ledger.environment },
        stdio: ["pipe", "pipe", "pipe"],
        detached: hasGroups,
        windowsHide: true,
      });
    } catch (cause) {
      throw startFailed((cause as Error).message, cause);
    }
    child.once("spawn", () => spawned.resolve());
    // Also told when a signal cannot be sent, which changes nothing.
    child.on("error", (cause) => spawned.reject(startFailed(cause.message, cause)));
    await spawned.promise;
    this.#child = child;
    this.#options.ledger.add(child.pid!);
    this.#listen(child);
  }

  /**
   * Resolves when the app's input has taken it.
   * @throws {HubError} APP_UNAVAILABLE when the app has ended or more than 16 MiB wait for it already: it was not sent.
   */
  async send(message: JSONRPCMessage): Promise<void> {
    const { app } = this.#options;
    const input = this.#child?.stdin;
    if (!input?.writable) throw notSent(`App ${app} has ended.`);
    if (input.writableLength + this.#outgoing.length > maxQueuedBytes) {
      throw notSent(`App ${app} does not read what it is sent.`);
    }
    // What is said in one turn goes out in one write: calls that were decided together are sent together.
    if (this.#outgoing === "") process.nextTick(() => this.#flush());
    this.#outgoing += `${JSON.stringify(message)}\n`;
    await this.#drained?.promise;
  }

  #flush(): void {
    const text = this.#outgoing;
    this.#outgoing = "";
    const input = this.#child?.stdin;
    if (text === "" || !input?.writable || input.write(text)) return;
    this.#drained ??= Promise.withResolvers();
  }

  /** Ends the input, then the whole group: SIGTERM after 1 s, SIGKILL 2 s later. Resolves when nothing is left. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#end();
    return this.#closing;
  }

  #listen(child: ChildProcessWithoutNullStreams): void {
    const { log } = this.#options;
    const lines = new MessageLines(
      { maxLineBytes: maxMessageBytes, maxSkippedBytes },
      {
        onLine: (line) => this.#line(line),
        onOversized: (id, bytes) => this.#oversized(id, bytes),
        onEndless: () => this.#giveUp(`it printed a line of more than ${maxSkippedBytes} bytes`),
      },
    );
    child.stdout.on("data", (chunk: Buffer) => lines.push(chunk));
    child.stderr.on("data", (chunk: Buffer) => log.append(chunk));
    child.stdin.on("drain", () => this.#relieve());
    // An app that closes its input hears nothing any more: it has ended, whatever its process does.
    child.stdin.on("error", () => void this.close());
    for (const output of [child.stdout, child.stderr]) output.on("error", () => {});
    child.once("exit", (code, signal) => {
      this.failure ??= signal ? `it was ended by ${signal}` : `it ended with status ${code}`;
      this.#exited.resolve();
      void this.#bury(child);
    });
    child.once("close", () => this.#finish());
  }

  #line(line: string): void {
    const text = line.trim();
    if (text === "" || this.#finished) return;
    let message: unknown;
    try {
      message = JSON.parse(text);
    } catch {
      // Counted below.
    }
    // MCP 2025-03-26 had batches.
    const messages = Array.isArray(message) ? message : [message];
    if (messages.every((each) => isObject(each) && each.jsonrpc === "2.0")) {
      this.#badLines = 0;
      for (const each of messages) this.onmessage?.(each as JSONRPCMessage);
      return;
    }
    this.#badLines++;
    this.#options.log.append(`[stdout] ${text.slice(0, 1000)}\n`);
    if (this.#badLines === 1) this.onerror?.(new HubError(noMessage(this.#options.app)));
    if (this.#badLines >= maxBadLines) this.#giveUp("it speaks no MCP: its standard output holds something else");
  }

  #oversized(id: number | undefined, bytes: number): void {
    const { app, log } = this.#options;
    log.append(`[stdout] a message of ${bytes} bytes was dropped\n`);
    if (id === undefined) return;
    const failure = tooLarge(app, bytes);
    const error = { code: rpcCodes.federation, message: failure.message };
    this.onmessage?.({ jsonrpc: "2.0", id, error }, { failure });
  }

  #giveUp(failure: string): void {
    this.failure ??= failure;
    this.#child?.stdout.destroy();
    void this.close();
    this.#finish();
  }

  async #end(): Promise<void> {
    const child = this.#child;
    if (!child) return;
    this.#flush();
    child.stdin.end();
    const waiting = new AbortController();
    await Promise.race([this.#exited.promise, pause(politeMs, undefined, waiting).catch(() => {})]);
    waiting.abort();
    await this.#bury(child);
    this.#finish();
  }

  /** Ends whatever is left of the group. */
  #bury(child: ChildProcessWithoutNullStreams): Promise<void> {
    this.#burial ??= (async () => {
      const id = child.pid!;
      if (isGroupAlive(id)) await endGroup(id);
      this.#options.ledger.remove(id);
      this.#gone.resolve();
      // Children that moved to another group may hold the pipes open for ever.
      const waiting = new AbortController();
      const drained = new Promise((resolve) => child.once("close", resolve));
      if (!this.#finished) await Promise.race([drained, pause(drainMs, undefined, waiting).catch(() => {})]);
      waiting.abort();
      this.#finish();
    })();
    return this.#burial;
  }

  #finish(): void {
    if (this.#finished) return;
    this.#finished = true;
    for (const stream of [this.#child?.stdin, this.#child?.stdout, this.#child?.stderr]) stream?.destroy();
    this.#relieve();
    this.onclose?.();
  }

  #relieve(): void {
    this.#drained?.resolve();
    this.#drained = undefined;
  }
}

function noMessage(app: string) {
  return { code: "APP_START_FAILED", message: `App ${app} prints what is no MCP message on standard output.` } as const;
}

function startFailed(message: string, cause?: unknown): HubError {
  return new HubError({ code: "APP_START_FAILED", message, cause });
}

function notSent(message: string): HubError {
  return new HubError({ code: "APP_UNAVAILABLE", message, hint: "Try again shortly.", retryable: true });
}

function isDirectory(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}
