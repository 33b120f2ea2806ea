import { createTestClock, expectCode } from "@fed/core/testing";
import { expect, test } from "vitest";
import { createKeyRenewal, type KeyRenewal } from "../src/key-renewal.js";
import { generateNoiseKeyPair, type NoiseKeyPair, type NoiseKeys, noiseIk } from "../src/noise.js";
import { createRecordCipher, type RecordCipher } from "../src/record.js";

const limits = { afterMs: 120_000, afterBytes: 10_000, graceMs: 60_000 };
const [near, far, other] = [generateNoiseKeyPair(), generateNoiseKeyPair(), generateNoiseKeyPair()];

function firstKeys(): [NoiseKeys, NoiseKeys] {
  const prologue = new Uint8Array(0);
  const initiator = noiseIk.createInitiator({ keyPair: near, responderKey: far.publicKey, prologue });
  const responder = noiseIk.createResponder({ keyPair: far, prologue });
  responder.readMessage1(initiator.writeMessage1(prologue));
  const { message, keys } = responder.writeMessage2(prologue);
  return [initiator.readMessage2(message).keys, keys];
}

interface Side {
  readonly renewal: KeyRenewal;
  readonly cipher: RecordCipher;
  readonly sent: Uint8Array[];
}

/** Both sides of a connection, of which nothing is carried but by hand. */
function createSides() {
  const clock = createTestClock();
  const keys = firstKeys();
  const side = (role: "initiator" | "responder", own: NoiseKeyPair, peer: NoiseKeyPair, first: NoiseKeys): Side => {
    const cipher = createRecordCipher(1, first);
    const sent: Uint8Array[] = [];
    const keep = (message: Uint8Array) => void sent.push(message);
    const renewal = createKeyRenewal({
      role,
      own,
      peerNoiseKey: peer.publicKey,
      handshakeHash: first.handshakeHash,
      cipher,
      clock,
      limits,
      request: keep,
      answer: keep,
    });
    return { renewal, cipher, sent };
  };
  const initiator = side("initiator", near, far, keys[0]);
  const responder = side("responder", far, near, keys[1]);
  /** Carries `bytes` from one side to the other. */
  const carry = (from: Side, to: Side, bytes: number) => {
    const record = from.cipher.seal(new Uint8Array(bytes))!;
    expect(to.cipher.open(record)?.length).toBe(bytes);
    return record;
  };
  return { clock, initiator, responder, carry };
}

test("keys in use are replaced after 120 s, once, by the initiator", async () => {
  const { clock, initiator, responder, carry } = createSides();
  await clock.advance(119_999);
  initiator.renewal.check();
  expect(initiator.sent.length).toBe(0);
  await clock.advance(1);
  for (let i = 0; i < 3; i++) initiator.renewal.check();
  responder.renewal.check();
  expect([initiator.sent.length, responder.sent.length]).toEqual([1, 0]);
  const old = responder.cipher.seal(Uint8Array.of(1))!;
  responder.renewal.requested(initiator.sent[0]!);
  initiator.renewal.answered(responder.sent[0]!);
  carry(initiator, responder, 5);
  carry(responder, initiator, 5);
  expect(initiator.cipher.open(old)).toBeUndefined();
  initiator.renewal.check();
  expect(initiator.sent.length).toBe(1);
});

test("keys are replaced after as many bytes as they may protect, and refused at twice as many", async () => {
  const { initiator, responder, carry } = createSides();
  carry(initiator, responder, 9_999);
  initiator.renewal.check();
  expect(initiator.sent.length).toBe(0);
  carry(responder, initiator, 1);
  initiator.renewal.check();
  expect(initiator.sent.length).toBe(1);
  responder.renewal.requested(initiator.sent[0]!);
  initiator.renewal.answered(responder.sent[0]!);
  // The new keys count from nothing, at the sender at once.
  carry(initiator, responder, 3_000);
  initiator.renewal.check();
  expect(initiator.sent.length).toBe(1);

  carry(initiator, responder, 7_000);
  initiator.renewal.check();
  expect(initiator.sent.length).toBe(2);
  carry(initiator, responder, 10_001);
  await expectCode(() => initiator.renewal.check(), "REKEY_REQUIRED");
  await expectCode(() => responder.renewal.check(), "REKEY_REQUIRED");
});

test("keys that are not replaced within 60 s of asking are refused", async () => {
  const { clock, initiator } = createSides();
  // Idle keys grow old without being worn: nothing is asked for, and the time starts with the asking.
  await clock.advance(1_000_000);
  expect(initiator.sent.length).toBe(0);
  initiator.renewal.check();
  await clock.advance(60_000);
  initiator.renewal.check();
  await clock.advance(1);
  await expectCode(() => initiator.renewal.check(), "REKEY_REQUIRED");
});

test("only the initiator asks, only the peer's own key answers, and only for the present keys", async () => {
  const { clock, initiator, responder } = createSides();
  await expectCode(() => initiator.renewal.answered(new Uint8Array(48)), "PROTOCOL_ERROR");
  await clock.advance(120_000);
  initiator.renewal.check();
  const request = initiator.sent[0]!;
  await expectCode(() => initiator.renewal.requested(request), "PROTOCOL_ERROR");
  const unbound = noiseIk.createInitiator({
    keyPair: near,
    responderKey: far.publicKey,
    prologue: new TextEncoder().encode("fed-relay-rekey/1"),
  });
  await expectCode(() => responder.renewal.requested(unbound.writeMessage1(new Uint8Array(0))), "HANDSHAKE_FAILED");
  responder.renewal.requested(request);
  // The same request again is not for the keys that it made.
  await expectCode(() => responder.renewal.requested(request), "HANDSHAKE_FAILED");
});

test("another member that got hold of the record keys cannot renew them", async () => {
  const [initiatorKeys, responderKeys] = firstKeys();
  const prologue = new Uint8Array([...new TextEncoder().encode("fed-relay-rekey/1"), ...initiatorKeys.handshakeHash]);
  const renewal = createKeyRenewal({
    role: "responder",
    own: far,
    peerNoiseKey: near.publicKey,
    handshakeHash: responderKeys.handshakeHash,
    cipher: createRecordCipher(1, responderKeys),
    clock: createTestClock(),
    limits,
    request() {},
    answer() {},
  });
  const by = (keyPair: NoiseKeyPair) =>
    noiseIk.createInitiator({ keyPair, responderKey: far.publicKey, prologue }).writeMessage1(new Uint8Array(0));
  await expectCode(() => renewal.requested(by(other)), "PROTOCOL_ERROR");
  renewal.requested(by(near));
});
