import { encodeUtf8, type Store, StoreError } from "@fed/core";
import { createMemoryStore, type StoreFault, type StoreOperation } from "@fed/core/memory";
import { createTestClock, expectCode } from "@fed/core/testing";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createTokenBook, generateSecret, type TokenBook } from "../src/index.js";

const ttlMs = 600_000;
const dayMs = 24 * 60 * 60_000;

function createBook(store: Store = createMemoryStore()) {
  const clock = createTestClock();
  return { store, clock, book: createTokenBook({ store, clock }) };
}

async function guess(book: TokenBook, times: number): Promise<void> {
  for (let i = 0; i < times; i++) await expectCode(book.peek(generateSecret()), "TOKEN_UNKNOWN");
}

describe("a token", () => {
  it("is redeemed once, with the roles it was made with", async () => {
    const { book, clock } = createBook();
    const { record, secret } = await book.issue({ ttlMs, roles: ["worker"] });
    expect(record).toMatchObject({ expiresAtMs: clock.nowMs() + ttlMs, roles: ["worker"], state: "open" });
    expect(record.id).toMatch(/^[a-z2-7]{13}$/);
    expect(await book.peek(secret)).toEqual(record);
    expect(await book.redeem(secret, "hub")).toEqual({ ...record, state: "used", usedBy: "hub" });
    await expectCode(book.redeem(secret, "hub"), "TOKEN_USED");
    await expectCode(book.peek(secret), "TOKEN_USED");
  });

  it("expires to the millisecond, is remembered for a day, then forgotten", async () => {
    const { book, clock, store } = createBook();
    const { secret } = await book.issue({ ttlMs });
    await clock.advance(ttlMs - 1);
    await book.peek(secret);
    await clock.advance(1);
    await expectCode(book.peek(secret), "TOKEN_EXPIRED");
    await expectCode(book.redeem(secret, "hub"), "TOKEN_EXPIRED");
    await clock.advance(dayMs);
    expect(await book.list()).toHaveLength(1);
    await clock.advance(1);
    expect(await book.list()).toHaveLength(0);
    expect(await store.list(["pairing", "token"])).toHaveLength(0);
    await expectCode(book.peek(secret), "TOKEN_UNKNOWN");
  });

  it("closes before its time, others stay open", async () => {
    const { book } = createBook();
    const [one, two] = [await book.issue({ ttlMs }), await book.issue({ ttlMs })];
    await book.close(one.record.id);
    await book.close(one.record.id);
    await book.close("unknown");
    await expectCode(book.redeem(one.secret, "hub"), "INVITE_CLOSED");
    await book.redeem(two.secret, "hub");
    await book.close(two.record.id);
    await expectCode(book.peek(two.secret), "TOKEN_USED");
  });

  it("leaves no trace of its secret in the store", async () => {
    const { book, store } = createBook();
    const { secret } = await book.issue({ ttlMs });
    await book.redeem(secret, "hub");
    for (const { key, value } of await store.list([])) {
      expect(key.join(" ") + new TextDecoder().decode(value)).not.toContain(secret);
    }
  });

  it("outlives the book that made it", async () => {
    const { book, clock, store } = createBook();
    const { secret } = await book.issue({ ttlMs });
    await guess(book, 19);
    const again = createTokenBook({ store, clock });
    await again.peek(secret);
    await guess(again, 1);
    await expectCode(again.peek(secret), "INVITE_CLOSED");
  });
});

describe("issue", () => {
  it("refuses times and roles that are not of their form", async () => {
    const { book } = createBook();
    for (const bad of [0, 999, -1, dayMs + 1, 1000.5, Number.NaN, Number.POSITIVE_INFINITY]) {
      await expectCode(book.issue({ ttlMs: bad }), "INVITE_INVALID");
    }
    const many = Array.from({ length: 17 }, (_, i) => `role${i}`);
    for (const roles of [[""], ["Admin"], ["a b"], ["a".repeat(65)], ["a", "a"], many]) {
      await expectCode(book.issue({ ttlMs, roles }), "INVITE_INVALID");
    }
    const largest = many.slice(1).map((role) => role.padEnd(64, "x"));
    const { secret } = await book.issue({ ttlMs: dayMs, roles: largest });
    expect(await book.redeem(secret, "h".repeat(26))).toMatchObject({ roles: largest });
    expect(await book.list()).toHaveLength(1);
  });

  it("keeps at most 64 open", async () => {
    const { book, clock } = createBook();
    const issued = [];
    for (let i = 0; i < 64; i++) issued.push(await book.issue({ ttlMs: ttlMs + i * 1000 }));
    await expectCode(book.issue({ ttlMs }), "TOO_MANY_TOKENS");
    await book.redeem(issued[63]!.secret, "hub");
    await book.issue({ ttlMs: dayMs });
    await expectCode(book.issue({ ttlMs }), "TOO_MANY_TOKENS");
    await clock.advance(ttlMs);
    await book.issue({ ttlMs });
  });
});

