import { execFileSync } from "node:child_process";
import { createPublicKey } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { encodeBase64Url, encodeUtf8 } from "@fed/core";
import { expectCode } from "@fed/core/testing";
import fc from "fast-check";
import { compactVerify, type GeneralJWSInput, generalVerify } from "jose";
import { describe, expect, it } from "vitest";
import { keyId } from "../src/index.js";
import { parseCompact, signCompact, signGeneral, verifyCompact, verifyGeneral } from "../src/jws.js";
import { testKey } from "./certificate-world.js";

const [a, b, c] = [testKey("a"), testKey("b"), testKey("c")];
const typ = "fed-test+jwt";
const limits = { typ, maxBytes: 8192 };
const joseKey = (publicKey: Uint8Array) =>
  createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x: encodeBase64Url(publicKey) }, format: "jwk" });
const text = (value: string) => encodeBase64Url(encodeUtf8(value));

/** A token with any header and payload text, properly signed. */
function forge(header: string, payload: string): string {
  const input = `${text(header)}.${text(payload)}`;
  return `${input}.${encodeBase64Url(a.signer.sign(encodeUtf8(input)))}`;
}

const header = (change: object = {}) => JSON.stringify({ alg: "Ed25519", typ, kid: keyId(a.publicKey), ...change });

