import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expectCode } from "@fed/core/testing";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { CoreError, canonicalJson, decodeUtf8, encodeUtf8, parseJson } from "../src/index.js";
import { readVectors } from "./vectors.js";

interface Case {
  readonly name: string;
  readonly text?: string;
  readonly hex?: string;
  readonly maxBytes?: number;
  readonly maxDepth?: number;
}
interface Vectors {
  readonly valid: readonly (Case & { canonical: string })[];
  readonly invalid: readonly (Case & { code: string })[];
}

const { valid, invalid } = readVectors<Vectors>("json");

function parseCase({ text, hex, maxBytes = 1000, maxDepth = 4 }: Case) {
  const bytes = hex === undefined ? encodeUtf8(text!) : Uint8Array.from(Buffer.from(hex, "hex"));
  return parseJson(bytes, { maxBytes, maxDepth });
}

describe("parseJson", () => {
  it.each(valid)("reads $name", (vector) => {
    expect(decodeUtf8(canonicalJson(parseCase(vector)))).toBe(vector.canonical);
  });

  it.each(invalid)("refuses $name", async (vector) => {
    await expectCode(() => parseCase(vector), vector.code);
  });

  it("allows 32 levels unless told otherwise", async () => {
    const nested = (depth: number) => encodeUtf8("[".repeat(depth) + "]".repeat(depth));
    expect(Array.isArray(parseJson(nested(32), { maxBytes: 100 }))).toBe(true);
    await expectCode(() => parseJson(nested(33), { maxBytes: 100 }), "TOO_DEEP");
  });

  it("reads whatever JSON.stringify writes", () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 5 }), (value) => {
        const text = JSON.stringify(value);
        expect(parseJson(encodeUtf8(text), { maxBytes: 1_000_000 })).toEqual(JSON.parse(text));
      }),
      { numRuns: 200 },
    );
  });

  it("on any text gives what JSON.parse gives, or a CoreError", () => {
    const pieces = fc.constantFrom(
      ...'{}[]:,"\\ \n01-.eatrufls',
      '"a"',
      '"\\u0061"',
      '"a":',
      "null",
      "1",
      "é",
      "\ufeff",
    );
    const texts = fc.oneof(
      fc.string({ unit: "binary", maxLength: 30 }),
      fc.array(pieces, { maxLength: 25 }).map((parts) => parts.join("")),
      fc.tuple(fc.json({ maxDepth: 3 }), fc.nat(), pieces).map(([text, at, piece]) => {
        const index = at % (text.length + 1);
        return text.slice(0, index) + piece + text.slice(index);
      }),
    );
    fc.assert(
      fc.property(texts, (text) => {
        const wellFormed = text.toWellFormed();
        let parsed: unknown;
        try {
          parsed = parseJson(encodeUtf8(wellFormed), { maxBytes: 10_000 });
        } catch (error) {
          expect(error).toBeInstanceOf(CoreError);
          if ((error as CoreError).code === "INVALID_JSON") expect(() => JSON.parse(wellFormed)).toThrow();
          return;
        }
        expect(parsed).toEqual(JSON.parse(wellFormed));
      }),
      { numRuns: 200 },
    );
  });

  it("on any bytes ends in a value or a CoreError", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        try {
          parseJson(bytes, { maxBytes: 32 });
        } catch (error) {
          expect(error).toBeInstanceOf(CoreError);
        }
      }),
      { numRuns: 200 },
    );
  });

  it("finds a repeated key however it is spelled and wherever it stands", async () => {
    const escaped = (key: string) =>
      [...key].map((c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`).join("");
    const key = fc.string({ unit: fc.constantFrom(...'abc/"\\é{}[]:,'), maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(key, fc.json({ maxDepth: 3 }), fc.boolean(), async (name, between, spelled) => {
        const second = spelled ? `"${escaped(name)}"` : JSON.stringify(name);
        const text = `{${JSON.stringify(name)}:${between},"other":[${between}],${second} :0}`;
        if (name === "other" || text.length > 10_000) return;
        await expectCode(() => parseJson(encodeUtf8(text), { maxBytes: 100_000 }), "DUPLICATE_KEY");
      }),
      { numRuns: 200 },
    );
  });
});

describe("canonicalJson", () => {
  it("passes the vectors of RFC 8785", () => {
    const folder = join(process.env.FED_VECTORS!, "jcs");
    const names = readdirSync(join(folder, "input"));
    for (const name of names) {
      const value = parseJson(readFileSync(join(folder, "input", name)), { maxBytes: 100_000 });
      const expected = readFileSync(join(folder, "output", name));
      expect(Buffer.from(canonicalJson(value)).toString("hex"), name).toBe(expected.toString("hex"));
    }
    expect(names.length).toBeGreaterThan(0);
    console.info(`RFC 8785 vectors: ${names.length} cases ran`);
  });

  it("is a fixed point: what it writes it reads and writes the same", () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 4 }), (value) => {
        const once = canonicalJson(value);
        const read = parseJson(once, { maxBytes: 1_000_000 });
        expect(canonicalJson(read)).toEqual(once);
        expect(read).toEqual(JSON.parse(JSON.stringify(value)));
      }),
      { numRuns: 200 },
    );
  });

  it("does not depend on the order of members", () => {
    const members = fc.uniqueArray(fc.tuple(fc.string(), fc.integer()), { selector: ([key]) => key, maxLength: 8 });
    fc.assert(
      fc.property(members, (pairs) => {
        const there = canonicalJson(Object.fromEntries(pairs));
        expect(canonicalJson(Object.fromEntries(pairs.toReversed()))).toEqual(there);
      }),
      { numRuns: 200 },
    );
  });

  it("leaves out members that are undefined or a function", () => {
    expect(decodeUtf8(canonicalJson({ b: undefined, a: 1, c: () => 1 }))).toBe('{"a":1}');
  });

  it("refuses what has no canonical form", async () => {
    const cycle: unknown[] = [];
    cycle.push(cycle);
    const none = [
      Number.NaN,
      Number.POSITIVE_INFINITY,
      { deep: [Number.NEGATIVE_INFINITY] },
      "\ud800",
      ["\udc00x"],
      { "\ud800": 1 },
      cycle,
      { cycle },
      1n,
      { big: 1n },
      undefined,
      () => 1,
      Symbol("s"),
    ];
    for (const value of none) await expectCode(() => canonicalJson(value), "NOT_CANONICALIZABLE");
  });

  it("refuses what JSON can spell but not keep: an escaped lone surrogate, a number beyond all doubles", async () => {
    for (const text of ['{"a":"\\ud800"}', "[1e400]"]) {
      const value = parseJson(encodeUtf8(text), { maxBytes: 100 });
      expect(value).toEqual(JSON.parse(text));
      await expectCode(() => canonicalJson(value), "NOT_CANONICALIZABLE");
    }
  });
});
