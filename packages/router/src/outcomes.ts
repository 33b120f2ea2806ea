/**
 * What became of calls with an idempotency key, so that a repetition returns the first outcome instead of acting again.
 * Nothing is forgotten before its time: a full table refuses new keys. Of keys used before this process began, and of those
 * whose result there is no room for, only that is known: their outcome is not.
 */
import { type Clock, equalBytes, type FedError, type HubId } from "@fed/core";
import { RouterError } from "./errors.js";
import { limits } from "./limits.js";
import type { Caller, KeyJournal, Notification, UsedKey } from "./ports.js";

/** How a call ended. */
export type Outcome =
  | { readonly kind: "result"; readonly result: unknown; readonly bytes: number }
  | { readonly kind: "error"; readonly error: FedError };

/** A key's first call: whoever claims it first runs it and settles it. */
export interface Claim {
  readonly first: boolean;
  readonly outcome: Promise<Outcome>;
  /** The repetitions that wait for the outcome: they hear what the first call hears. */
  readonly followers: Set<(notification: Notification) => void>;
  /** Only the first claimant calls this, before anything runs: from then on the key outlives this process. */
  keep(): Promise<void>;
  /** Only the first claimant calls this, once. */
  settle(outcome: Outcome): void;
  /** Only the first claimant calls this, when nothing has run: the key is free again and waiters hear `error`. */
  release(error: FedError): void;
}

/** Whose key it is. */
export type KeyOwner = Pick<Caller, "operator" | "homeHub">;

/** What one home hub takes up: it names its operators itself, so a bound per operator alone would bound nothing. */
interface Share {
  entries: number;
  bytes: number;
}

/** What one operator has, and the bytes of its results: the others of its home hub are to have room, too. */
interface OperatorKeys {
  readonly entries: Map<string, Entry>;
  bytes: number;
}

interface Entry {
  readonly share: Share;
  readonly keys: OperatorKeys;
  readonly digest: Uint8Array;
  outcome: Promise<Outcome>;
  readonly followers: Claim["followers"];
  readonly resolve: (outcome: Outcome) => void;
  bytes: number;
  /** Monotonic; infinite while it runs. */
  expiresAtMs: number;
}

const sweepEveryMs = 60_000;

/** The table of one hub. */
export class OutcomeTable {
  readonly #clock: Clock;
  readonly #operators = new Map<string, OperatorKeys>();
  readonly #shares = new Map<HubId, Share>();
  readonly #journal: KeyJournal | undefined;
  #entries = 0;
  #bytes = 0;
  #sweepAtMs = 0;

  constructor(clock: Clock, journal?: KeyJournal) {
    this.#clock = clock;
    this.#journal = journal;
    for (const { operator, homeHub, name, digest } of journal?.known() ?? []) {
      this.#add({ operator, homeHub }, name, digest).settle({ kind: "error", error: forgotten() });
    }
  }

