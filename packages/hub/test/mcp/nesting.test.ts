import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isDeeperThan } from "../../src/mcp/nesting.js";

function depthOf(value: unknown): number {
  if (typeof value !== "object" || value === null) return 0;
  return 1 + Math.max(0, ...Object.values(value).map(depthOf));
}

describe("how deep a JSON text is nested", () => {
  it("is what its value has, whatever its strings say", () => {
    const texts = fc.oneof(fc.string(), fc.stringMatching(/^[\\"[\]{}]{0,8}$/));
    const { value } = fc.letrec((tie) => ({
      value: fc.oneof({ depthSize: "medium" }, texts, fc.integer(), tie("list"), tie("object")),
      list: fc.array(tie("value"), { maxLength: 3 }),
      object: fc.dictionary(texts, tie("value"), { maxKeys: 3 }),
    }));
    fc.assert(
      fc.property(value, (any) => {
        const depth = depthOf(any);
        expect(isDeeperThan(JSON.stringify(any), depth)).toBe(false);
        if (depth > 0) expect(isDeeperThan(JSON.stringify(any), depth - 1)).toBe(true);
      }),
    );
  });

  it("is found of any text, and at once", () => {
    fc.assert(fc.property(fc.string(), (text) => void isDeeperThan(text, 3)));
    expect(isDeeperThan("[".repeat(4_000_000), 64)).toBe(true);
    for (const text of ['"', '"\\', '"\\"', `"${"\\".repeat(1_000_001)}`]) expect(isDeeperThan(text, 1)).toBe(false);
  });
});
