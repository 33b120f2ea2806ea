/** A call to an app of an older revision that may have to wait for its agent: it outlives the requests that carry it. */
import { randomUUID } from "node:crypto";
import { type Clock, CoreError, type FedError, type Timer } from "@fed/core";
import type { Notification } from "@fed/router";
import type { RequestId } from "../mcp/json-rpc.js";
import type { AgentFacts } from "../mcp/meta.js";
import type { AppRequestOptions } from "./app-connection.js";

/** How long an agent may take to answer. */
export const heldMs = 600_000;
/** What is kept of an app that talks while nobody listens: so many notifications, of so much JSON together. */
const maxBuffered = 256;
const maxBufferedChars = 1024 * 1024;

/** A question of the app's. */
export interface Ask {
  readonly id: RequestId;
  readonly request: { readonly method: string; readonly params: Record<string, unknown> };
  /** How often the agent was asked it. */
  shown: number;
}

/** See the module header. */
export class HeldCall {
  readonly principal: string;
  readonly facts: AgentFacts;
  /** Names the call to whoever continues it. */
  readonly state = randomUUID();
  readonly #clock: Clock;
  readonly #controller = new AbortController();
  readonly #asks = new Map<string, Ask>();
  #outcome!: Promise<unknown>;
  #settled = false;
  #asked = 0;
  #listener: ((notification: Notification) => void) | undefined;
  #buffered: Notification[] = [];
  #bufferedChars = 0;
  #wake: (() => void) | undefined;
  #timer: Timer | undefined;

  constructor(principal: string, facts: AgentFacts, clock: Clock) {
    this.principal = principal;
    this.facts = facts;
    this.#clock = clock;
  }

  /** Aborts when the app is to stop working on the call. */
  get cancelled(): AbortSignal {
    return this.#controller.signal;
  }

  get outcome(): Promise<unknown> {
    return this.#outcome;
  }

  set outcome(outcome: Promise<unknown>) {
    this.#outcome = outcome;
    const settle = () => {
      this.#settled = true;
      this.#wake?.();
    };
    outcome.then(settle, settle);
  }

  /** Takes up a question of the app's. */
  ask(id: RequestId, method: string, params: Record<string, unknown>): void {
    this.#asks.set(`input-${++this.#asked}`, { id, request: { method, params }, shown: 0 });
    this.#wake?.();
  }

  /** The app does not want to know any more. */
  withdraw(id: unknown): void {
    for (const [key, ask] of this.#asks) if (ask.id === id) this.#asks.delete(key);
  }

  /**
   * The questions that the agent has done with, with its answers: those in `responses`, and those that it was shown and has
   * passed over twice. They are open no more; what it passes over once it is asked again, as MCP wants it.
   */
  *answers(responses: Record<string, unknown>): Generator<[Ask, unknown]> {
    for (const [key, ask] of this.#asks) {
      const isAnswered = Object.hasOwn(responses, key);
      if (!isAnswered && ask.shown < 2) continue;
      this.#asks.delete(key);
      yield [ask, isAnswered ? responses[key] : undefined];
    }
  }

  /** The questions that are open; nobody answers them any more. */
  withdrawAll(): RequestId[] {
    const ids = [...this.#asks.values()].map(({ id }) => id);
    this.#asks.clear();
    return ids;
  }

  notify(notification: Notification): void {
    if (this.#listener) this.#listener(notification);
    else if (this.#buffered.length < maxBuffered) {
      this.#bufferedChars += JSON.stringify(notification).length;
      if (this.#bufferedChars <= maxBufferedChars) this.#buffered.push(notification);
    }
  }

  /** Resolves with the open questions, or undefined when the app has answered. Aborting cancels the app's work. */
  async next({ signal, notify }: AppRequestOptions): Promise<Record<string, Ask["request"]> | undefined> {
    this.#timer?.cancel();
    const abort = () => this.#controller.abort(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    if (signal.aborted) abort();
    this.#listener = notify;
    this.#bufferedChars = 0;
    for (const notification of this.#buffered.splice(0)) notify(notification);
    try {
      while (!this.#settled && this.#asks.size === 0) {
        const woken = Promise.withResolvers<void>();
        this.#wake = woken.resolve;
        await woken.promise;
      }
      if (this.#settled) return undefined;
      for (const ask of this.#asks.values()) ask.shown++;
      return Object.fromEntries([...this.#asks].map(([key, { request }]) => [key, request]));
    } finally {
      this.#wake = undefined;
      this.#listener = undefined;
      signal.removeEventListener("abort", abort);
    }
  }

  /** Gives the agent its time; then the app's work is cancelled and `forget` called. */
  expire(forget: () => void): void {
    this.#timer = this.#clock.setTimer(heldMs, () => {
      forget();
      this.#controller.abort(unanswered());
    });
    this.#outcome.catch(() => {});
  }

  /** Cancels the app's work: nobody goes on with it. */
  end(reason: FedError): void {
    this.release();
    this.#controller.abort(reason);
  }

  /** The app is gone: nothing is waited for. */
  release(): void {
    this.#timer?.cancel();
  }
}

function unanswered(): FedError {
  return new CoreError({ code: "ABORTED", message: "The agent did not answer what the app asked." });
}
