import { describe, expect, it } from "vitest";
import { isAppName, isHubName, isRoleName } from "../src/index.js";

const names = [
  { name: "hub", accepts: isHubName, maxLength: 32, others: "-", never: "A._" },
  { name: "app", accepts: isAppName, maxLength: 64, others: "A._-", never: "" },
  { name: "role", accepts: isRoleName, maxLength: 64, others: "._-", never: "A" },
];

describe.each(names)("the name of a $name", ({ accepts, maxLength, others, never }) => {
  it("has a first letter or digit, and a length", () => {
    for (const text of ["a", "7", "a".repeat(maxLength)]) expect(accepts(text), text).toBe(true);
    for (const text of ["", "-a", ".a", "_a", "a".repeat(maxLength + 1)]) expect(accepts(text), text).toBe(false);
  });

  it("holds nothing else", () => {
    for (const char of others) expect(accepts(`a${char}`), char).toBe(true);
    for (const char of [...never, " ", "/", "@", "\n", "\u0000", "é", "\u212a"])
      expect(accepts(`a${char}`), char).toBe(false);
  });
});
