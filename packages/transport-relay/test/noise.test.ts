import { readFileSync } from "node:fs";
import { expectCode } from "@fed/core/testing";
import { expect, test } from "vitest";
import * as chachaNode from "../src/chacha-node.js";
import { generateNoiseKeyPair, noiseIk } from "../src/noise.js";
import { createNoiseDh } from "../src/noise-dh-node.js";
import { type CacophonyVector, checkCacophony } from "./vector-checks.js";

const { vectors } = JSON.parse(readFileSync(`${process.env.FED_VECTORS}/noise/cacophony-ik.json`, "utf8")) as {
  vectors: readonly CacophonyVector[];
};

test("the cacophony vectors of IK with BLAKE2b, transport messages included", () => {
  const messages = checkCacophony(vectors, createNoiseDh(), chachaNode);
  console.info(`cacophony IK BLAKE2b: ${messages} messages`);
  expect(messages).toBe(6);
});

test("a handshake is bound to its keys and prologue, and every byte of it counts", async () => {
  const [a, b, other] = [generateNoiseKeyPair(), generateNoiseKeyPair(), generateNoiseKeyPair()];
  const prologue = new Uint8Array([1, 2, 3]);
  const start = () => noiseIk.createInitiator({ keyPair: a, responderKey: b.publicKey, prologue });
  const message1 = start().writeMessage1(new Uint8Array(40));
  const read = (message: Uint8Array, keyPair = b, prologueThere = prologue) =>
    noiseIk.createResponder({ keyPair, prologue: prologueThere }).readMessage1(message);
  expect(read(message1).initiatorKey).toEqual(a.publicKey);
  await expectCode(() => read(message1, other), "HANDSHAKE_FAILED");
  await expectCode(() => read(message1, b, new Uint8Array([1, 2, 4])), "HANDSHAKE_FAILED");
  for (let i = 0; i < message1.length; i++) {
    const flipped = message1.slice();
    flipped[i]! ^= 1;
    await expectCode(() => read(flipped), "HANDSHAKE_FAILED");
    await expectCode(() => read(message1.subarray(0, i)), "HANDSHAKE_FAILED");
  }
  const initiator = start();
  const responder = noiseIk.createResponder({ keyPair: b, prologue });
  responder.readMessage1(initiator.writeMessage1(new Uint8Array(0)));
  const { message } = responder.writeMessage2(new Uint8Array(3));
  message[message.length - 1]! ^= 1;
  await expectCode(() => initiator.readMessage2(message), "HANDSHAKE_FAILED");
});

test("a responder key of low order is refused", async () => {
  const initiator = noiseIk.createInitiator({
    keyPair: generateNoiseKeyPair(),
    responderKey: new Uint8Array(32),
    prologue: new Uint8Array(0),
  });
  await expectCode(() => initiator.writeMessage1(new Uint8Array(0)), "HANDSHAKE_FAILED");
});
