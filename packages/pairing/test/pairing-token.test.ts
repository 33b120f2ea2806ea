import { readFileSync } from "node:fs";
import { decodeHex } from "@fed/core";
import { expectCode } from "@fed/core/testing";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { formatPairingToken, generateSecret, type PairingToken, parsePairingToken } from "../src/index.js";

interface Vectors {
  valid: { name: string; text: string; secret: string; pin: string; hints: string[] }[];
  invalid: { name: string; text: string; code: string }[];
}
const vectors = JSON.parse(
  readFileSync(new URL("../../../vectors/pairing/token.json", import.meta.url), "utf8"),
) as Vectors;

describe("vectors/pairing/token.json", () => {
  it.each(vectors.valid)("valid: $name", ({ text, secret, pin, hints }) => {
    const token = { secret, pin: decodeHex(pin), hints };
    expect(parsePairingToken(text)).toEqual(token);
    expect(formatPairingToken(token)).toBe(text);
  });

  it.each(vectors.invalid)("invalid: $name", async ({ text, code }) => {
    await expectCode(() => parsePairingToken(text), code);
  });

  it("has cases", () => {
    console.info(`token.json: ${vectors.valid.length} valid, ${vectors.invalid.length} invalid cases ran`);
    expect(vectors.valid.length).toBeGreaterThanOrEqual(4);
    expect(vectors.invalid.length).toBeGreaterThanOrEqual(25);
  });
});

const good: PairingToken = { secret: generateSecret(), pin: new Uint8Array(32).fill(1), hints: ["lan:10.0.0.1:7000"] };

describe("formatPairingToken", () => {
  it("is undone by parsePairingToken", () => {
    const visible = fc.string({
      unit: fc.integer({ min: 0x21, max: 0x7e }).map((c) => String.fromCharCode(c)),
      minLength: 1,
    });
    const hint = fc.tuple(fc.stringMatching(/^[a-z]{1,16}$/), visible).map(([scheme, rest]) => `${scheme}:${rest}`);
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 32, maxLength: 32 }),
        fc.array(hint, { minLength: 1, maxLength: 8 }),
        (pin, hints) => {
          const token = { secret: generateSecret(), pin: Uint8Array.from(pin), hints };
          expect(parsePairingToken(formatPairingToken(token))).toEqual(token);
        },
      ),
      { numRuns: 200 },
    );
  });

  it("refuses what parsePairingToken would refuse", async () => {
    const bad: Partial<PairingToken>[] = [
      { secret: "short" },
      { secret: good.secret.toUpperCase() },
      { pin: new Uint8Array(31) },
      { hints: [] },
      { hints: Array(9).fill("lan:a") },
      { hints: ["nocolon"] },
      { hints: ["lan:"] },
      { hints: ["lan:a b"] },
      { hints: [`lan:${"a".repeat(8192)}`] },
    ];
    for (const change of bad) await expectCode(() => formatPairingToken({ ...good, ...change }), "TOKEN_MALFORMED");
  });
});

describe("parsePairingToken", () => {
  it("accepts one spelling of each token, and says nothing of its parts", () => {
    const text = formatPairingToken(good);
    fc.assert(
      fc.property(fc.nat(text.length - 1), fc.string({ minLength: 0, maxLength: 2 }), (at, put) => {
        const changed = text.slice(0, at) + put + text.slice(at + 1);
        try {
          expect(formatPairingToken(parsePairingToken(changed))).toBe(changed);
        } catch (error) {
          expect(error).toMatchObject({ code: "TOKEN_MALFORMED" });
          expect((error as Error).cause).toBeUndefined();
          expect((error as Error).message).not.toContain(good.secret);
        }
      }),
      { numRuns: 200 },
    );
  });

  it("ends in TOKEN_MALFORMED for any text", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          fc.string(),
          fc.string().map((s) => `fedpair1.${s}`),
        ),
        async (text) => {
          await expectCode(() => parsePairingToken(text), "TOKEN_MALFORMED");
        },
      ),
      { numRuns: 200 },
    );
  });
});

describe("generateSecret", () => {
  it("uses every character at every place", () => {
    const secrets = Array.from({ length: 2000 }, generateSecret);
    for (const secret of secrets) expect(secret).toMatch(/^[a-z2-7]{26}$/);
    expect(new Set(secrets).size).toBe(2000);
    for (let i = 0; i < 26; i++) expect(new Set(secrets.map((secret) => secret[i])).size).toBe(32);
  });
});
