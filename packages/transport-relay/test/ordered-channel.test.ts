import type { FedError } from "@fed/core";
import { createTestClock } from "@fed/core/testing";
import { expect, test } from "vitest";
import { generateNoiseKeyPair, type NoiseKeys, noiseIk } from "../src/noise.js";
import { connectionWindowBytes, createOrderedChannel, recordType } from "../src/ordered-channel.js";
import { encodePlaintext } from "../src/plaintext.js";
import { createRecordCipher, maxRecordBytes, type RecordCipher } from "../src/record.js";
import { RelayConnection } from "../src/relay-connection.js";

const noiseKeys = generateNoiseKeyPair();

function keys(): [NoiseKeys, NoiseKeys] {
  const prologue = new Uint8Array(0);
  const initiator = noiseIk.createInitiator({ keyPair: noiseKeys, responderKey: noiseKeys.publicKey, prologue });
  const responder = noiseIk.createResponder({ keyPair: noiseKeys, prologue });
  responder.readMessage1(initiator.writeMessage1(prologue));
  const { message, keys: responderKeys } = responder.writeMessage2(prologue);
  return [initiator.readMessage2(message).keys, responderKeys];
}

/** Records as a peer makes them that keeps to no rule. */
function createRogue(cipher: RecordCipher): (type: number, body: Uint8Array) => Uint8Array {
  let sequence = 0;
  return (type, body) => cipher.seal(encodePlaintext(type, sequence++, body))!;
}

/** A channel's wishes, none of which matter. */
const quiet = {
  deliver() {},
  progress() {},
  failed(error: FedError) {
    throw error;
  },
};

function createResponder(keys: NoiseKeys): RelayConnection {
  return new RelayConnection({
    role: "responder",
    index: 1,
    keys,
    own: noiseKeys,
    peerNoiseKey: noiseKeys.publicKey,
    peer: undefined,
    remoteAddress: "test",
    clock: createTestClock(),
    rekey: { afterMs: 120_000, afterBytes: 2 ** 30, graceMs: 60_000 },
    transmit() {},
    confirmed() {},
    finished() {},
  });
}

test("data beyond the credit that was given ends the channel", () => {
  const [near, far] = keys();
  const delivered: Uint8Array[] = [];
  const failures: string[] = [];
  const channel = createOrderedChannel({
    cipher: createRecordCipher(1, far),
    clock: createTestClock(),
    transmit() {},
    deliver: (_type, body) => void delivered.push(body),
    progress() {},
    failed: (error) => void failures.push(error.code),
  });
  const record = createRogue(createRecordCipher(1, near));
  const send = () => channel.receive(record(recordType.dataLast, new Uint8Array(32_768)));
  for (let i = 0; i < connectionWindowBytes / 32_768; i++) send();
  expect([delivered.length, failures]).toEqual([16, []]);
  channel.consumed(32_768);
  send();
  expect([delivered.length, failures]).toEqual([17, []]);
  send();
  expect([delivered.length, failures]).toEqual([17, ["PROTOCOL_ERROR"]]);
  channel.stop();
});

test("what was sent again counts once, whether it was delivered or waits for its turn", () => {
  const [near, far] = keys();
  const delivered: number[] = [];
  const failures: string[] = [];
  const channel = createOrderedChannel({
    ...quiet,
    cipher: createRecordCipher(1, far),
    clock: createTestClock(),
    transmit() {},
    deliver: (_type, body) => void delivered.push(body[0]!),
    failed: (error) => void failures.push(error.code),
  });
  const cipher = createRecordCipher(1, near);
  const send = (sequence: number) => {
    const body = new Uint8Array(maxRecordBytes).fill(sequence);
    channel.receive(cipher.seal(encodePlaintext(recordType.dataLast, sequence, body))!);
  };
  for (let i = 0; i < 40; i++) send(0);
  for (let i = 0; i < 40; i++) send(2);
  expect([delivered, failures]).toEqual([[0], []]);
  for (const sequence of [1, 1, 3, 4, 5, 6]) send(sequence);
  for (let sequence = 0; sequence < 7; sequence++) send(sequence);
  expect([delivered, failures]).toEqual([[0, 1, 2, 3, 4, 5, 6], []]);
  channel.stop();
});

