import { readFileSync } from "node:fs";
import { expectCode } from "@fed/core/testing";
import { describe, expect, test } from "vitest";
import * as chachaNode from "../src/chacha-node.js";
import { generateNoiseKeyPair } from "../src/noise.js";
import * as noiseSuiteNoble from "../src/noise-suite-noble.js";
import * as noiseSuiteNode from "../src/noise-suite-node.js";
import { type CacophonyVector, checkCacophony } from "./vector-checks.js";

const { vectors } = JSON.parse(readFileSync(`${process.env.FED_VECTORS}/noise/cacophony-ik.json`, "utf8")) as {
  vectors: readonly CacophonyVector[];
};

const suites = { libsodium: noiseSuiteNode, noble: noiseSuiteNoble };

describe.each(Object.entries(suites))("Noise on %s", (_name, { createNoiseSuite }) => {
  const noiseIk = createNoiseSuite();

  test("the cacophony vectors of IK with BLAKE2b, transport messages included", () => {
    const messages = checkCacophony(vectors, createNoiseSuite, chachaNode);
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
    /** A handshake whose last message is still to be read. */
    const answered = () => {
      const initiator = start();
      const responder = noiseIk.createResponder({ keyPair: b, prologue });
      responder.readMessage1(initiator.writeMessage1(new Uint8Array(0)));
      return { initiator, message: responder.writeMessage2(new Uint8Array(3)).message };
    };
    const { initiator, message: whole } = answered();
    expect(initiator.readMessage2(whole).payload).toEqual(new Uint8Array(3));
    for (let i = 0; i < whole.length; i++) {
      const damaged = answered();
      damaged.message[i]! ^= 1;
      await expectCode(() => damaged.initiator.readMessage2(damaged.message), "HANDSHAKE_FAILED");
      const cut = answered();
      await expectCode(() => cut.initiator.readMessage2(cut.message.subarray(0, i)), "HANDSHAKE_FAILED");
    }
  });

  test("a responder key of low order is refused", async () => {
    const initiator = noiseIk.createInitiator({
      keyPair: generateNoiseKeyPair(),
      responderKey: new Uint8Array(32),
      prologue: new Uint8Array(0),
    });
    await expectCode(() => initiator.writeMessage1(new Uint8Array(0)), "HANDSHAKE_FAILED");
  });
});

test("both speak with each other, whoever begins", () => {
  const [a, b] = [generateNoiseKeyPair(), generateNoiseKeyPair()];
  const prologue = Uint8Array.of(9);
  const [node, noble] = [noiseSuiteNode.createNoiseSuite(), noiseSuiteNoble.createNoiseSuite()];
  for (const [one, other] of [
    [node, noble],
    [noble, node],
  ] as const) {
    const initiator = one.createInitiator({ keyPair: a, responderKey: b.publicKey, prologue });
    const responder = other.createResponder({ keyPair: b, prologue });
    const read = responder.readMessage1(initiator.writeMessage1(Uint8Array.of(1)));
    expect(read).toEqual({ payload: Uint8Array.of(1), initiatorKey: a.publicKey });
    const { message, keys } = responder.writeMessage2(Uint8Array.of(2));
    const { payload, keys: initiatorKeys } = initiator.readMessage2(message);
    expect(payload).toEqual(Uint8Array.of(2));
    expect(initiatorKeys).toEqual({ ...keys, sendKey: keys.receiveKey, receiveKey: keys.sendKey });
  }
});