describe("wrong guesses", () => {
  it("close every open token at the twentieth, and what is made afterwards is good", async () => {
    const { book } = createBook();
    const issued = [await book.issue({ ttlMs }), await book.issue({ ttlMs })];
    await guess(book, 19);
    for (const { secret } of issued) await book.peek(secret);
    await guess(book, 1);
    for (const { secret } of issued) await expectCode(book.redeem(secret, "hub"), "INVITE_CLOSED");
    expect((await book.list()).map(({ state }) => state)).toEqual(["closed", "closed"]);
    const { secret } = await book.issue({ ttlMs });
    await book.redeem(secret, "hub");
  });

  it("made while nothing is open do not count against the next invitation", async () => {
    const { book } = createBook();
    await guess(book, 40);
    const { secret } = await book.issue({ ttlMs });
    await guess(book, 19);
    await book.redeem(secret, "hub");
  });

  it("count while something is open, however many invitations are made", async () => {
    const { book } = createBook();
    const first = await book.issue({ ttlMs });
    await guess(book, 10);
    await book.issue({ ttlMs });
    await guess(book, 10);
    await expectCode(book.peek(first.secret), "INVITE_CLOSED");
  });

  it("in parallel are all counted", async () => {
    const { book } = createBook();
    const { secret } = await book.issue({ ttlMs });
    await Promise.all(Array.from({ length: 20 }, () => guess(book, 1)));
    await expectCode(book.peek(secret), "INVITE_CLOSED");
  });

  it("forbid redemption even where closing failed", async () => {
    let failing = false;
    const error = new StoreError({ code: "STORE_FULL", message: "Full." });
    const fault = ({ kind, key }: StoreOperation): StoreFault | undefined =>
      failing && kind === "compareAndSet" && key[1] === "token" ? { error, applied: false } : undefined;
    const { book } = createBook(createMemoryStore({ fault }));
    const { secret } = await book.issue({ ttlMs });
    await guess(book, 19);
    failing = true;
    await expectCode(book.peek(generateSecret()), "STORE_FULL");
    await expectCode(book.redeem(secret, "hub"), "INVITE_CLOSED");
    failing = false;
    await book.issue({ ttlMs });
    await expectCode(book.redeem(secret, "hub"), "INVITE_CLOSED");
  });
});

/** A store whose operations happen in the order that `scheduler` picks. */
function scheduled(store: Store, scheduler: fc.Scheduler): Store {
  const later = <T>(operate: () => Promise<T>): Promise<T> => scheduler.schedule(Promise.resolve()).then(operate);
  return {
    get: (key) => later(() => store.get(key)),
    set: (key, value) => later(() => store.set(key, value)),
    delete: (key) => later(() => store.delete(key)),
    compareAndSet: (key, expected, next) => later(() => store.compareAndSet(key, expected, next)),
    list: (prefix) => later(() => store.list(prefix)),
    close: () => store.close(),
    [Symbol.asyncDispose]: () => store.close(),
  };
}

