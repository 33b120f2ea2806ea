/**
 * The issuer's book of open pairing tokens: only SHA-256 of each secret is kept, each is redeemed by one conditional
 * write, and wrong guesses close the book's open tokens.
 */
import { type Clock, canonicalJson, encodeBase32, encodeUtf8, parseJson, randomBytes, type Store, systemClock } from "@fed/core";
import { sha256 } from "@fed/trust";
import { PairingError } from "./errors.js";
import { generateSecret } from "./pairing-token.js";

const maxOpenTokens = 64;
const maxWrongGuesses = 20;
/** How long a used or expired token is remembered, so that a second use is told apart from a guess. */
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

/** See {@link createTokenBook}. */
export interface TokenBook {
  /** @throws {PairingError} TOO_MANY_TOKENS when 64 are open. */
  issue(options: { readonly ttlMs: number; readonly roles?: readonly string[] }): Promise<IssuedToken>;
  /**
   * The open record behind `secret`, without redeeming it. A wrong secret is counted; after 20 all open tokens close.
   * @throws {PairingError} TOKEN_UNKNOWN, TOKEN_EXPIRED, TOKEN_USED, INVITE_CLOSED.
   */
  peek(secret: string): Promise<TokenRecord>;
  /**
   * Redeems `secret` for `usedBy` by one conditional write: of many at once exactly one succeeds.
   * @throws {PairingError} as {@link peek}.
   */
  redeem(secret: string, usedBy: string): Promise<TokenRecord>;
  /** All remembered tokens. */
  list(): Promise<TokenRecord[]>;
  /** Closes the token named `id` before its time. Closing what is not open is no error. */
  close(id: string): Promise<void>;
}

const tokenKey = (digest: string) => ["pairing", "token", digest];
const guessesKey = ["pairing", "guesses"];

/** The book kept in `store` under `pairing/`. */
export function createTokenBook(options: TokenBookOptions): TokenBook {
  const { store } = options;
  const clock = options.clock ?? systemClock;

  async function entries(): Promise<{ key: readonly string[]; raw: Uint8Array; record: TokenRecord }[]> {
    const found = [];
    for (const { key, value } of await store.list(["pairing", "token"])) {
      const record = decode(value);
      if (record.expiresAtMs + rememberMs < clock.nowMs()) await store.delete(key);
      else found.push({ key, raw: value, record });
    }
    return found;
  }

  async function countWrongGuess(): Promise<void> {
    for (;;) {
      const raw = await store.get(guessesKey);
      const count = (raw ? Number(new DataView(raw.buffer, raw.byteOffset).getUint32(0)) : 0) + 1;
      const next = new Uint8Array(4);
      new DataView(next.buffer).setUint32(0, count >= maxWrongGuesses ? 0 : count);
      if (!(await store.compareAndSet(guessesKey, raw, next))) continue;
      if (count >= maxWrongGuesses) for (const entry of await entries()) await closeEntry(entry);
      return;
    }
  }

  async function closeEntry(entry: { key: readonly string[]; raw: Uint8Array; record: TokenRecord }): Promise<void> {
    if (entry.record.state === "open") {
      await store.compareAndSet(entry.key, entry.raw, encode({ ...entry.record, state: "closed" }));
    }
  }

  async function find(secret: string): Promise<{ key: readonly string[]; raw: Uint8Array; record: TokenRecord }> {
    const key = tokenKey(encodeBase32(sha256(encodeUtf8(secret))));
    const raw = await store.get(key);
    if (!raw) {
      await countWrongGuess();
      throw new PairingError({
        code: "TOKEN_UNKNOWN",
        message: "No such pairing token.",
        hint: "Ask for a new one with `fed invite`.",
      });
    }
    const record = decode(raw);
    if (record.state === "used") {
      throw new PairingError({ code: "TOKEN_USED", message: "This pairing token was used.", hint: "Ask for a new one with `fed invite`." });
    }
    if (record.state === "closed") {
      throw new PairingError({ code: "INVITE_CLOSED", message: "This pairing token was closed.", hint: "Ask for a new one with `fed invite`." });
    }
    if (record.expiresAtMs <= clock.nowMs()) {
      throw new PairingError({ code: "TOKEN_EXPIRED", message: "This pairing token has expired.", hint: "Ask for a new one with `fed invite`." });
    }
    return { key, raw, record };
  }

  return {
    async issue({ ttlMs, roles = [] }) {
      const open = (await entries()).filter((e) => e.record.state === "open" && e.record.expiresAtMs > clock.nowMs());
      if (open.length >= maxOpenTokens) {
        throw new PairingError({
          code: "TOO_MANY_TOKENS",
          message: `${maxOpenTokens} pairing tokens are open.`,
          hint: "Wait until some expire.",
          retryable: true,
        });
      }
      const secret = generateSecret();
      const record: TokenRecord = {
        id: encodeBase32(randomBytes(8)),
        expiresAtMs: clock.nowMs() + ttlMs,
        roles,
        state: "open",
      };
      await store.set(tokenKey(encodeBase32(sha256(encodeUtf8(secret)))), encode(record));
      return { record, secret };
    },
    async peek(secret) {
      return (await find(secret)).record;
    },
    async redeem(secret, usedBy) {
      const { key, raw, record } = await find(secret);
      const used: TokenRecord = { ...record, state: "used", usedBy };
      if (!(await store.compareAndSet(key, raw, encode(used)))) {
        throw new PairingError({ code: "TOKEN_USED", message: "This pairing token was used.", hint: "Ask for a new one with `fed invite`." });
      }
      return used;
    },
    async list() {
      return (await entries()).map((e) => e.record);
    },
    async close(id) {
      for (const entry of await entries()) if (entry.record.id === id) await closeEntry(entry);
    },
  };
}

function encode(record: TokenRecord): Uint8Array {
  return canonicalJson(record);
}

function decode(bytes: Uint8Array): TokenRecord {
  return parseJson(bytes, { maxBytes: 4096 }) as unknown as TokenRecord;
}
