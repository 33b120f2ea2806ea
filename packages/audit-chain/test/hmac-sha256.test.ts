import { createHmac } from "node:crypto";
import { readFileSync } from "node:fs";
import { decodeHex, encodeHex } from "@fed/core";
import { describe, expect, it } from "vitest";
import { createHmacSha256 as createNoble } from "../src/hmac-sha256-noble.js";
import { createHmacSha256 as createNode } from "../src/hmac-sha256-node.js";

interface Vectors {
  testGroups: {
    tagSize: number;
    tests: { tcId: number; key: string; msg: string; tag: string; result: "valid" | "invalid" }[];
  }[];
}
const vectors = JSON.parse(
  readFileSync(`${process.env.FED_VECTORS}/wycheproof/hmac_sha256_test.json`, "utf8"),
) as Vectors;

describe.each([
  ["node:crypto", createNode],
  ["@noble/hashes", createNoble],
])("HMAC-SHA-256 by %s", (name, createHmacSha256) => {
  it("agrees with wycheproof", () => {
    let cases = 0;
    for (const { tagSize, tests } of vectors.testGroups) {
      for (const { tcId, key, msg, tag, result } of tests) {
        const message = decodeHex(msg);
        const mac = createHmacSha256(decodeHex(key));
        const ours = encodeHex(mac(message)).slice(0, tagSize / 4);
        expect(ours === tag, `tcId ${tcId}`).toBe(result === "valid");
        expect(encodeHex(mac(message.subarray(0, 3), message.subarray(3))).slice(0, tagSize / 4)).toBe(ours);
        cases++;
      }
    }
    console.info(`${name}: ${cases} wycheproof HMAC-SHA-256 cases ran`);
    expect(cases).toBe(174);
  });

  it("agrees with an Hmac object whatever the length", () => {
    const key = new Uint8Array(32).fill(3);
    const mac = createHmacSha256(key);
    for (const length of [0, 4031, 4032, 4033, 66_000]) {
      const message = Uint8Array.from({ length }, (_, i) => i);
      expect(encodeHex(mac(message))).toBe(createHmac("sha256", key).update(message).digest("hex"));
    }
  });

  it("keeps its own copy of the key", () => {
    const key = new Uint8Array(32).fill(1);
    const mac = createHmacSha256(key);
    const before = mac(key.slice());
    key.fill(2);
    expect(mac(new Uint8Array(32).fill(1))).toEqual(before);
  });
});
