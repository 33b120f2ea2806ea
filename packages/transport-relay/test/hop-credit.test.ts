import { expectCode } from "@fed/core/testing";
import fc from "fast-check";
import { expect, test } from "vitest";
import { type CreditPool, createHopCredit, type HopCounts } from "../src/hop-credit.js";

const mebibyte = 1_048_576;

function createScene(options: { counts?: HopCounts; limitBytes?: number } = {}) {
  const pool: CreditPool = { limitBytes: options.limitBytes ?? 24 * mebibyte, outstandingBytes: 0 };
  const counts = options.counts ?? { sentBytes: 0, ackedBytes: 0 };
  const credit = createHopCredit<string>(counts, pool, mebibyte, 0);
  /** How many bytes `sender` gets rid of, in messages of `length`. */
  const fill = (sender: string, length = 4_096, atMs = 0) => {
    let bytes = 0;
    while (credit.take(sender, length, 0, atMs)) bytes += length;
    return bytes;
  };
  return { pool, counts, credit, fill };
}

test("one sender alone takes seven tenths, which is more than a connection's window", () => {
  const { fill } = createScene();
  const taken = fill("a");
  // A window and what was read but not acknowledged yet, in records of 256 bytes with 38 more around each.
  expect(taken).toBeGreaterThan((524_288 + 65_536) * (294 / 256));
  expect(taken).toBeLessThan(0.75 * mebibyte);
});

test("a sender that comes late finds room at once, and a fair share once the reader reads", () => {
  const { credit, counts, fill } = createScene();
  const greedy = fill("greedy");
  expect(fill("late")).toBeGreaterThan(100_000);
  const taken = { greedy, late: 0 };
  for (let i = 0; i < 100; i++) {
    credit.acknowledge(counts.ackedBytes + 65_536, 0);
    // The greedy one always asks first.
    taken.greedy += fill("greedy");
    taken.late += fill("late");
  }
  expect(taken.late / (taken.greedy - greedy)).toBeGreaterThan(0.7);
});

test.each<[string, (round: number) => number, number]>([
  ["by turns", (round) => round, 1.05],
  ["always the same", () => 0, 5],
])(
  "of eight greedy senders none starves when the first to ask is %s, and a ninth is served at once",
  (_, first, most) => {
    const { credit, counts, fill } = createScene();
    const senders = Array.from({ length: 8 }, (_, i) => `s${i}`);
    const taken = new Map(senders.map((sender) => [sender, 0]));
    for (let round = 0; round < 400; round++) {
      for (let i = 0; i < 8; i++) {
        const sender = senders[(i + first(round)) % 8]!;
        taken.set(sender, taken.get(sender)! + fill(sender));
      }
      credit.acknowledge(counts.ackedBytes + 65_536, 0);
      if (round === 200) for (const sender of senders) taken.set(sender, 0);
    }
    const shares = [...taken.values()];
    expect(Math.max(...shares) / Math.min(...shares)).toBeLessThan(most);
    expect(credit.take("ninth", 49_152, 0, 0)).toBe(true);
  },
);

test("what a reader that is well leaves unacknowledged never keeps a large message away", () => {
  const { credit } = createScene();
  expect(credit.take("a", 65_535, 0, 0)).toBe(true);
  expect(credit.take("a", 900_000, 0, 0)).toBe(true);
  expect(credit.take("a", 900_000, 0, 0)).toBe(false);
});

test("bytes that the host still holds count, whatever was acknowledged", () => {
  const { credit } = createScene();
  expect(credit.take("a", 1_000, mebibyte, 0)).toBe(false);
  expect(credit.take("a", 1_000, mebibyte - 1_000, 0)).toBe(true);
});

test("only who holds a good deal and reads nothing is stuck", () => {
  const { credit, fill } = createScene();
  credit.take("a", 60_000, 0, 0);
  expect(credit.isStuck(10_000, 60_000)).toBe(false);
  fill("a", 4_096, 60_000);
  expect(credit.isStuck(10_000, 70_000)).toBe(false);
  expect(credit.isStuck(10_000, 70_001)).toBe(true);
  credit.acknowledge(1, 70_001);
  expect(credit.isStuck(10_000, 70_002)).toBe(false);
});

test("an acknowledgement that cannot be is refused", async () => {
  const { credit } = createScene({ counts: { sentBytes: 10, ackedBytes: 5 } });
  expect(credit.outstandingBytes).toBe(5);
  for (const bytes of [4, 11]) await expectCode(() => credit.acknowledge(bytes, 0), "PROTOCOL_ERROR");
  credit.acknowledge(10, 0);
  expect(credit.outstandingBytes).toBe(0);
});

test("whatever happens, no bound is exceeded and what is given back is what was taken", () => {
  const step = fc.oneof(
    fc.record({ sender: fc.constantFrom("a", "b", "c"), length: fc.integer({ min: 1, max: mebibyte }) }),
    fc.record({ share: fc.double({ min: 0, max: 1, noNaN: true }) }),
    fc.record({ gone: fc.constantFrom("a", "b", "c") }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const { credit, counts, pool } = createScene({ limitBytes: 700_000 });
      for (const one of steps) {
        if ("sender" in one) credit.take(one.sender, one.length, 0, 0);
        else if ("gone" in one) credit.forget(one.gone);
        else credit.acknowledge(counts.ackedBytes + Math.floor(one.share * credit.outstandingBytes), 0);
        expect(credit.outstandingBytes).toBeLessThanOrEqual(mebibyte);
        expect(pool.outstandingBytes).toBe(Math.max(0, credit.outstandingBytes - 65_536));
        expect(pool.outstandingBytes).toBeLessThanOrEqual(pool.limitBytes);
      }
      credit.end();
      expect(pool.outstandingBytes).toBe(0);
    }),
  );
});
