import { createPrivateKey, createPublicKey } from "node:crypto";
import { readFileSync } from "node:fs";
import { decodeHex, encodeHex, encodeUtf8 } from "@fed/core";
import { expectCode } from "@fed/core/testing";
import fc from "fast-check";
import { calculateJwkThumbprint } from "jose";
import { describe, expect, it } from "vitest";
import { importStrictVerifier } from "../src/ed25519.js";
import * as noble from "../src/ed25519-noble.js";
import * as node from "../src/ed25519-node.js";
import {
  createSigner,
  encodePrivateKeyPem,
  encodeSpki,
  generateKeyPair,
  keyId,
  keyPairFromSecret,
  sha256,
  spkiHash,
  verifySignature,
} from "../src/index.js";

const platforms = { node, noble };
const vectors = process.env.FED_VECTORS!;

/** RFC 8032 §7.1, TEST 2. */
const rfc8032 = {
  secret: "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
  public: "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
  message: "72",
  signature:
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
};

describe.each(Object.entries(platforms))("ed25519 on %s", (name, ed25519) => {
  it("signs as RFC 8032 does", () => {
    const secret = decodeHex(rfc8032.secret);
    expect(encodeHex(ed25519.publicKeyOf(secret))).toBe(rfc8032.public);
    expect(encodeHex(ed25519.importSigner(secret)(decodeHex(rfc8032.message)))).toBe(rfc8032.signature);
  });

  it("agrees with every Wycheproof case", () => {
    const file = JSON.parse(readFileSync(`${vectors}/wycheproof/ed25519_test.json`, "utf8")) as {
      testGroups: {
        publicKey: { pk: string };
        tests: { tcId: number; msg: string; sig: string; result: "valid" | "invalid" }[];
      }[];
    };
    const counts = { valid: 0, invalid: 0 };
    for (const group of file.testGroups) {
      const verify = importStrictVerifier(ed25519, decodeHex(group.publicKey.pk));
      for (const test of group.tests) {
        expect(verify(decodeHex(test.msg), decodeHex(test.sig)), `tcId ${test.tcId}`).toBe(test.result === "valid");
        counts[test.result]++;
      }
    }
    console.info(`wycheproof ed25519 on ${name}: ${counts.valid} valid and ${counts.invalid} invalid cases`);
    expect(counts).toEqual({ valid: 88, invalid: 63 });
  });

  it("hashes as FIPS 180-4 does", () => {
    expect(encodeHex(ed25519.sha256(encodeUtf8("abc")))).toBe(
      "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    );
  });
});

describe("one verification rule", () => {
  const cases = JSON.parse(readFileSync(`${vectors}/cctv/ed25519vectors.json`, "utf8")) as {
    key: string;
    sig: string;
    msg: string;
  }[];

  it("gives the same verdict on every CCTV edge case on both platforms", () => {
    let accepted = 0;
    for (const { key, sig, msg } of cases) {
      const verdicts = Object.values(platforms).map((ed25519) =>
        importStrictVerifier(ed25519, decodeHex(key))(encodeUtf8(msg), decodeHex(sig)),
      );
      expect(verdicts[0], `${key} ${sig}`).toBe(verdicts[1]);
      if (verdicts[0]) accepted++;
    }
    console.info(`cctv ed25519: ${cases.length} cases, ${accepted} accepted by node and noble alike`);
    expect(cases.length).toBe(914);
    expect(accepted).toBe(43);
  });

  it("accepts no key of small order", () => {
    let [accepted, badKey, badSignature] = [0, 0, 0];
    for (const { key, sig, msg } of cases) {
      try {
        verifySignature(decodeHex(key), encodeUtf8(msg), decodeHex(sig));
        accepted++;
      } catch (error) {
        const { code } = error as { code: string };
        if (code === "BAD_KEY") badKey++;
        else if (code === "BAD_SIGNATURE") badSignature++;
        else throw error;
      }
    }
    console.info(
      `cctv through verifySignature: ${accepted} accepted, ${badKey} bad keys, ${badSignature} bad signatures`,
    );
    expect(accepted + badKey + badSignature).toBe(914);
    expect(badKey).toBeGreaterThan(0);
  });

  it("gives the same verdict on mutated signatures", () => {
    const pair = keyPairFromSecret(new Uint8Array(32).fill(7));
    const message = encodeUtf8("message");
    const good = createSigner(pair.secretKey).sign(message);
    const verifiers = Object.values(platforms).map((ed25519) => importStrictVerifier(ed25519, pair.publicKey));
    fc.assert(
      fc.property(fc.nat(511), (bit) => {
        const bad = good.slice();
        bad[bit >> 3]! ^= 1 << (bit & 7);
        expect(verifiers.map((verify) => verify(message, bad))).toEqual([false, false]);
      }),
      { numRuns: 50 },
    );
  });
});

describe("keys", () => {
  it("makes fresh pairs whose signatures verify", async () => {
    const [a, b] = [generateKeyPair(), generateKeyPair()];
    expect(a.secretKey).not.toEqual(b.secretKey);
    const message = encodeUtf8("hello");
    const signature = createSigner(a.secretKey).sign(message);
    verifySignature(a.publicKey, message, signature);
    await expectCode(() => verifySignature(b.publicKey, message, signature), "BAD_SIGNATURE");
    await expectCode(() => verifySignature(a.publicKey, encodeUtf8("hellO"), signature), "BAD_SIGNATURE");
    await expectCode(() => verifySignature(a.publicKey, message, signature.subarray(1)), "BAD_SIGNATURE");
  });

  it("names keys as RFC 7638 does", async () => {
    const { publicKey } = keyPairFromSecret(decodeHex(rfc8032.secret));
    const jwk = createPublicKey(encodePrivateKeyPem(decodeHex(rfc8032.secret))).export({ format: "jwk" });
    expect(keyId(publicKey)).toBe(await calculateJwkThumbprint(jwk as never));
  });

  it("encodes keys as node:crypto does", () => {
    const { secretKey, publicKey } = keyPairFromSecret(decodeHex(rfc8032.secret));
    const pem = encodePrivateKeyPem(secretKey);
    expect(pem).toBe(createPrivateKey(pem).export({ format: "pem", type: "pkcs8" }));
    const spki = createPublicKey(pem).export({ format: "der", type: "spki" });
    expect(encodeHex(encodeSpki(publicKey))).toBe(spki.toString("hex"));
    expect(spkiHash(publicKey)).toBe(Buffer.from(sha256(spki)).toString("base64url"));
  });

  it("refuses what is no key", async () => {
    for (const length of [0, 31, 33, 64]) {
      const bytes = new Uint8Array(length).fill(1);
      await expectCode(() => keyPairFromSecret(bytes), "BAD_KEY");
      await expectCode(() => createSigner(bytes), "BAD_KEY");
      await expectCode(() => encodeSpki(bytes), "BAD_KEY");
      await expectCode(() => verifySignature(bytes, bytes, new Uint8Array(64)), "BAD_KEY");
    }
    await expectCode(() => verifySignature(new Uint8Array(32), new Uint8Array(0), new Uint8Array(64)), "BAD_KEY");
  });

  it("goes on verifying after more keys than it keeps imported", async () => {
    const pair = keyPairFromSecret(new Uint8Array(32).fill(9));
    const signature = createSigner(pair.secretKey).sign(encodeUtf8("x"));
    verifySignature(pair.publicKey, encodeUtf8("x"), signature);
    for (let i = 0; i < 1100; i++) {
      const other = sha256(encodeUtf8(String(i)));
      await expectCode(() => verifySignature(other, encodeUtf8("x"), signature), "BAD_SIGNATURE");
    }
    verifySignature(pair.publicKey, encodeUtf8("x"), signature);
  });
});