test.each([
  ["of what was never sent", 2, 8, 524_288n],
  ["with more credit than can be counted", 1, 8, 2n ** 53n],
  ["of another length", 1, 9, 524_288n],
])("an acknowledgement %s ends the channel", (_what, next, length, credit) => {
  const [near, far] = keys();
  const failures: string[] = [];
  const channel = createOrderedChannel({
    ...quiet,
    cipher: createRecordCipher(1, far),
    clock: createTestClock(),
    transmit() {},
    failed: (error) => void failures.push(error.code),
  });
  const cipher = createRecordCipher(1, near);
  const acknowledge = (sequence: number, bytes: number, granted: bigint) => {
    const body = new Uint8Array(bytes);
    new DataView(body.buffer).setBigUint64(0, granted);
    channel.receive(cipher.seal(encodePlaintext(recordType.ack, sequence, body))!);
  };
  channel.enqueue(recordType.dataLast, Uint8Array.of(1));
  acknowledge(1, 8, 524_288n);
  expect([failures, channel.settled]).toEqual([[], true]);
  acknowledge(next, length, credit);
  expect(failures).toEqual(["PROTOCOL_ERROR"]);
  channel.stop();
});

test.each([
  ["crumbs", recordType.dataMore, 1],
  ["a part that is cut short", recordType.dataMore, maxRecordBytes - 1],
  ["a last part without content", recordType.dataLast, 0],
])("%s end the connection", async (_what, type, length) => {
  const [near, far] = keys();
  const connection = createResponder(far);
  const record = createRogue(createRecordCipher(1, near));
  connection.receive(record(recordType.confirm, new Uint8Array(0)));
  const messages: number[] = [];
  const closed = Promise.withResolvers<string | undefined>();
  connection.start({ message: (bytes) => messages.push(bytes.length), closed: (error) => closed.resolve(error?.code) });
  connection.receive(record(recordType.dataMore, new Uint8Array(maxRecordBytes)));
  connection.receive(record(recordType.dataLast, new Uint8Array(1)));
  connection.receive(record(type, new Uint8Array(length)));
  expect(await closed.promise).toBe("PROTOCOL_ERROR");
});

test("a clean close in the middle of a message is none", async () => {
  const [near, far] = keys();
  const closed = Promise.withResolvers<string | undefined>();
  const connection = createResponder(far);
  connection.start({ message() {}, closed: (error) => closed.resolve(error?.code) });
  const record = createRogue(createRecordCipher(1, near));
  connection.receive(record(recordType.confirm, new Uint8Array(0)));
  connection.receive(record(recordType.dataMore, new Uint8Array(maxRecordBytes)));
  connection.receive(record(recordType.close, new Uint8Array(0)));
  expect(await closed.promise).toBe("PROTOCOL_ERROR");
});

test("what was lost in a row is sent again in a row, not every three seconds one", async () => {
  const [near, far] = keys();
  const clock = createTestClock();
  const delivered: number[] = [];
  const wire = { cut: true, again: 0 };
  const sender = createOrderedChannel({
    ...quiet,
    cipher: createRecordCipher(1, near),
    clock,
    transmit(record) {
      if (wire.cut) return;
      wire.again++;
      receiver.receive(record);
    },
  });
  const receiver = createOrderedChannel({
    ...quiet,
    cipher: createRecordCipher(1, far),
    clock,
    transmit: (record) => sender.receive(record),
    deliver: (_type, body) => void delivered.push(body[0]!),
  });
  for (let i = 0; i < 100; i++) sender.enqueue(recordType.dataLast, Uint8Array.of(i));
  wire.cut = false;
  await clock.advance(2_999);
  expect(wire.again).toBe(0);
  await clock.advance(500);
  expect(delivered).toEqual(Array.from({ length: 100 }, (_, i) => i));
  // Each once: nothing that has arrived is sent again.
  expect(wire.again).toBe(100);
  sender.stop();
  receiver.stop();
});
