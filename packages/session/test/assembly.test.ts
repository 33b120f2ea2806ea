import { concatBytes } from "@fed/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Assembly } from "../src/assembly.js";

const maxBytes = 1024 * 1024;

describe("a message in the making", () => {
  it("is its chunks in order, whatever their sizes and whatever buffers they lie in", () => {
    const chunk = fc.record({
      length: fc.integer({ min: 1, max: 10_000 }),
      around: fc.integer({ min: 0, max: 20_000 }),
    });
    fc.assert(
      fc.property(fc.array(chunk, { minLength: 1, maxLength: 20 }), (sizes) => {
        const assembly = new Assembly(maxBytes);
        const chunks = sizes.map(({ length, around }, i) =>
          new Uint8Array(length + around).subarray(around).fill(i + 1),
        );
        for (const one of chunks) assembly.append(one);
        expect(assembly.length).toBe(chunks.reduce((sum, { length }) => sum + length, 0));
        expect(assembly.finish()).toEqual(concatBytes(...chunks));
      }),
    );
  });

  it("keeps a chunk as it came only if its buffer holds little else", () => {
    const dense = new Uint8Array(8192);
    const kept = new Assembly(maxBytes);
    kept.append(dense);
    expect(kept.finish().buffer).toBe(dense.buffer);
    const sparse = new Uint8Array(65_536).subarray(0, 8192);
    const copied = new Assembly(maxBytes);
    copied.append(sparse);
    expect(copied.finish().buffer.byteLength).toBeLessThanOrEqual(2 * 8192);
  });
});
