import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  concatBytes,
  decodeBase32,
  decodeBase64Url,
  decodeHex,
  decodeUtf8,
  encodeBase32,
  encodeBase64Url,
  encodeHex,
  encodeUtf8,
  equalBytes,
  isFedError,
  randomBytes,
} from "../src/index.js";
import { readVectors } from "./vectors.js";

interface TextForm {
  readonly code: string;
  readonly valid: readonly { name: string; hex: string; text: string }[];
  readonly invalid: readonly { name: string; text: string }[];
}

const forms = {
  base64url: {
    encode: encodeBase64Url,
    decode: decodeBase64Url,
    like: (b: Uint8Array) => Buffer.from(b).toString("base64url"),
  },
  base32: { encode: encodeBase32, decode: decodeBase32, like: undefined },
  hex: { encode: encodeHex, decode: decodeHex, like: (b: Uint8Array) => Buffer.from(b).toString("hex") },
};

const vectors = readVectors<Record<keyof typeof forms, TextForm>>("text-forms");
const bytes = fc.uint8Array({ maxLength: 80 });

for (const name of ["base64url", "base32", "hex"] as const) {
  const { encode, decode, like } = forms[name];
  const { code, valid, invalid } = vectors[name];

  describe(name, () => {
    it.each(valid)("$name", ({ hex, text }) => {
      const value = Uint8Array.from(Buffer.from(hex, "hex"));
      expect(encode(value)).toBe(text);
      expect(decode(text)).toEqual(value);
    });

    it.each(invalid)("refuses $name", ({ text }) => {
      expect(codeOf(() => decode(text))).toBe(code);
    });

    it("gives back what it was given", () => {
      fc.assert(
        fc.property(bytes, (value) => {
          expect(decode(encode(value))).toEqual(value);
          if (like) expect(encode(value)).toBe(like(value));
        }),
        { numRuns: 200 },
      );
    });

    it("accepts only what it would have written", () => {
      const alphabet = fc.constantFrom(..."abcxyz234567AZ019-_+/= \n");
      fc.assert(
        fc.property(fc.string({ unit: alphabet, maxLength: 12 }), (text) => {
          let value: Uint8Array;
          try {
            value = decode(text);
          } catch (error) {
            expect(isFedError(error) && error.code).toBe(code);
            return;
          }
          expect(encode(value)).toBe(text);
        }),
        { numRuns: 200 },
      );
    });
  });
}

describe("utf8", () => {
  it("gives back what it was given", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        expect(decodeUtf8(encodeUtf8(text))).toBe(text.toWellFormed());
      }),
      { numRuns: 200 },
    );
  });

  it("keeps a byte order mark", () => {
    expect(decodeUtf8(Uint8Array.of(0xef, 0xbb, 0xbf, 0x61))).toBe("\ufeffa");
  });

  it("accepts only what it would have written", () => {
    fc.assert(
      fc.property(bytes, (value) => {
        let text: string;
        try {
          text = decodeUtf8(value);
        } catch (error) {
          expect(isFedError(error) && error.code).toBe("INVALID_UTF8");
          return;
        }
        expect(encodeUtf8(text)).toEqual(value);
      }),
      { numRuns: 200 },
    );
  });
});

describe("arrays of bytes", () => {
  it("concatBytes joins in order into a new array", () => {
    const a = Uint8Array.of(1, 2);
    const joined = concatBytes(a, new Uint8Array(0), Uint8Array.of(3));
    expect(joined).toEqual(Uint8Array.of(1, 2, 3));
    expect(concatBytes()).toEqual(new Uint8Array(0));
    const copy = concatBytes(a);
    copy[0] = 9;
    expect(a[0]).toBe(1);
  });

  it("equalBytes agrees with Buffer.equals", () => {
    const small = fc.uint8Array({ maxLength: 3, max: 2 });
    fc.assert(
      fc.property(small, small, (a, b) => {
        expect(equalBytes(a, b)).toBe(Buffer.from(a).equals(b));
      }),
      { numRuns: 200 },
    );
    expect(equalBytes(Uint8Array.of(1, 2, 3), Uint8Array.of(1, 2, 4))).toBe(false);
  });

  it("randomBytes is of the length asked for and does not repeat", () => {
    expect(randomBytes(0).length).toBe(0);
    expect(randomBytes(32).length).toBe(32);
    expect(equalBytes(randomBytes(32), randomBytes(32))).toBe(false);
  });
});

function codeOf(run: () => unknown): string | undefined {
  try {
    run();
  } catch (error) {
    return isFedError(error) ? error.code : String(error);
  }
  return undefined;
}
