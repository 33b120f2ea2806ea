import fc from "fast-check";
import { expect, test } from "vitest";
import { generateNoiseKeyPair, type NoiseKeys, noiseIk } from "../src/noise.js";
import { createRecordCipher } from "../src/record.js";
import { createReplayWindow } from "../src/replay-window.js";

function keys(): [NoiseKeys, NoiseKeys] {
  const [a, b] = [generateNoiseKeyPair(), generateNoiseKeyPair()];
  const prologue = new Uint8Array(0);
  const initiator = noiseIk.createInitiator({ keyPair: a, responderKey: b.publicKey, prologue });
  const responder = noiseIk.createResponder({ keyPair: b, prologue });
  responder.readMessage1(initiator.writeMessage1(prologue));
  const { message, keys: responderKeys } = responder.writeMessage2(prologue);
  return [initiator.readMessage2(message).keys, responderKeys];
}

test("a record opens once, unchanged and under its own index", () => {
  const [near, far] = keys();
  const sender = createRecordCipher(5, near);
  const receiver = createRecordCipher(5, far);
  const record = sender.seal(new Uint8Array([1, 2, 3]))!;
  for (let i = 0; i < record.length; i++) {
    const flipped = record.slice();
    flipped[i]! ^= 0x80;
    expect(receiver.open(flipped)).toBeUndefined();
    expect(receiver.open(record.subarray(0, i))).toBeUndefined();
  }
  expect(createRecordCipher(6, far).open(record)).toBeUndefined();
  expect(createRecordCipher(5, near).open(record)).toBeUndefined();
  expect(receiver.open(record)).toEqual(new Uint8Array([1, 2, 3]));
  expect(receiver.open(record)).toBeUndefined();
});

test("a forged counter does not move the window", () => {
  const [near, far] = keys();
  const sender = createRecordCipher(1, near);
  const receiver = createRecordCipher(1, far);
  const first = sender.seal(new Uint8Array([1]))!;
  const forged = sender.seal(new Uint8Array([2]))!;
  new DataView(forged.buffer).setBigUint64(5, 2n ** 40n);
  expect(receiver.open(forged)).toBeUndefined();
  expect(receiver.open(first)).toEqual(new Uint8Array([1]));
});

test("new keys take over in both directions, and the old ones are forgotten", () => {
  const [oldNear, oldFar] = keys();
  const [newNear, newFar] = keys();
  const initiator = createRecordCipher(1, oldNear);
  const responder = createRecordCipher(1, oldFar);
  const stale = initiator.seal(new Uint8Array([9]))!;
  responder.install(newFar, false);
  const oldStill = responder.seal(new Uint8Array([1]))!;
  initiator.install(newNear, true);
  expect(initiator.open(oldStill)).toEqual(new Uint8Array([1]));
  const underNew = initiator.seal(new Uint8Array([2]))!;
  expect(responder.open(underNew)).toEqual(new Uint8Array([2]));
  expect(responder.open(stale)).toBeUndefined();
  expect(initiator.open(responder.seal(new Uint8Array([3]))!)).toEqual(new Uint8Array([3]));
  expect(initiator.bytesUnderKeys).toBe(1);
});

test("the replay window agrees with a set of everything seen", () => {
  const counters = fc.array(fc.oneof(fc.nat(30), fc.nat(9_000), fc.nat(40_000)), { maxLength: 200 });
  fc.assert(
    fc.property(counters, (sequence) => {
      const window = createReplayWindow();
      const seen = new Set<number>();
      let highest = -1;
      for (const counter of sequence) {
        const expected = !seen.has(counter) && counter > highest - 8192;
        expect(window.accepts(counter)).toBe(expected);
        if (!expected) continue;
        window.mark(counter);
        seen.add(counter);
        highest = Math.max(highest, counter);
      }
    }),
    { numRuns: 150 },
  );
});