  /**
   * @throws {RouterError} IDEMPOTENCY_MISMATCH when the key stands for another request, BUSY when the table is full.
   */
  claim(owner: KeyOwner, app: string, key: string, digest: Uint8Array): Claim {
    const { operator } = owner;
    const name = `${app}\n${key}`;
    const known = this.#operators.get(operator)?.entries.get(name);
    if (known && known.expiresAtMs > this.#clock.monotonicMs()) {
      if (!equalBytes(known.digest, digest)) {
        throw new RouterError({
          code: "IDEMPOTENCY_MISMATCH",
          message: "This idempotency key already stands for a different request.",
          hint: "Use a new key for a new request.",
        });
      }
      const { outcome, followers } = known;
      return { first: false, outcome, followers, keep: async () => {}, settle() {}, release() {} };
    }
    if (known) this.#remove(operator, name);
    if (this.#isFull(owner) || this.#sweepAtMs <= this.#clock.monotonicMs()) this.#sweep();
    if (this.#isFull(owner)) {
      throw new RouterError({
        code: "BUSY",
        message: "Too many idempotency keys are remembered; this call was not started.",
        hint: `Keys are forgotten ${limits.outcomeLifeMs / 60_000} minutes after their call ended.`,
        retryable: true,
      });
    }
    return this.#add(owner, name, digest);
  }

  /** Forgets everything of `operator`. */
  purge(operator: string): void {
    for (const name of this.#operators.get(operator)?.entries.keys() ?? []) this.#remove(operator, name);
  }

  #add({ operator, homeHub }: KeyOwner, name: string, digest: Uint8Array): Claim {
    const used: UsedKey = { operator, homeHub, name, digest };
    const { promise, resolve } = Promise.withResolvers<Outcome>();
    const share = this.#shares.get(homeHub) ?? { entries: 0, bytes: 0 };
    this.#shares.set(homeHub, share);
    const followers: Claim["followers"] = new Set();
    const expiresAtMs = Number.POSITIVE_INFINITY;
    const keys = this.#operators.get(operator) ?? { entries: new Map(), bytes: 0 };
    this.#operators.set(operator, keys);
    const entry: Entry = { share, keys, digest, outcome: promise, followers, resolve, bytes: 0, expiresAtMs };
    keys.entries.set(name, entry);
    this.#entries++;
    share.entries++;
    const fits = (bytes: number) =>
      this.#bytes + bytes <= limits.outcomeBytes &&
      share.bytes + bytes <= limits.outcomeBytesPerHub &&
      keys.bytes + bytes <= limits.outcomeBytesPerOperator;
    const stands = () => this.#operators.get(operator)?.entries.get(name) === entry;
    return {
      first: true,
      outcome: promise,
      followers,
      keep: async () => this.#journal?.add(used),
      settle: (outcome) => {
        if (stands()) {
          const bytes = outcome.kind === "result" ? outcome.bytes : 0;
          const isKept = fits(bytes);
          entry.bytes = isKept ? bytes : 0;
          // Many may have begun while there was room. Whoever waits already hears the outcome all the same.
          if (!isKept) entry.outcome = Promise.resolve({ kind: "error", error: tooLargeToKeep() });
          this.#bytes += entry.bytes;
          share.bytes += entry.bytes;
          keys.bytes += entry.bytes;
          entry.expiresAtMs = this.#clock.monotonicMs() + limits.outcomeLifeMs;
        }
        resolve(outcome);
      },
      release: (error) => {
        if (stands()) this.#remove(operator, name);
        resolve({ kind: "error", error });
      },
    };
  }

  #isFull({ operator, homeHub }: KeyOwner): boolean {
    const { entries, bytes } = this.#shares.get(homeHub) ?? { entries: 0, bytes: 0 };
    const keys = this.#operators.get(operator);
    return (
      this.#entries >= limits.outcomes ||
      this.#bytes >= limits.outcomeBytes ||
      entries >= limits.outcomesPerHub ||
      bytes >= limits.outcomeBytesPerHub ||
      (keys?.entries.size ?? 0) >= limits.outcomesPerOperator ||
      (keys?.bytes ?? 0) >= limits.outcomeBytesPerOperator
    );
  }

  #sweep(): void {
    const nowMs = this.#clock.monotonicMs();
    this.#sweepAtMs = nowMs + sweepEveryMs;
    for (const [operator, keys] of this.#operators) {
      for (const [name, entry] of keys.entries) if (entry.expiresAtMs <= nowMs) this.#remove(operator, name);
    }
    for (const [homeHub, { entries }] of this.#shares) if (entries === 0) this.#shares.delete(homeHub);
  }

  #remove(operator: string, name: string): void {
    const keys = this.#operators.get(operator);
    const entry = keys?.entries.get(name);
    if (!keys || !entry) return;
    keys.entries.delete(name);
    if (keys.entries.size === 0) this.#operators.delete(operator);
    this.#entries--;
    this.#bytes -= entry.bytes;
    entry.share.entries--;
    entry.share.bytes -= entry.bytes;
    entry.keys.bytes -= entry.bytes;
    this.#journal?.remove({ operator, name });
  }
}

function tooLargeToKeep(): RouterError {
  return new RouterError({
    code: "OUTCOME_UNKNOWN",
    message: "The call under this idempotency key has ended; its result was too large to be kept beside the others.",
    hint: "Look before you repeat it under a new key; see the owning hub's audit log.",
  });
}

function forgotten(): RouterError {
  return new RouterError({
    code: "OUTCOME_UNKNOWN",
    message: "This idempotency key was used before the hub was started again; what became of its call is not known.",
    hint: "Look before you repeat it under a new key; see the owning hub's audit log.",
  });
}
