/**
 * The issuer's book of pairing tokens: only SHA-256 of each secret is kept, each is redeemed by one conditional write,
 * and wrong guesses close all open tokens. docs/spec/pairing.md §2.
 */
import {
  type Clock,
  canonicalJson,
  decodeUtf8,
  encodeBase32,
  encodeUtf8,
  isRoleName,
  parseJson,
  randomBytes,
  type Store,
  type StoreKey,
  systemClock,
} from "@fed/core";
import { sha256 } from "@fed/trust";
import { PairingError, type PairingErrorCode } from "./errors.js";
import { generateSecret } from "./pairing-token.js";

const maxOpenTokens = 64;
const maxWrongGuesses = 20;
const minTtlMs = 1_000;
const maxTtlMs = 24 * 60 * 60_000;
const maxRoles = 16;
/** How long an expired token is remembered, so that a late use is told apart from a guess. */
const rememberMs = 24 * 60 * 60_000;

/** What the book knows about a token; the secret is not among it. */
export interface TokenRecord {
  /** Names the token in lists and revocations; 13 characters of base32. */
  readonly id: string;
  readonly expiresAtMs: number;
  /** Roles that the joining hub gets. */
  readonly roles: readonly string[];
  readonly state: "open" | "used" | "closed";
  /** Who redeemed it. */
  readonly usedBy?: string;
}

/** A fresh token, with the secret that is shown once. */
export interface IssuedToken {
  readonly record: TokenRecord;
  readonly secret: string;
}

/** Options of {@link createTokenBook}. */
export interface TokenBookOptions {
  readonly store: Store;
  readonly clock?: Clock;
}

/** See {@link createTokenBook}. Every method also throws the store's errors, and TOKEN_BOOK_CORRUPT. */
export interface TokenBook {
  /**
   * @param options `ttlMs` 1 s..24 h; at most 16 `roles`, each 1..64 of `a-z 0-9 . _ -`.
   * @throws {PairingError} INVITE_INVALID when these are otherwise; TOO_MANY_TOKENS when 64 are open.
   */
  issue(options: { readonly ttlMs: number; readonly roles?: readonly string[] }): Promise<IssuedToken>;
  /**
   * The open record behind `secret`, without redeeming it. A wrong secret is counted; at the 20th all open tokens close.
   * @throws {PairingError} TOKEN_UNKNOWN, TOKEN_EXPIRED, TOKEN_USED, INVITE_CLOSED.
   */
  peek(secret: string): Promise<TokenRecord>;
  /**
   * Redeems `secret` for `usedBy` by one conditional write: of many at once at most one succeeds. If the store fails,
   * the token may be spent on nobody.
   * @throws {PairingError} as {@link peek}.
   */
  redeem(secret: string, usedBy: string): Promise<TokenRecord>;
  /** All tokens, until a day after they have expired. */
  list(): Promise<TokenRecord[]>;
  /** Closes the token named `id` before its time. Closing what is not open is no error. */
  close(id: string): Promise<void>;
}

interface Entry {
  readonly key: StoreKey;
  readonly raw: Uint8Array;
  readonly record: TokenRecord;
}

const tokensKey = ["pairing", "token"];
const guessesKey = ["pairing", "guesses"];

