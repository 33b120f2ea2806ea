import fc from "fast-check";
import { expect, it } from "vitest";
import { compareStoreKeys, encodeHex, encodeUtf8, type StoreKey } from "../src/index.js";

const part = fc.string({ unit: "binary", minLength: 1, maxLength: 6 }).filter((text) => text.isWellFormed());
const key = fc.array(part, { minLength: 1, maxLength: 4 });

it("orders keys as the UTF-8 bytes of their parts are ordered", () => {
  // Hex keeps the order of bytes, and no part's hex holds the space that stands for the end of a part.
  const text = (parts: StoreKey) => parts.map((one) => `${encodeHex(encodeUtf8(one))} `).join("");
  fc.assert(
    fc.property(key, key, (a, b) => {
      const [first, second] = [text(a), text(b)];
      expect(Math.sign(compareStoreKeys(a, b))).toBe(first < second ? -1 : first > second ? 1 : 0);
    }),
    { numRuns: 200 },
  );
  expect(compareStoreKeys(["\uffff"], ["😀"])).toBeLessThan(0);
  expect(compareStoreKeys(["a"], ["a", "b"])).toBeLessThan(0);
  expect(compareStoreKeys(["a", "b"], ["a!"])).toBeLessThan(0);
});
