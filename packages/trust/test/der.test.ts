import { encodeHex, encodeUtf8 } from "@fed/core";
import { expectCode } from "@fed/core/testing";
import * as asn1js from "asn1js";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readDer, readOid, readTime, readUnsigned } from "../src/der.js";
import { der, leafWith } from "./certificate-world.js";

const bytes = (...values: number[]) => Uint8Array.from(values);

describe("der", () => {
  it("reads what it would have written the same way, and nothing else", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (content) => {
        const encoded = der(0x04, content);
        expect(encodeHex(readDer(encoded).content)).toBe(encodeHex(content));
      }),
      { numRuns: 100 },
    );
  });

  it("ends in DER_MALFORMED on any other bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (input) => {
        try {
          expect(readDer(input).encoded).toHaveLength(input.length);
        } catch (error) {
          expect(error).toMatchObject({ code: "DER_MALFORMED" });
        }
      }),
      { numRuns: 200 },
    );
  });

  const leaf = leafWith();
  it.each([
    ["an indefinite length", new Uint8Array([0x30, 0x80, ...leaf.subarray(4), 0, 0])],
    ["a length with a leading zero", new Uint8Array([0x30, 0x83, 0, ...leaf.subarray(2)])],
  ])("refuses %s, which asn1js reads as the same certificate", async (_, ber) => {
    expect(asn1js.fromBER(ber).offset).toBe(ber.length);
    await expectCode(() => readDer(ber), "DER_MALFORMED");
  });

  it("bounds nesting", async () => {
    let nested = bytes(5, 0);
    for (let i = 0; i < 15; i++) nested = Uint8Array.from(der(0x30, nested));
    expect(readDer(nested).tag).toBe(0x30);
    await expectCode(() => readDer(der(0x30, der(0x30, nested))), "DER_MALFORMED");
  });

  it("reads object identifiers in their only form", async () => {
    expect(readOid(readDer(bytes(6, 3, 0x55, 0x1d, 0x0f)))).toBe("2.5.29.15");
    expect(readOid(readDer(bytes(6, 3, 0x2b, 0x65, 0x70)))).toBe("1.3.101.112");
    expect(readOid(readDer(bytes(6, 3, 0x88, 0x37, 3)))).toBe("2.999.3");
    for (const bad of [bytes(6, 0), bytes(6, 1, 0x80), bytes(6, 3, 0x55, 0x80, 1), bytes(6, 2, 0x55, 0x81)]) {
      await expectCode(() => readOid(readDer(bad)), "DER_MALFORMED");
    }
    const huge = der(6, new Uint8Array(12).fill(0xff), bytes(1));
    await expectCode(() => readOid(readDer(huge)), "DER_MALFORMED");
  });

  it("reads non-negative integers in shortest form", async () => {
    expect(readUnsigned(readDer(bytes(2, 2, 0, 0x80)))).toEqual(bytes(0, 0x80));
    for (const bad of [bytes(2, 0), bytes(2, 1, 0x80), bytes(2, 2, 0, 0x7f), bytes(4, 1, 1)]) {
      await expectCode(() => readUnsigned(readDer(bad)), "DER_MALFORMED");
    }
  });

  it("reads times of RFC 5280, each in its own century", async () => {
    const utc = (text: string) => readTime(readDer(der(0x17, encodeUtf8(text))));
    const generalized = (text: string) => readTime(readDer(der(0x18, encodeUtf8(text))));
    expect(utc("500101000000Z")).toBe(Date.UTC(1950, 0, 1));
    expect(utc("991231235959Z")).toBe(Date.UTC(1999, 11, 31, 23, 59, 59));
    expect(utc("491231235959Z")).toBe(Date.UTC(2049, 11, 31, 23, 59, 59));
    expect(generalized("20500101000000Z")).toBe(Date.UTC(2050, 0, 1));
    await expectCode(() => utc("270229000000Z"), "DER_MALFORMED");
    await expectCode(() => utc("270101240000Z"), "DER_MALFORMED");
    await expectCode(() => generalized("20491231235959Z"), "DER_MALFORMED");
  });
});
