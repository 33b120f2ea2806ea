import { expectCode } from "@fed/core/testing";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodePem, encodePem } from "../src/index.js";

describe("pem", () => {
  it("round-trips any bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 300 }), (der) => {
        const pem = encodePem(der, "CERTIFICATE");
        expect(decodePem(pem, "CERTIFICATE")).toEqual(new Uint8Array(der));
        expect(decodePem(`\n${pem.replaceAll("\n", "\r\n")}\n`, "CERTIFICATE")).toEqual(new Uint8Array(der));
        for (const line of pem.trimEnd().split("\n").slice(1, -1)) expect(line.length).toBeLessThanOrEqual(64);
      }),
      { numRuns: 100 },
    );
  });

  const good = encodePem(Uint8Array.of(1, 2, 3, 4), "CERTIFICATE");
  it.each([
    ["nothing", ""],
    ["another label", encodePem(Uint8Array.of(1), "PRIVATE KEY")],
    ["two objects", good + good],
    ["text before it", `Bag Attributes\n${good}`],
    ["text behind it", `${good}x`],
    ["an empty body", "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"],
    ["only its first line", "-----BEGIN CERTIFICATE-----"],
    ["bad base64", good.replace("AQ", "A*")],
    ["no padding", good.replaceAll("=", "")],
    ["unused bits set", good.replace("BA==", "BB==")],
    ["a space inside", good.replace("AQ", "A Q")],
    ["a header", good.replace("-----\n", "-----\nProc-Type: 4,ENCRYPTED\n\n")],
  ])("refuses %s", async (_, pem) => {
    await expectCode(() => decodePem(pem, "CERTIFICATE"), "PEM_MALFORMED");
  });
});
