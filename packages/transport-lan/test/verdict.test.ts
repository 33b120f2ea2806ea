import { readFileSync } from "node:fs";
import { concatBytes, decodeHex, FedError } from "@fed/core";
import { expectCode } from "@fed/core/testing";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { encodeFrameHeader, FrameReader } from "../src/framing.js";
import { decodeVerdict, encodeAccept, encodeRefuse, maxVerdictBytes } from "../src/verdict.js";

interface Vectors {
  readonly valid: readonly {
    readonly name: string;
    readonly frame: string;
    readonly accepted: boolean;
    readonly maxMessageBytes?: number;
    readonly code?: string;
  }[];
  readonly invalid: readonly { readonly name: string; readonly frame: string; readonly code: string }[];
}

const vectors = JSON.parse(
  readFileSync(new URL("../../../vectors/transport-lan/verdict.json", import.meta.url), "utf8"),
) as Vectors;

function read(frame: string) {
  const reader = new FrameReader(maxVerdictBytes);
  reader.push(decodeHex(frame));
  return decodeVerdict(reader.next()!);
}

describe("verdict vectors", () => {
  it.each(vectors.valid)("$name", ({ frame, accepted, maxMessageBytes, code }) => {
    const verdict = read(frame);
    expect(verdict.accepted).toBe(accepted);
    if (verdict.accepted) {
      expect(verdict.maxMessageBytes).toBe(maxMessageBytes);
      const body = encodeAccept(verdict.maxMessageBytes);
      expect(concatBytes(encodeFrameHeader(body.length), body)).toEqual(decodeHex(frame));
    } else {
      expect(verdict.error.code).toBe(code);
    }
  });

  it.each(vectors.invalid)("$name", async ({ frame, code }) => {
    await expectCode(() => read(frame), code);
  });

  it("ran", () => {
    console.info(`Verdict vectors: ${vectors.valid.length} valid, ${vectors.invalid.length} invalid.`);
  });
});

describe("refusals", () => {
  it("arrive with code, message and hint, whatever the texts hold, within the limit", () => {
    fc.assert(
      fc.property(
        fc.string({ unit: "binary", maxLength: 2_000 }),
        fc.option(fc.string({ maxLength: 900 })),
        (message, hint) => {
          const error = new FedError({ code: "SOME_CODE", message, ...(hint === null ? {} : { hint }) });
          const bytes = encodeRefuse(error);
          expect(bytes.length).toBeLessThanOrEqual(maxVerdictBytes);
          const verdict = decodeVerdict(bytes);
          if (verdict.accepted) return expect.fail("accepted");
          expect(verdict.error.code).toBe("SOME_CODE");
          expect(`${verdict.error.message}${verdict.error.hint ?? ""}`).not.toMatch(/\p{Cc}/u);
        },
      ),
      { numRuns: 150 },
    );
  });

  it("random bytes end in HANDSHAKE_MALFORMED", async () => {
    for (const bytes of fc.sample(fc.uint8Array({ minLength: 1, maxLength: 60 }), { numRuns: 100, seed: 1 })) {
      if (bytes[0] === 1 && bytes.length === 5) continue;
      await expectCode(() => decodeVerdict(bytes), "HANDSHAKE_MALFORMED");
    }
  });
});
