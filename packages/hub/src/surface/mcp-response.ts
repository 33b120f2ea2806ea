/**
 * The HTTP response to one MCP request: a JSON document when the result is all there is to say, else an event stream that
 * begins with the first thing said before it.
 */
import type { ServerResponse } from "node:http";
import { RouterError } from "@fed/router";
import type { RequestId, RpcFailure } from "../mcp/json-rpc.js";
import type { Holding } from "../operators/memory-shares.js";
import { keepAlive, letGo } from "./keep-alive.js";

/** What may wait for a client that reads slowly; above it what only informs is dropped, and then the client. */
const maxWaitingBytes = 1024 * 1024;
const maxUnreadBytes = 16 * 1024 * 1024;
/** What is on its way anyhow. */
const minCountedBytes = 16 * 1024;

/** Options of {@link McpResponse}. */
export interface McpResponseOptions {
  /** Begins with the stream, for what lasts. */
  readonly stream?: boolean;
  /** Is told how much the client has not read yet. */
  readonly holding?: Holding;
  /** Called once if the client goes away before everything has been said. */
  readonly onGone?: () => void;
}

/** See the module header. */
export class McpResponse {
  readonly #response: ServerResponse;
  readonly #holding: Holding | undefined;
  readonly #onGone: (() => void) | undefined;
  readonly #place: number;
  #ticks = 0;
  /** Whether the client lets something lie; undefined: it never has. */
  #backlog: boolean | undefined;
  #streaming = false;
  #ended = false;

  constructor(response: ServerResponse, { stream = false, holding, onGone }: McpResponseOptions = {}) {
    this.#response = response;
    this.#holding = holding;
    this.#onGone = onGone;
    this.#place = keepAlive(this);
    response.on("close", () => {
      if (this.#ended) return;
      this.#stop();
      this.#onGone?.();
    });
    if (stream) this.#open();
  }

  /** Whether the client can still hear. */
  get open(): boolean {
    return !this.#ended && !this.#response.destroyed;
  }

  /**
   * Says, from the second time on, that this hub is still at it: a response that is silent for long becomes a stream, which
   * lives on comments.
   */
  tick(): void {
    if (this.#ticks++ === 0) return;
    // A client that has something left to read knows; one that does not read it is let go of when nothing moves.
    if (this.#response.writableLength === 0) this.#write(": keepalive\n\n");
  }

  /** Sends a notification. One that only informs is dropped for a client that does not read. */
  notify(method: string, params: unknown): void {
    const informs = method === "notifications/progress" || method === "notifications/message";
    if (informs && (this.#response.writableLength > maxWaitingBytes || (this.#backlog && this.#holding?.full))) return;
    this.#event({ jsonrpc: "2.0", method, params });
  }

  /** Asks the client something. */
  ask(id: RequestId, method: string, params: unknown): void {
    this.#event({ jsonrpc: "2.0", id, method, params });
  }

  /** Ends with the result. */
  result(id: RequestId, result: unknown): void {
    this.#last(200, { jsonrpc: "2.0", id, result });
  }

  /** Ends with an error; `status` counts where nothing was sent before it. */
  fail(id: RequestId | null, error: RpcFailure, status = 200): void {
    this.#last(status, { jsonrpc: "2.0", id, error });
  }

  /** Ends a stream that has no last message. */
  end(): void {
    if (this.#ended) return;
    this.#stop();
    this.#response.end();
  }

  #last(status: number, message: object): void {
    if (this.#ended) return;
    if (this.#streaming) {
      this.#event(message);
      this.end();
      return;
    }
    // As a string it goes out with the headers, in one write.
    const body = textOf(message);
    this.#stop();
    this.#response
      .writeHead(status, { "content-type": "application/json", "content-length": Buffer.byteLength(body) })
      .end(body);
    this.#count();
  }

  #event(message: object): void {
    this.#write(`event: message\ndata: ${textOf(message)}\n\n`);
  }

  #write(text: string): void {
    if (!this.open) return;
    if (!this.#streaming) this.#open();
    this.#response.write(text);
    if (this.#response.writableLength > maxUnreadBytes) this.#response.destroy();
    else this.#count();
  }

  /** What the client has not read is its operator's to answer for. */
  #count(): void {
    const { writableLength } = this.#response;
    const bytes = writableLength < minCountedBytes ? 0 : writableLength;
    if (bytes === 0 && !this.#backlog) return;
    if (this.#backlog === undefined) this.#response.on("drain", () => this.#count());
    this.#backlog = bytes > 0;
    if (this.#holding?.unread(bytes) === false) this.#response.destroy();
  }

  #open(): void {
    this.#streaming = true;
    this.#response.writeHead(200, {
      "content-type": "text/event-stream",
      "cache-control": "no-cache, no-transform",
      "x-accel-buffering": "no",
    });
    this.#response.flushHeaders();
  }

  #stop(): void {
    this.#ended = true;
    letGo(this.#place);
  }
}

/** @throws {RouterError} APP_FAILED for what is nested deeper than it can be written; nothing of it is sent then. */
function textOf(message: object): string {
  try {
    return JSON.stringify(message);
  } catch (cause) {
    throw new RouterError({ code: "APP_FAILED", message: "The app's answer has no JSON form.", cause });
  }
}
