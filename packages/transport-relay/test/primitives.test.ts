import { readFileSync } from "node:fs";
import { decodeHex, encodeHex } from "@fed/core";
import { x25519 } from "@noble/curves/ed25519.js";
import createDh from "noise-protocol/dh.js";
import { expect, test } from "vitest";
import * as chachaNoble from "../src/chacha-noble.js";
import * as chachaNode from "../src/chacha-node.js";
import * as ed25519Noble from "../src/ed25519-noble.js";
import * as ed25519Node from "../src/ed25519-node.js";
import * as hmacNoble from "../src/hmac-noble.js";
import * as hmacNode from "../src/hmac-node.js";
import { checkChaCha, checkEd25519, checkX25519, type WycheproofGroup } from "./vector-checks.js";

function wycheproof(name: string): readonly WycheproofGroup[] {
  const file = readFileSync(`${process.env.FED_VECTORS}/wycheproof/${name}_test.json`, "utf8");
  return (JSON.parse(file) as { testGroups: readonly WycheproofGroup[] }).testGroups;
}

test("wycheproof: ChaCha20-Poly1305, both implementations", () => {
  const [count, again] = [chachaNode, chachaNoble].map((chacha) =>
    checkChaCha(wycheproof("chacha20_poly1305"), chacha),
  );
  console.info(`wycheproof chacha20_poly1305: ${count} cases with a 96-bit nonce, 2 implementations`);
  expect(count).toBeGreaterThan(300);
  expect(again).toBe(count);
});

test("wycheproof: X25519 as Noise uses it, both implementations", () => {
  const { dh } = createDh();
  const libsodium = (secretKey: Uint8Array, publicKey: Uint8Array) => {
    const output = new Uint8Array(32);
    dh(output, secretKey, publicKey);
    return output;
  };
  const { count, refused } = checkX25519(wycheproof("x25519"), libsodium);
  console.info(`wycheproof x25519: ${count} cases, ${refused} with an all-zero result refused, 2 implementations`);
  expect(refused).toBeGreaterThan(0);
  expect(checkX25519(wycheproof("x25519"), x25519.getSharedSecret)).toEqual({ count, refused });
});

test("wycheproof: Ed25519, both implementations", () => {
  const [count, again] = [ed25519Node, ed25519Noble].map((ed25519) => checkEd25519(wycheproof("ed25519"), ed25519));
  console.info(`wycheproof ed25519: ${count} cases, 2 implementations`);
  expect(again).toBe(count);
  const seed = new Uint8Array(32).fill(3);
  const message = new Uint8Array([1, 2, 3]);
  expect(ed25519Node.ed25519PublicKey(seed)).toEqual(ed25519Noble.ed25519PublicKey(seed));
  expect(ed25519Node.signEd25519(seed, message)).toEqual(ed25519Noble.signEd25519(seed, message));
});

test("wycheproof: HMAC-SHA-256, both implementations", () => {
  const cases = wycheproof("hmac_sha256").flatMap(({ tests }) => tests);
  for (const { createHmacSha256 } of [hmacNode, hmacNoble]) {
    for (const { tcId, key, msg, tag, result } of cases) {
      const hmac = createHmacSha256(decodeHex(key as string));
      const message = decodeHex(msg as string);
      // In two parts and twice: a key outlives its first message.
      for (const cut of [0, message.length >> 1]) {
        const own = encodeHex(hmac(message.subarray(0, cut), message.subarray(cut)));
        expect(own.startsWith(tag as string), `case ${tcId}`).toBe(result === "valid");
      }
    }
  }
  console.info(`wycheproof hmac_sha256: ${cases.length} cases, 2 implementations`);
  expect(cases.length).toBeGreaterThan(150);
});
