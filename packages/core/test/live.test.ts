import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { LiveMap, LiveSet } from "../src/live.js";

describe("what is under way", () => {
  it("is a set: a place is one's own until it is given back", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(9)), (steps) => {
        const live = new LiveSet<{ readonly n: number }>();
        const places = new Map<number, { readonly n: number }>();
        for (const [n, step] of steps.entries()) {
          const [place] = [...places.keys()].slice(step);
          if (step < 5 && place !== undefined) {
            live.delete(place);
            places.delete(place);
          } else {
            const item = { n };
            const given = live.add(item);
            expect(places.has(given)).toBe(false);
            places.set(given, item);
          }
          expect(live.size).toBe(places.size);
          expect(new Set(live)).toEqual(new Set(places.values()));
          for (const [at, item] of places) expect(live.at(at)).toBe(item);
        }
      }),
    );
  });

  it("is a map like any other", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.constantFrom("set", "delete", "clear"), fc.nat(6))), (steps) => {
        const live = new LiveMap<number, string>();
        const map = new Map<number, string>();
        for (const [i, [step, key]] of steps.entries()) {
          if (step === "set") {
            // A key that is set again moves to the end.
            map.delete(key);
            map.set(key, `${i}`);
            live.set(key, `${i}`);
          } else if (step === "delete") expect(live.delete(key)).toBe(map.delete(key));
          else if (key === 0) {
            live.clear();
            map.clear();
          }
          expect([live.size, [...live.keys()], [...live.values()]]).toEqual([
            map.size,
            [...map.keys()],
            [...map.values()],
          ]);
          expect([live.get(key), live.has(key)]).toEqual([map.get(key), map.has(key)]);
        }
      }),
    );
  });

  it("takes no more places than were ever taken at once", () => {
    const live = new LiveSet<object>();
    let most = 0;
    const waiting = Array.from({ length: 8 }, () => live.add({}));
    for (let i = 0; i < 10_000; i++) {
      live.delete(waiting.shift()!);
      waiting.push(live.add({}));
      most = Math.max(most, ...waiting);
    }
    expect(most).toBeLessThan(8);
  });
});
