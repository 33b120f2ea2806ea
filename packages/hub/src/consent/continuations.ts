/**
 * Calls that were allowed and then asked their agent for input: the same call, with the answer, is not asked about again.
 * Each state is good for one continuation, with the very arguments that were allowed.
 */
import { createHash } from "node:crypto";
import { type Clock, canonicalJson, type Json } from "@fed/core";

/** One round of a call. */
export interface Round {
  readonly operator: string;
  readonly app: string;
  readonly method: string;
  readonly params: unknown;
}

/** As long as an agent may take to answer. */
const lifeMs = 600_000;
const maxKept = 1024;

/** See the module header. */
export class Continuations {
  readonly #clock: Clock;
  /** When each is forgotten, the oldest first. */
  readonly #expected = new Map<string, number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Expects `round` again with `requestState`. */
  expect(round: Round, requestState: string): void {
    const nowMs = this.#clock.monotonicMs();
    for (const [known, expiresAtMs] of this.#expected) {
      if (expiresAtMs > nowMs && this.#expected.size < maxKept) break;
      this.#expected.delete(known);
    }
    const key = keyOf(round, requestState);
    if (key !== undefined) this.#expected.set(key, nowMs + lifeMs);
  }

  /** Whether `round` was expected; it is not any more. */
  take(round: Round): boolean {
    const { requestState } = (round.params ?? {}) as { readonly requestState?: unknown };
    if (typeof requestState !== "string") return false;
    const key = keyOf(round, requestState);
    const expiresAtMs = key === undefined ? undefined : this.#expected.get(key);
    if (key === undefined || expiresAtMs === undefined) return false;
    this.#expected.delete(key);
    return expiresAtMs > this.#clock.monotonicMs();
  }
}

function keyOf({ operator, app, method, params }: Round, requestState: string): string | undefined {
  const { name, uri, arguments: args } = (params ?? {}) as { readonly [key: string]: Json | undefined };
  try {
    const about = canonicalJson([operator, app, method, name ?? null, uri ?? null, args ?? null, requestState]);
    return createHash("sha256").update(about).digest("base64");
  } catch {
    // Arguments that JSON cannot hold: then it is asked about again.
    return undefined;
  }
}
