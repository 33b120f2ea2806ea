import { randomBytes } from "@fed/core";
import fc from "fast-check";
import { expect, test } from "vitest";
import { decodePlaintext, encodePlaintext, paddedLength } from "../src/plaintext.js";

test("what a record carries survives its padding", () => {
  const bodies = fc.oneof(fc.nat(1_100), fc.constantFrom(0, 8, 49_152)).map(randomBytes);
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 255 }), fc.nat(2 ** 48 - 1), bodies, (type, number, body) => {
      const plaintext = encodePlaintext(type, number, body);
      expect(decodePlaintext(plaintext)).toEqual({ type, number, body });
      expect(plaintext.length).toBe(paddedLength(9 + body.length));
    }),
    { numRuns: 200 },
  );
});

test("records that control a connection have two sizes", () => {
  // CONFIRM, ACCEPT, a clean CLOSE; ACK; REKEY_ANSWER; a CLOSE with the longest code; REKEY_REQUEST.
  const sizes = [0, 8, 48, 64, 96].map((length) => encodePlaintext(0, 0, new Uint8Array(length)).length);
  expect(sizes).toEqual([64, 64, 64, 128, 128]);
  expect([1_015, 1_016, 49_152].map((length) => encodePlaintext(0, 0, new Uint8Array(length)).length)).toEqual([
    1_024, 1_025, 49_161,
  ]);
});

test("padding that is not zero is refused", () => {
  const plaintext = encodePlaintext(2, 5, new Uint8Array(20));
  for (let i = 29; i < 64; i++) {
    const changed = plaintext.slice();
    changed[i] = 1;
    expect(decodePlaintext(changed)).toBeUndefined();
  }
});

test("padding of any other length is refused", () => {
  const plaintext = encodePlaintext(2, 5, new Uint8Array(20));
  for (let padding = 0; padding < 65_536; padding++) {
    const changed = plaintext.slice();
    new DataView(changed.buffer).setUint16(1, padding);
    expect(decodePlaintext(changed) !== undefined).toBe(padding <= 55);
  }
  for (let length = 0; length < 64; length++) expect(decodePlaintext(plaintext.subarray(0, length))).toBeUndefined();
  const long = encodePlaintext(2, 5, new Uint8Array(2_000));
  new DataView(long.buffer).setUint16(1, 1);
  expect(decodePlaintext(long)).toBeUndefined();
});
