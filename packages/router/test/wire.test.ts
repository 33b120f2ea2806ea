import { readFileSync } from "node:fs";
import { decodeHex, encodeHex, encodeUtf8 } from "@fed/core";
import { expectCode } from "@fed/core/testing";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { limits, RemoteError, RouterError } from "../src/index.js";
import {
  encodeCallHeader,
  encodeError,
  encodeNotification,
  encodeResult,
  newCallId,
  parseAnswer,
  parseBody,
  parseCallHeader,
  parseHeader,
  requestDigest,
} from "../src/wire.js";
import { sha256 } from "./fleet.js";

interface Vectors {
  readonly headers: readonly { readonly name: string; readonly header: string; readonly code?: string }[];
  readonly bodies: readonly { readonly name: string; readonly body: string; readonly code?: string }[];
  readonly answers: readonly {
    readonly name: string;
    readonly hex: string;
    readonly code?: string;
    readonly value?: object;
  }[];
  readonly digests: readonly {
    readonly kind: "call" | "list";
    readonly app: string;
    readonly key?: string;
    readonly body: string;
    readonly sha256: string;
  }[];
}

const vectors: Vectors = JSON.parse(
  readFileSync(new URL("../../../vectors/router/wire.json", import.meta.url), "utf8"),
);

describe("vectors/router/wire.json", () => {
  it.each(vectors.headers)("header: $name", async ({ header, code }) => {
    const parse = () => parseCallHeader(parseHeader(encodeUtf8(header)));
    if (code) await expectCode(parse, code);
    else expect(parse().id).toBe("A".repeat(22));
  });

  it.each(vectors.bodies)("body: $name", async ({ body, code }) => {
    const parse = () => parseBody(encodeUtf8(body));
    if (code) await expectCode(parse, code);
    else expect(parse()).toMatchObject(JSON.parse(body));
  });

  it.each(vectors.answers)("answer: $name", async ({ hex, code, value }) => {
    const parse = () => parseAnswer(decodeHex(hex), "hub", "app");
    if (code) await expectCode(parse, code);
    else expect(parse()).toMatchObject(value!);
  });

  it.each(vectors.digests)("digest: $kind $app $key $body", ({ kind, app, key, body, sha256: expected }) => {
    expect(encodeHex(requestDigest(sha256, kind, app, key, encodeUtf8(body)))).toBe(expected);
  });

  it("were all run", () => {
    const count = Object.values(vectors).reduce((sum, cases) => sum + (Array.isArray(cases) ? cases.length : 0), 0);
    console.info(`vectors/router/wire.json: ${count} cases`);
    expect(count).toBeGreaterThan(60);
  });
});

describe("call header", () => {
  it("comes back as it went", () => {
    const token = fc.string({ minLength: 1, maxLength: 50 });
    const header = fc.record({
      kind: fc.constantFrom("call" as const, "listen" as const),
      app: fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/),
      id: fc.constant(0).map(newCallId),
      envelope: fc.oneof(
        fc.record({ origin: token, hop: token }),
        fc.record({ origin: token, hop: token, via: fc.array(token, { maxLength: 3 }) }),
      ),
      idempotencyKey: fc.option(fc.stringMatching(/^[\x20-\x7e]{1,128}$/), { nil: undefined }),
    });
    fc.assert(
      fc.property(header, (value) => {
        expect(parseCallHeader(parseHeader(encodeCallHeader(value)))).toEqual(value);
      }),
      { numRuns: 200 },
    );
  });
});

describe("answers", () => {
  it("bring any JSON result back as it went", () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 5 }), fc.nat(), (result, size) => {
        const answer = parseAnswer(encodeResult(result, size, limits.bodyBytes), "hub", "app");
        expect(answer).toEqual({ kind: "result", revocationSize: size, result: JSON.parse(JSON.stringify(result)) });
      }),
      { numRuns: 200 },
    );
  });

  it("of any bytes are an answer or a RouterError", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        try {
          parseAnswer(bytes, "hub", undefined);
        } catch (error) {
          expect(error).toBeInstanceOf(RouterError);
        }
      }),
      { numRuns: 200 },
    );
  });

  it("carry an error whatever its details are", () => {
    const cyclic: Record<string, never> = {};
    Object.assign(cyclic, { self: cyclic });
    for (const details of [cyclic, { big: "x".repeat(limits.errorDetailsBytes) }]) {
      const error = new RouterError({ code: "BUSY", message: "m".repeat(9999), hint: "h".repeat(9999), details });
      const answer = parseAnswer(encodeError(error, 1), "hub", "app");
      const expected = expect.objectContaining({ code: "BUSY", details: undefined, hub: "hub", app: "app" });
      expect(answer).toEqual({ kind: "error", revocationSize: 1, error: expected });
    }
    const strange = new RemoteError({ code: "not a code", message: "x", hub: "h" });
    expect(parseAnswer(encodeError(strange, 0), "hub", "app")).toMatchObject({ error: { code: "INTERNAL" } });
  });

  it("refuse what JSON cannot spell or what is too large", async () => {
    await expectCode(() => encodeResult(1n, 0, 100), "APP_FAILED");
    await expectCode(() => encodeResult("x".repeat(100), 0, 100), "RESULT_TOO_LARGE");
    await expectCode(
      () => encodeNotification({ method: "notifications/message", params: "x".repeat(limits.notificationBytes) }),
      "RESULT_TOO_LARGE",
    );
    expect(encodeResult(undefined, 0, 100)).toEqual(encodeResult(null, 0, 100));
  });
});
