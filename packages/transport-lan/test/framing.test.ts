import { concatBytes, equalBytes } from "@fed/core";
import { expectCode } from "@fed/core/testing";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { encodeFrameHeader, FrameReader } from "../src/framing.js";

const limit = 100_000;

function frames(messages: readonly Uint8Array[]): Uint8Array {
  return concatBytes(...messages.flatMap((message) => [encodeFrameHeader(message.length), message]));
}

describe("FrameReader", () => {
  it("returns the same messages however the stream is cut", () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ minLength: 1, maxLength: 600 }), { maxLength: 12 }),
        fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1, maxLength: 8 }),
        (messages, cuts) => {
          const stream = frames(messages);
          const reader = new FrameReader(limit);
          const read: Uint8Array[] = [];
          for (let offset = 0, i = 0; offset < stream.length; i++) {
            const size = cuts[i % cuts.length]!;
            reader.push(stream.slice(offset, offset + size));
            offset += size;
            for (let message = reader.next(); message; message = reader.next()) read.push(message);
          }
          expect(read.length).toBe(messages.length);
          expect(read.every((message, i) => equalBytes(message, messages[i]!))).toBe(true);
          expect(reader.midway).toBe(false);
        },
      ),
      { numRuns: 200 },
    );
  });

  it("does not copy a message that lies inside one chunk", () => {
    const chunk = frames([Uint8Array.of(1, 2), Uint8Array.of(3)]);
    const reader = new FrameReader(limit);
    reader.push(chunk);
    const [first, second] = [reader.next()!, reader.next()!];
    expect([...first, ...second]).toEqual([1, 2, 3]);
    expect(first.buffer).toBe(chunk.buffer);
    expect(second.buffer).toBe(chunk.buffer);
  });

  it("checks a length before it takes memory", async () => {
    const reader = new FrameReader(limit);
    reader.push(encodeFrameHeader(limit + 1));
    await expectCode(() => reader.next(), "FRAME_TOO_LARGE");
    const huge = new FrameReader(limit);
    huge.push(Uint8Array.of(255, 255, 255, 255));
    await expectCode(() => huge.next(), "FRAME_TOO_LARGE");
    const empty = new FrameReader(limit);
    empty.push(encodeFrameHeader(0));
    await expectCode(() => empty.next(), "FRAME_EMPTY");
  });

  it("knows when an end would cut something off", () => {
    const reader = new FrameReader(limit);
    expect(reader.midway).toBe(false);
    reader.push(Uint8Array.of(0, 0));
    expect(reader.next()).toBeUndefined();
    expect(reader.midway).toBe(true);
    reader.push(Uint8Array.of(0, 2, 7));
    expect(reader.next()).toBeUndefined();
    expect(reader.midway).toBe(true);
    reader.push(Uint8Array.of(8));
    expect(reader.next()).toEqual(Uint8Array.of(7, 8));
    expect(reader.midway).toBe(false);
  });

  it("reassembles in linear time: twice the size, about twice the copies", () => {
    const stream = frames([new Uint8Array(limit)]);
    const reader = new FrameReader(limit);
    // One byte at a time: anything quadratic would copy five billion bytes here.
    for (const byte of stream) {
      reader.push(Uint8Array.of(byte));
      reader.next();
    }
    expect(reader.midway).toBe(false);
  });
});
