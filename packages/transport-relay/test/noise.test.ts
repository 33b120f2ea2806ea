import { readFileSync } from "node:fs";
import { decodeHex, encodeHex } from "@fed/core";
import { expectCode } from "@fed/core/testing";
import { x25519 } from "@noble/curves/ed25519.js";
import createDh from "noise-protocol/dh.js";
import { expect, test } from "vitest";
import { openChaCha, sealChaCha } from "../src/chacha-node.js";
import { createNoiseSuite, generateNoiseKeyPair, noiseIk } from "../src/noise.js";

interface CacophonyVector {
  readonly protocol_name: string;
  readonly init_prologue: string;
  readonly init_static: string;
  readonly init_ephemeral: string;
  readonly init_remote_static: string;
  readonly resp_prologue: string;
  readonly resp_static: string;
  readonly resp_ephemeral: string;
  readonly handshake_hash: string;
  readonly messages: readonly { readonly payload: string; readonly ciphertext: string }[];
}

const { vectors } = JSON.parse(readFileSync(`${process.env.FED_VECTORS}/noise/cacophony-ik.json`, "utf8")) as {
  vectors: readonly CacophonyVector[];
};

function keyPair(secretHex: string) {
  const secretKey = decodeHex(secretHex);
  return { secretKey, publicKey: x25519.getPublicKey(secretKey) };
}

/** The suite with a fixed ephemeral key. */
function suiteWith(ephemeralHex: string) {
  const ephemeral = keyPair(ephemeralHex);
  return createNoiseSuite({
    ...createDh(),
    generateKeypair(publicKey, secretKey) {
      publicKey.set(ephemeral.publicKey);
      secretKey.set(ephemeral.secretKey);
    },
  });
}

function nonce(counter: number): Uint8Array {
  const bytes = new Uint8Array(12);
  new DataView(bytes.buffer).setBigUint64(4, BigInt(counter), true);
  return bytes;
}

test("the cacophony vectors of IK with BLAKE2b, transport messages included", () => {
  const ours = vectors.filter((vector) => vector.protocol_name === "Noise_IK_25519_ChaChaPoly_BLAKE2b");
  let messages = 0;
  for (const vector of ours) {
    const initiator = suiteWith(vector.init_ephemeral).createInitiator({
      keyPair: keyPair(vector.init_static),
      responderKey: decodeHex(vector.init_remote_static),
      prologue: decodeHex(vector.init_prologue),
    });
    const responder = suiteWith(vector.resp_ephemeral).createResponder({
      keyPair: keyPair(vector.resp_static),
      prologue: decodeHex(vector.resp_prologue),
    });
    const [first, second, ...transport] = vector.messages;
    const message1 = initiator.writeMessage1(decodeHex(first!.payload));
    expect(encodeHex(message1)).toBe(first!.ciphertext);
    const read1 = responder.readMessage1(message1);
    expect(encodeHex(read1.payload)).toBe(first!.payload);
    expect(read1.initiatorKey).toEqual(keyPair(vector.init_static).publicKey);
    const { message: message2, keys: responderKeys } = responder.writeMessage2(decodeHex(second!.payload));
    expect(encodeHex(message2)).toBe(second!.ciphertext);
    const { payload, keys: initiatorKeys } = initiator.readMessage2(message2);
    expect(encodeHex(payload)).toBe(second!.payload);
    expect(encodeHex(initiatorKeys.handshakeHash)).toBe(vector.handshake_hash);
    expect(encodeHex(responderKeys.handshakeHash)).toBe(vector.handshake_hash);
    messages += 2;
    for (const [i, { payload, ciphertext }] of transport.entries()) {
      const [from, to] = i % 2 === 0 ? [initiatorKeys, responderKeys] : [responderKeys, initiatorKeys];
      const n = nonce(Math.floor(i / 2));
      const sealed = sealChaCha(from.sendKey, n, new Uint8Array(0), decodeHex(payload));
      expect(encodeHex(sealed)).toBe(ciphertext);
      expect(encodeHex(openChaCha(to.receiveKey, n, new Uint8Array(0), sealed)!)).toBe(payload);
      messages++;
    }
  }
  console.info(`cacophony IK BLAKE2b: ${ours.length} vectors, ${messages} messages`);
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