/** The book kept in `store` under `pairing/`. */
export function createTokenBook(options: TokenBookOptions): TokenBook {
  const { store } = options;
  const clock = options.clock ?? systemClock;

  async function entries(): Promise<Entry[]> {
    const found: Entry[] = [];
    for (const { key, value } of await store.list(tokensKey)) {
      const record = decode(value);
      if (record.expiresAtMs + rememberMs < clock.nowMs()) await store.delete(key);
      else found.push({ key, raw: value, record });
    }
    return found;
  }

  async function closeAll(which: (record: TokenRecord) => boolean): Promise<void> {
    for (const { key, raw, record } of await entries()) {
      if (record.state !== "open" || !which(record)) continue;
      // When this fails somebody redeemed or closed it in between: either way it is open no more.
      await store.compareAndSet(key, raw, canonicalJson({ ...record, state: "closed" }));
    }
  }

  async function guesses(): Promise<{ raw: Uint8Array | undefined; count: number }> {
    const raw = await store.get(guessesKey);
    const count = raw ? Number(decodeUtf8(raw)) : 0;
    if (!Number.isSafeInteger(count)) throw corrupt();
    return { raw, count };
  }

  /** The count reaches its limit before anything is closed, and alone forbids the rest: see {@link find}. */
  async function countWrongGuess(): Promise<void> {
    for (;;) {
      const { raw, count } = await guesses();
      const next = Math.min(count + 1, maxWrongGuesses);
      if (!(await store.compareAndSet(guessesKey, raw, encodeUtf8(String(next))))) continue;
      if (next === maxWrongGuesses) await closeAll(() => true);
      return;
    }
  }

  /** The open token behind `secret`. */
  async function find(secret: string): Promise<Entry> {
    const key = keyOf(secret);
    const raw = await store.get(key);
    if (!raw) {
      await countWrongGuess();
      throw refused("TOKEN_UNKNOWN", "No such pairing token.");
    }
    const record = decode(raw);
    if (record.state === "used") throw refused("TOKEN_USED", "This pairing token was used.");
    if (record.state === "closed") throw refused("INVITE_CLOSED", "This pairing token was closed.");
    if (record.expiresAtMs <= clock.nowMs()) throw refused("TOKEN_EXPIRED", "This pairing token has expired.");
    if ((await guesses()).count >= maxWrongGuesses) {
      throw refused("INVITE_CLOSED", "All pairing tokens were closed after too many wrong ones.");
    }
    return { key, raw, record };
  }

  /** Ends what too many guesses have closed. Guesses made while nothing was open do not count against what comes. */
  async function makeRoom(): Promise<void> {
    const { raw, count } = await guesses();
    if (count >= maxWrongGuesses) await closeAll(() => true);
    const isOpen = ({ record }: Entry) => record.state === "open" && record.expiresAtMs > clock.nowMs();
    const open = (await entries()).filter(isOpen).length;
    if (open === 0 && raw) await store.compareAndSet(guessesKey, raw, undefined);
    if (open < maxOpenTokens) return;
    throw new PairingError({
      code: "TOO_MANY_TOKENS",
      message: `${maxOpenTokens} pairing tokens are open.`,
      hint: "Wait until some expire, or revoke them.",
      retryable: true,
    });
  }

  return {
    async issue({ ttlMs, roles = [] }) {
      checkInvite(ttlMs, roles);
      await makeRoom();
      const secret = generateSecret();
      const record: TokenRecord = {
        id: encodeBase32(randomBytes(8)),
        expiresAtMs: clock.nowMs() + ttlMs,
        roles: [...roles],
        state: "open",
      };
      await store.set(keyOf(secret), canonicalJson(record));
      return { record, secret };
    },
    async peek(secret) {
      return (await find(secret)).record;
    },
    async redeem(secret, usedBy) {
      for (;;) {
        const { key, raw, record } = await find(secret);
        const used: TokenRecord = { ...record, state: "used", usedBy };
        // When this fails the token has changed, and looking again says how.
        if (await store.compareAndSet(key, raw, canonicalJson(used))) return used;
      }
    },
    async list() {
      return (await entries()).map(({ record }) => record);
    },
    async close(id) {
      await closeAll((record) => record.id === id);
    },
  };
}

function keyOf(secret: string): StoreKey {
  return [...tokensKey, encodeBase32(sha256(encodeUtf8(secret)))];
}

function checkInvite(ttlMs: number, roles: readonly string[]): void {
  const goodTtl = Number.isInteger(ttlMs) && ttlMs >= minTtlMs && ttlMs <= maxTtlMs;
  const goodRoles = roles.length <= maxRoles && roles.every(isRoleName);
  if (goodTtl && goodRoles && new Set(roles).size === roles.length) return;
  throw new PairingError({
    code: "INVITE_INVALID",
    message: goodTtl
      ? "The roles of a pairing token are not of their form."
      : "A pairing token cannot be good so long.",
    hint: `It is good for 1 s to 24 h and grants at most ${maxRoles} different roles of a-z 0-9 . _ -.`,
  });
}

function decode(bytes: Uint8Array): TokenRecord {
  try {
    const record = parseJson(bytes, { maxBytes: 4096 }) as unknown as Partial<TokenRecord> | null;
    const { id, expiresAtMs, roles, state } = record ?? {};
    const isState = state === "open" || state === "used" || state === "closed";
    if (typeof id === "string" && Number.isFinite(expiresAtMs) && Array.isArray(roles) && isState) {
      return record as TokenRecord;
    }
  } catch (cause) {
    throw corrupt(cause);
  }
  throw corrupt();
}

function refused(code: PairingErrorCode, message: string): PairingError {
  return new PairingError({ code, message, hint: "Ask for a new one with `fed invite`." });
}

function corrupt(cause?: unknown): PairingError {
  return new PairingError({
    code: "TOKEN_BOOK_CORRUPT",
    message: "The stored pairing tokens cannot be read.",
    hint: "Restore the store from a backup.",
    cause,
  });
}