describe("many at once", () => {
  it("redeem one token exactly once, in every order of the store's operations", async () => {
    await fc.assert(
      fc.asyncProperty(fc.scheduler(), fc.integer({ min: 2, max: 6 }), async (scheduler, count) => {
        const { store, clock, book } = createBook();
        const { secret } = await book.issue({ ttlMs });
        // Each has a book of its own: the store alone decides.
        const redeem = (_: unknown, i: number) =>
          createTokenBook({ store: scheduled(store, scheduler), clock }).redeem(secret, `hub${i}`);
        const redeemed = Promise.allSettled(Array.from({ length: count }, redeem));
        await scheduler.waitFor(redeemed);
        const results = await redeemed;
        const winners = results.filter((result) => result.status === "fulfilled").map(({ value }) => value.usedBy);
        expect(winners).toHaveLength(1);
        expect(await book.list()).toMatchObject([{ state: "used", usedBy: winners[0] }]);
        for (const result of results) if (result.status === "rejected") expect(result.reason.code).toBe("TOKEN_USED");
      }),
      { numRuns: 100 },
    );
  });

  it("redeem, close and guess: the token is used by the one winner, or closed", async () => {
    await fc.assert(
      fc.asyncProperty(fc.scheduler(), async (scheduler) => {
        const { store, clock, book } = createBook();
        const { secret, record } = await book.issue({ ttlMs });
        await guess(book, 18);
        const racing = createTokenBook({ store: scheduled(store, scheduler), clock });
        const all = Promise.allSettled([
          racing.redeem(secret, "a"),
          racing.redeem(secret, "b"),
          racing.close(record.id),
          racing.peek(generateSecret()),
          racing.peek(generateSecret()),
        ]);
        await scheduler.waitFor(all);
        const [a, b] = await all;
        const winners = [a, b].filter((result) => result.status === "fulfilled").map(({ value }) => value.usedBy);
        expect(winners.length).toBeLessThanOrEqual(1);
        const [state] = await book.list();
        expect(state).toMatchObject(winners.length === 1 ? { state: "used", usedBy: winners[0] } : { state: "closed" });
      }),
      { numRuns: 100 },
    );
  });
});

describe("with a failing store", () => {
  const error = new StoreError({ code: "STORE_FULL", message: "Full." });

  /** Runs invitation, two redemptions and a wrong guess; the operation number `at` fails. */
  async function run(at: number, applied: boolean) {
    let count = 0;
    const fault = (): StoreFault | undefined => (count++ === at ? { error, applied } : undefined);
    const { book } = createBook(createMemoryStore({ fault }));
    const winners: string[] = [];
    const codes: string[] = [];
    const attempt = async (work: () => Promise<unknown>) => {
      await work().catch((cause: { code: string }) => codes.push(cause.code));
    };
    let secret = generateSecret();
    await attempt(async () => {
      ({ secret } = await book.issue({ ttlMs }));
    });
    for (const hub of ["a", "b"])
      await attempt(async () => void winners.push((await book.redeem(secret, hub)).usedBy!));
    await attempt(() => book.peek(generateSecret()));
    return { winners, codes, operations: count, records: await book.list() };
  }

  it.each([false, true])(
    "gives a token to one hub or to nobody, whichever operation fails (applied: %s)",
    async (applied) => {
      const { operations } = await run(-1, applied);
      expect(operations).toBeGreaterThan(8);
      for (let at = 0; at < operations; at++) {
        const { winners, codes, records } = await run(at, applied);
        expect(codes).toContain("STORE_FULL");
        expect(winners.length).toBeLessThanOrEqual(1);
        for (const winner of winners) expect(records).toMatchObject([{ state: "used", usedBy: winner }]);
        for (const code of codes) expect(["STORE_FULL", "TOKEN_USED", "TOKEN_UNKNOWN"]).toContain(code);
      }
    },
  );

  it.each(["{}", "[]", "null", "not JSON", '{"id":"x","expiresAtMs":1e15,"roles":[],"state":"new"}'])(
    "reads %s as TOKEN_BOOK_CORRUPT",
    async (text) => {
      const { book, store } = createBook();
      const { secret } = await book.issue({ ttlMs });
      const [entry] = await store.list(["pairing", "token"]);
      await store.set(entry!.key, encodeUtf8(text));
      await expectCode(book.peek(secret), "TOKEN_BOOK_CORRUPT");
      await expectCode(book.list(), "TOKEN_BOOK_CORRUPT");
    },
  );

  it("does not take a broken count for none", async () => {
    const { book, store } = createBook();
    const { secret } = await book.issue({ ttlMs });
    await store.set(["pairing", "guesses"], encodeUtf8("many"));
    await expectCode(book.redeem(secret, "hub"), "TOKEN_BOOK_CORRUPT");
  });
});
