import { readFileSync } from "node:fs";
import { concatBytes, decodeHex, encodeHex } from "@fed/core";
import createDh from "noise-protocol/dh.js";
import { expect, test } from "vitest";
import * as chachaNoble from "../src/chacha-noble.js";
import * as chachaNode from "../src/chacha-node.js";
import * as ed25519Noble from "../src/ed25519-noble.js";
import * as ed25519Node from "../src/ed25519-node.js";

interface Case {
  readonly tcId: number;
  readonly flags: readonly string[];
  readonly result: "valid" | "invalid" | "acceptable";
  readonly [field: string]: unknown;
}
interface Group {
  readonly publicKey?: { readonly pk: string };
  readonly tests: readonly Case[];
}

function wycheproof(name: string): readonly Group[] {
  const file = readFileSync(`${process.env.FED_VECTORS}/wycheproof/${name}_test.json`, "utf8");
  return (JSON.parse(file) as { testGroups: readonly Group[] }).testGroups;
}

const hex = (value: unknown) => decodeHex(value as string);

test("wycheproof: ChaCha20-Poly1305, both implementations", () => {
  let count = 0;
  for (const { tests } of wycheproof("chacha20_poly1305")) {
    for (const { key, iv, aad, msg, ct, tag, result, tcId } of tests) {
      if (hex(iv).length !== 12) continue;
      count++;
      const sealed = concatBytes(hex(ct), hex(tag));
      for (const { openChaCha, sealChaCha } of [chachaNode, chachaNoble]) {
        const opened = openChaCha(hex(key), hex(iv), hex(aad), sealed);
        if (result === "invalid") expect(opened, `tcId ${tcId}`).toBeUndefined();
        else {
          expect(encodeHex(opened!), `tcId ${tcId}`).toBe(msg);
          expect(sealChaCha(hex(key), hex(iv), hex(aad), hex(msg))).toEqual(sealed);
        }
      }
    }
  }
  console.info(`wycheproof chacha20_poly1305: ${count} cases with a 96-bit nonce, 2 implementations`);
  expect(count).toBeGreaterThan(300);
});

test("wycheproof: X25519 as noise-protocol does it", () => {
  const { dh } = createDh();
  let count = 0;
  let refused = 0;
  for (const { tests } of wycheproof("x25519")) {
    for (const { public: publicKey, private: secretKey, shared, flags, tcId } of tests) {
      count++;
      const output = new Uint8Array(32);
      const run = () => dh(output, hex(secretKey), hex(publicKey));
      if (flags.includes("ZeroSharedSecret")) {
        expect(run, `tcId ${tcId}`).toThrow();
        refused++;
      } else {
        run();
        expect(encodeHex(output), `tcId ${tcId}`).toBe(shared);
      }
    }
  }
  console.info(`wycheproof x25519: ${count} cases, ${refused} with an all-zero result refused`);
  expect(refused).toBeGreaterThan(0);
});

test("wycheproof: Ed25519, both implementations", () => {
  let count = 0;
  for (const { publicKey, tests } of wycheproof("ed25519")) {
    for (const { msg, sig, result, tcId } of tests) {
      count++;
      for (const { verifyEd25519 } of [ed25519Node, ed25519Noble]) {
        expect(verifyEd25519(hex(publicKey!.pk), hex(sig), hex(msg)), `tcId ${tcId}`).toBe(result === "valid");
      }
    }
  }
  console.info(`wycheproof ed25519: ${count} cases, 2 implementations`);
  const seed = new Uint8Array(32).fill(3);
  const message = new Uint8Array([1, 2, 3]);
  expect(ed25519Node.ed25519PublicKey(seed)).toEqual(ed25519Noble.ed25519PublicKey(seed));
  expect(ed25519Node.signEd25519(seed, message)).toEqual(ed25519Noble.signEd25519(seed, message));
});
