import fc from "fast-check";
import { expect, it } from "vitest";
import { Tally } from "../src/tally.js";

it("sums as a map would, however many keys come and go", () => {
  const steps = fc.array(fc.tuple(fc.nat(400), fc.constantFrom(1, 2, -1, 0)), { maxLength: 3000, minLength: 1000 });
  fc.assert(
    fc.property(steps, (all) => {
      const tally = new Tally<number>();
      const sums = new Map<number, number>();
      for (const [key, amount] of all) {
        const sum = Math.max(0, (sums.get(key) ?? 0) + amount);
        const added = sum - (sums.get(key) ?? 0);
        sums.set(key, sum);
        expect(tally.add(key, added)).toBe(sum);
      }
      for (const [key, sum] of sums) expect(tally.get(key)).toBe(sum);
    }),
    { numRuns: 30 },
  );
});

it("keeps few of the keys that are at zero", () => {
  const tally = new Tally<string>();
  tally.add("busy", 1);
  for (let i = 0; i < 1000; i++) {
    tally.add(`${i}`, 1);
    tally.add(`${i}`, -1);
    expect(tally.size).toBeLessThanOrEqual(258);
  }
  expect(tally.get("busy")).toBe(1);
});