describe("compact", () => {
  it("carries a payload that jose and openssl verify", async () => {
    const token = signCompact(typ, { sub: "x", n: 1 }, a.signer);
    const parsed = parseCompact(token, limits);
    verifyCompact(parsed, a.publicKey);
    expect(parsed.payload).toEqual({ sub: "x", n: 1 });
    expect(parsed.kid).toBe(keyId(a.publicKey));
    const foreign = await compactVerify(token, joseKey(a.publicKey), { algorithms: ["Ed25519"] });
    expect(JSON.parse(new TextDecoder().decode(foreign.payload))).toEqual({ sub: "x", n: 1 });

    const folder = mkdtempSync(join(tmpdir(), "fed-jws-"));
    try {
      writeFileSync(join(folder, "key.pem"), joseKey(a.publicKey).export({ format: "pem", type: "spki" }));
      writeFileSync(join(folder, "input"), parsed.signingInput);
      writeFileSync(join(folder, "signature"), parsed.signature);
      const args = [
        "pkeyutl",
        "-verify",
        "-rawin",
        "-pubin",
        "-inkey",
        "key.pem",
        "-in",
        "input",
        "-sigfile",
        "signature",
      ];
      expect(execFileSync("openssl", args, { cwd: folder, encoding: "utf8" })).toContain("Verified Successfully");
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it("is refused under another key", async () => {
    const parsed = parseCompact(signCompact(typ, {}, a.signer), limits);
    await expectCode(() => verifyCompact(parsed, b.publicKey), "BAD_SIGNATURE");
    await expectCode(() => verifyCompact({ ...parsed, kid: keyId(b.publicKey) }, b.publicKey), "BAD_SIGNATURE");
  });

  const good = signCompact(typ, { a: 1 }, a.signer);
  const signature = good.split(".")[2]!;
  // The last character holds two bits; the other four must be zero.
  const twin = signature.slice(0, -1) + String.fromCharCode(signature.charCodeAt(85) + 1);
  it.each([
    ["over the limit", "JWS_TOO_LARGE", forge(header(), JSON.stringify({ a: "x".repeat(9000) }))],
    ["one part", "JWS_MALFORMED", "abc"],
    ["two parts", "JWS_MALFORMED", good.slice(0, good.lastIndexOf("."))],
    ["four parts", "JWS_MALFORMED", `${good}.x`],
    ["five parts, as an encrypted token", "JWS_MALFORMED", "a.b.c.d.e"],
    ["padding", "JWS_MALFORMED", `${good}==`],
    ["a trailing newline", "JWS_MALFORMED", `${good}\n`],
    ["a space inside", "JWS_MALFORMED", good.replace(".", " .")],
    ["the signature's twin with unused bits set", "JWS_MALFORMED", good.replace(signature, twin)],
    ["no signature", "JWS_MALFORMED", good.replace(signature, "")],
    ["alg none", "JWS_UNSUPPORTED", forge(header({ alg: "none" }), "{}")],
    ["alg EdDSA", "JWS_UNSUPPORTED", forge(header({ alg: "EdDSA" }), "{}")],
    ["alg HS256", "JWS_UNSUPPORTED", forge(header({ alg: "HS256" }), "{}")],
    ["no alg", "JWS_UNSUPPORTED", forge(header({ alg: undefined }), "{}")],
    ["a crit extension", "JWS_UNSUPPORTED", forge(header({ crit: ["exp"] }), "{}")],
    ["an empty crit", "JWS_UNSUPPORTED", forge(header({ crit: [] }), "{}")],
    ["another type", "JWS_WRONG_TYPE", forge(header({ typ: "JWT" }), "{}")],
    ["no type", "JWS_WRONG_TYPE", forge(header({ typ: undefined }), "{}")],
    ["no key id", "JWS_MALFORMED", forge(header({ kid: undefined }), "{}")],
    ["a key of its own", "JWS_MALFORMED", forge(header({ jwk: {} }), "{}")],
    ["an unencoded payload", "JWS_MALFORMED", forge(header({ b64: false }), "{}")],
    ["a header key twice", "JWS_MALFORMED", forge(header().replace("{", '{"alg":"none",'), "{}")],
    ["a header that is too long", "JWS_MALFORMED", forge(header({ kid: "x".repeat(500) }), "{}")],
    ["a payload key twice", "JWS_MALFORMED", forge(header(), '{"a":1,"\\u0061":2}')],
    ["a payload that is no object", "JWS_MALFORMED", forge(header(), "[]")],
    ["a payload of null", "JWS_MALFORMED", forge(header(), "null")],
    ["a payload that is not JSON", "JWS_MALFORMED", forge(header(), "{a:1}")],
    ["a payload nested too deeply", "JWS_MALFORMED", forge(header(), `{"a":${"[".repeat(40)}${"]".repeat(40)}}`)],
  ])("with %s is %s", async (_, code, token) => {
    await expectCode(() => parseCompact(token, limits), code);
  });

  it("has one spelling: no change of a character goes unnoticed", () => {
    const judge = (token: string) => verifyCompact(parseCompact(token, limits), a.publicKey);
    judge(good);
    fc.assert(
      fc.property(fc.nat(good.length - 1), fc.string({ minLength: 0, maxLength: 2 }), (at, other) => {
        const changed = good.slice(0, at) + other + good.slice(at + 1);
        fc.pre(changed !== good);
        expect(() => judge(changed)).toThrow(expect.objectContaining({ code: expect.stringMatching(/^JWS_|^BAD_S/) }));
      }),
      { numRuns: 200 },
    );
  });
});

describe("general", () => {
  const payload = encodeUtf8('{"a":1}');
  const keys = new Map([a, b, c].map(({ publicKey }) => [keyId(publicKey), publicKey]));
  const demands = { typ, maxBytes: 1024, keys, threshold: 2 };
  const good = signGeneral(typ, payload, [a.signer, b.signer]);

  it("carries bytes that jose verifies under either key", async () => {
    expect(verifyGeneral(good, demands)).toEqual({ payload, signedBy: [keyId(a.publicKey), keyId(b.publicKey)] });
    for (const { publicKey } of [a, b]) {
      const foreign = await generalVerify(good as GeneralJWSInput, joseKey(publicKey), { algorithms: ["Ed25519"] });
      expect(new Uint8Array(foreign.payload)).toEqual(payload);
    }
  });

  it("survives JSON", () => {
    expect(verifyGeneral(JSON.parse(JSON.stringify(good)), demands).signedBy).toHaveLength(2);
  });

  it("counts only known keys, each once", async () => {
    const onlyA = new Map([[keyId(a.publicKey), a.publicKey]]);
    expect(verifyGeneral(good, { ...demands, keys: onlyA, threshold: 1 }).signedBy).toEqual([keyId(a.publicKey)]);
    await expectCode(() => verifyGeneral(good, { ...demands, keys: onlyA }), "TOO_FEW_SIGNATURES");
    const twice = { ...good, signatures: [good.signatures[0], good.signatures[0]] };
    await expectCode(() => verifyGeneral(twice, demands), "JWS_MALFORMED");
  });

  it("is never satisfied by nobody", async () => {
    const none = { ...demands, keys: new Map(), threshold: 0 };
    await expectCode(() => verifyGeneral(good, none), "TOO_FEW_SIGNATURES");
  });

  it("accepts a payload of exactly the limit and none beyond", async () => {
    for (const size of [1022, 1023, 1024]) {
      const jws = signGeneral(typ, new Uint8Array(size), [a.signer, b.signer]);
      expect(verifyGeneral(jws, demands).payload).toHaveLength(size);
    }
    const tooLarge = signGeneral(typ, new Uint8Array(1025), [a.signer, b.signer]);
    await expectCode(() => verifyGeneral(tooLarge, demands), "JWS_TOO_LARGE");
  });

  it("ends in a typed error whatever it is handed", () => {
    fc.assert(
      fc.property(fc.anything(), (value) => {
        expect(() => verifyGeneral(value, demands)).toThrow(
          expect.objectContaining({ code: expect.stringMatching(/^JWS_/) }),
        );
      }),
      { numRuns: 200 },
    );
  });
});
