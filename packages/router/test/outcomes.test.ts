import { createTestClock, expectCode } from "@fed/core/testing";
import { describe, expect, it } from "vitest";
import { type KeyJournal, limits, RouterError, type UsedKey } from "../src/index.js";
import { OutcomeTable } from "../src/outcomes.js";

const digest = new Uint8Array(32);
const ann = { operator: "ann@h", homeHub: "h" };
const bob = { operator: "bob@i", homeHub: "i" };
const done = (bytes: number) => ({ kind: "result", result: "done", bytes }) as const;

/** A journal that outlives its tables. */
function createJournal(): KeyJournal & { readonly keys: Map<string, UsedKey> } {
  const keys = new Map<string, UsedKey>();
  const idOf = ({ operator, name }: Pick<UsedKey, "operator" | "name">) => `${operator} ${name}`;
  return {
    keys,
    known: () => [...keys.values()],
    add: async (key) => void keys.set(idOf(key), key),
    remove: (key) => void keys.delete(idOf(key)),
  };
}

describe("OutcomeTable", () => {
  it("knows of keys used before it began that they were, and not what came of them", async () => {
    const clock = createTestClock();
    const journal = createJournal();
    const table = new OutcomeTable(clock, journal);
    const ran = table.claim(ann, "app", "ran", digest);
    await ran.keep();
    ran.settle(done(1));
    const refused = table.claim(ann, "app", "refused", digest);
    await refused.keep();
    refused.release(new RouterError({ code: "BUSY", message: "No." }));
    await table.claim(bob, "app", "runs", digest).keep();
    expect(journal.keys.size).toBe(2);

    const again = new OutcomeTable(clock, journal);
    for (const [owner, key] of [
      [ann, "ran"],
      [bob, "runs"],
    ] as const) {
      const claim = again.claim(owner, "app", key, digest);
      expect(claim.first).toBe(false);
      expect(await claim.outcome).toMatchObject({ error: { code: "OUTCOME_UNKNOWN", retryable: false } });
    }
    await expectCode(
      () =>
        again.claim(
          ann,
          "app",
          "ran",
          digest.map(() => 1),
        ),
      "IDEMPOTENCY_MISMATCH",
    );
    expect(again.claim(ann, "app", "refused", digest).first).toBe(true);
    await clock.advance(limits.outcomeLifeMs);
    expect(again.claim(ann, "app", "ran", digest).first).toBe(true);
    // The other one went with it: nobody has to ask for it.
    expect(journal.keys.size).toBe(0);
  });

  it("refuses new keys above its bytes, and takes them again when the outcomes have expired", async () => {
    const clock = createTestClock();
    const table = new OutcomeTable(clock);
    for (let i = 1; i < limits.outcomeBytes / limits.outcomeBytesPerOperator; i++) {
      const owner = { operator: `op-${i}`, homeHub: `h${i % 4}` };
      table.claim(owner, "app", "big", digest).settle(done(limits.outcomeBytesPerOperator));
    }
    table.claim(ann, "app", "big", digest).settle(done(limits.outcomeBytesPerOperator));
    await expectCode(() => table.claim(bob, "app", "k", digest), "BUSY");
    expect(table.claim(ann, "app", "big", digest).first).toBe(false);
    await clock.advance(limits.outcomeLifeMs);
    expect(table.claim(bob, "app", "k", digest).first).toBe(true);
  });

  it("keeps no more than its bytes of calls that began together, and never runs one of them again", async () => {
    const table = new OutcomeTable(createTestClock());
    const keys = Array.from({ length: 8 }, (_, i) => `k${i}`);
    const begun = keys.map((key) => table.claim(ann, "app", key, digest));
    const waiting = table.claim(ann, "app", "k7", digest);
    const large = done(limits.outcomeBytesPerOperator / 4);
    for (const claim of begun) claim.settle(large);
    const again = keys.map((key) => table.claim(ann, "app", key, digest));
    expect(again.map(({ first }) => first)).toEqual(keys.map(() => false));
    const outcomes = await Promise.all(again.map(({ outcome }) => outcome));
    expect(outcomes.slice(0, 4)).toEqual([large, large, large, large]);
    for (const outcome of outcomes.slice(4)) {
      expect(outcome).toMatchObject({ kind: "error", error: { code: "OUTCOME_UNKNOWN" } });
    }
    expect(await waiting.outcome).toEqual(large);
  });

  it("refuses new keys above its entries, whoever holds them", async () => {
    const table = new OutcomeTable(createTestClock());
    for (let i = 0; i < limits.outcomes; i++) {
      const operator = `op-${Math.floor(i / limits.outcomesPerOperator)}`;
      const homeHub = `hub-${Math.floor(i / limits.outcomesPerHub)}`;
      table.claim({ operator, homeHub }, "app", `k${i}`, digest).settle(done(1));
    }
    await expectCode(() => table.claim(ann, "app", "k", digest), "BUSY");
  });

  it("keeps room for the other operators of a hub, however large one operator's results are", async () => {
    const clock = createTestClock();
    const table = new OutcomeTable(clock);
    const homeHub = ann.homeHub;
    const count = limits.outcomeBytesPerHub / limits.outcomeBytesPerOperator;
    const begun = Array.from({ length: count }, (_, i) => table.claim(ann, "app", `k${i}`, digest));
    for (const claim of begun) claim.settle(done(limits.outcomeBytesPerOperator));
    await expectCode(() => table.claim(ann, "app", "next", digest), "BUSY");
    const other = table.claim({ operator: "cat@h", homeHub }, "app", "k", digest);
    other.settle(done(limits.outcomeBytesPerOperator));
    expect(await other.outcome).toMatchObject({ kind: "result" });
    await clock.advance(limits.outcomeLifeMs);
    expect(table.claim(ann, "app", "next", digest).first).toBe(true);
  });

  it("keeps room for other hubs, however many operators one hub invents and however large its results are", async () => {
    const clock = createTestClock();
    const table = new OutcomeTable(clock);
    const invented = (i: number) => ({ operator: `op-${i}@h`, homeHub: "h" });
    for (let i = 0; i < limits.outcomesPerHub; i++) table.claim(invented(i), "app", "k", digest).settle(done(1));
    await expectCode(() => table.claim(ann, "app", "k", digest), "BUSY");
    expect(table.claim(bob, "app", "k", digest).first).toBe(true);
    await clock.advance(limits.outcomeLifeMs);
    for (let i = 0; i < 4; i++) {
      table.claim(invented(i), "app", "large", digest).settle(done(limits.outcomeBytesPerHub / 4));
    }
    await expectCode(() => table.claim(ann, "app", "k", digest), "BUSY");
    expect(table.claim(bob, "app", "k2", digest).first).toBe(true);
  });

  it("never forgets a call that still runs", async () => {
    const clock = createTestClock();
    const table = new OutcomeTable(clock);
    const first = table.claim(ann, "app", "k", digest);
    await clock.advance(100 * limits.outcomeLifeMs);
    const again = table.claim(ann, "app", "k", digest);
    expect([first.first, again.first]).toEqual([true, false]);
    first.settle(done(1));
    expect(await again.outcome).toEqual(done(1));
  });

  it("tells those who wait when nothing ran, and frees the key", async () => {
    const table = new OutcomeTable(createTestClock());
    const first = table.claim(ann, "app", "k", digest);
    const waiting = table.claim(ann, "app", "k", digest);
    const error = new RouterError({ code: "AUDIT_UNAVAILABLE", message: "Full." });
    first.release(error);
    expect(await waiting.outcome).toEqual({ kind: "error", error });
    expect(table.claim(ann, "app", "k", digest).first).toBe(true);
  });

  it("forgets an operator at once, also what is settled later", () => {
    const table = new OutcomeTable(createTestClock());
    const running = table.claim(ann, "app", "k", digest);
    table.purge(ann.operator);
    running.settle(done(limits.outcomeBytes));
    expect(table.claim(ann, "app", "k", digest).first).toBe(true);
  });
});
