import { concatBytes, encodeUtf8, type FedError, randomBytes } from "@fed/core";
import { createTestClock } from "@fed/core/testing";
import { expect, test, vi } from "vitest";
import { createHandshakeMac, handshakeMacBytes } from "../src/handshake-mac.js";
import { encodeInitiatorHello } from "../src/handshake-payload.js";
import { defaultRekeyLimits } from "../src/key-renewal.js";
import { generateNoiseKeyPair, noiseIk } from "../src/noise.js";
import { encodePlaintext } from "../src/plaintext.js";
import { createRecordCipher, encodeInner, innerHeaderBytes, innerKind } from "../src/record.js";
import { createRelayEndpoint } from "../src/relay-endpoint.js";
import type { RelayLink } from "../src/relay-link.js";

const tag = "tag";

/** An endpoint that answers guests, on a link that keeps what is sent. */
function answering() {
  const clock = createTestClock();
  const noiseKey = generateNoiseKeyPair();
  const own = randomBytes(16);
  const sent: Uint8Array[] = [];
  const refused: FedError[] = [];
  const connected = vi.fn();
  const link: RelayLink = {
    url: "wss://relay.test",
    state: { url: "wss://relay.test", status: "up" },
    route: own,
    send: (_route, payload) => void sent.push(payload),
    proven() {},
    renew() {},
    close() {},
  };
  const endpoint = createRelayEndpoint({
    link,
    tag,
    noiseKey,
    bootId: randomBytes(16),
    clock,
    rekey: defaultRekeyLimits,
    responder: () => ({
      admit: () => undefined,
      chain: () => [Uint8Array.of(1)],
      connected,
      refused: (_address, error) => void refused.push(error),
    }),
  });

  /** The first message of a guest. */
  function initiation(route: Uint8Array, index = 1, keyPair = generateNoiseKeyPair()) {
    const prologue = concatBytes(encodeUtf8(`fed-relay/1 ${tag} `), route, own);
    const noise = noiseIk.createInitiator({ keyPair, responderKey: noiseKey.publicKey, prologue });
    const hello = encodeInitiatorHello({ role: "guest", timestamp: clock.nowMs(), bootId: randomBytes(16), chain: [] });
    const message1 = noise.writeMessage1(hello);
    const place = { initiatorRoute: route, responderRoute: own, index };
    const body = createHandshakeMac(noiseKey.publicKey).prepend(place, message1);
    return { noise, payload: encodeInner(innerKind.initiate, index, body) };
  }

  /** What is answered to the first message of a guest who never sends another; undefined when nothing. */
  function initiate(route = randomBytes(16), index = 1): number | undefined {
    const before = sent.length;
    endpoint.received(route, initiation(route, index).payload);
    return sent.length === before ? undefined : sent.at(-1)![0];
  }

  /** A guest's connection, confirmed; returns how it seals. */
  function connect(route: Uint8Array, index = 1) {
    const { noise, payload } = initiation(route, index);
    endpoint.received(route, payload);
    const { keys } = noise.readMessage2(sent.at(-1)!.subarray(innerHeaderBytes));
    const cipher = createRecordCipher(index, keys);
    endpoint.received(route, cipher.seal(encodePlaintext(0, 0, new Uint8Array(0)))!);
  }
  return { clock, endpoint, sent, own, initiation, initiate, connect, connected, refused };
}

const codes = (errors: readonly FedError[]) => errors.map(({ code }) => code);

test("a handshake that is not confirmed ends after 10 s, and nothing but message 2 was sent for it", async () => {
  const { clock, endpoint, initiate, sent, connected, refused } = answering();
  expect(initiate()).toBe(innerKind.respond);
  await clock.advance(9_999);
  expect(endpoint.idle).toBe(false);
  await clock.advance(2);
  expect(endpoint.idle).toBe(true);
  expect(codes(refused)).toEqual(["HANDSHAKE_TIMEOUT"]);
  expect(sent.length).toBe(1);
  expect(connected).not.toHaveBeenCalled();
});

test("of more than 64 unconfirmed handshakes the oldest of the busiest route gives way", async () => {
  const { clock, initiate, refused } = answering();
  const [flood, other] = [randomBytes(16), randomBytes(16)];
  // 48 from 48 routes, and as many from one as a route may have.
  for (let i = 0; i < 48; i++) expect(initiate()).toBe(innerKind.respond);
  for (let i = 0; i < 16; i++) expect(initiate(flood, i)).toBe(innerKind.respond);
  expect(initiate(flood, 16)).toBe(innerKind.unknown);
  expect(initiate(other)).toBe(innerKind.respond);
  expect(codes(refused)).toEqual(["HANDSHAKE_TOO_MANY", "HANDSHAKE_TOO_MANY"]);
  // The flood's oldest gave way: there is room for one of it again.
  expect(initiate(flood, 17)).toBe(innerKind.respond);
  await clock.advance(10_001);
  expect(codes(refused).filter((code) => code === "HANDSHAKE_TIMEOUT").length).toBe(64);
});

test("an initiation without the MAC costs no Diffie-Hellman, whatever byte is wrong", () => {
  const { endpoint, initiation, refused, sent, clock } = answering();
  const route = randomBytes(16);
  const { payload } = initiation(route);
  const started = vi.spyOn(noiseIk, "createResponder");
  for (let at = 1; at < payload.length; at++) {
    const changed = payload.slice();
    changed[at]! ^= 1;
    endpoint.received(route, changed);
    if (at > innerHeaderBytes) endpoint.received(route, payload.subarray(0, at));
  }
  endpoint.received(randomBytes(16), payload);
  expect(started).not.toHaveBeenCalled();
  expect(new Set(codes(refused))).toEqual(new Set(["HANDSHAKE_FAILED"]));
  // Answers are as rare as handshakes: nobody uses up our rate at the relay.
  expect(sent.length).toBe(41);
  expect(refused.length).toBe(41);
  expect(clock.monotonicMs()).toBe(0);
  // And none of this was charged to the route.
  endpoint.received(route, payload);
  expect(started).toHaveBeenCalledOnce();
  expect(sent.at(-1)![0]).toBe(innerKind.respond);
  started.mockRestore();
});

test("an initiation that is too large is not even hashed", () => {
  const { endpoint, refused } = answering();
  const body = new Uint8Array(8_192 + 96 + handshakeMacBytes + 1);
  endpoint.received(randomBytes(16), encodeInner(innerKind.initiate, 1, body));
  expect(codes(refused)).toEqual(["HANDSHAKE_MALFORMED"]);
});

test("a flood from ever new routes gets 200 handshakes and then 100 a second", async () => {
  const { clock, initiate, refused } = answering();
  const flood = (count: number) =>
    Array.from({ length: count }, () => initiate()).filter((kind) => kind === innerKind.respond).length;
  expect(flood(230)).toBe(200);
  await clock.advance(500);
  expect(flood(80)).toBe(50);
  // 64 wait; each of the others gave way to a newer one, or was not answered at all.
  expect(refused.length).toBe(186 + 60);
});

test("one key gets no more by coming over many routes", () => {
  const { endpoint, initiation, sent } = answering();
  const keyPair = generateNoiseKeyPair();
  for (let i = 0; i < 50; i++) {
    const route = randomBytes(16);
    endpoint.received(route, initiation(route, 1, keyPair).payload);
  }
  expect(sent.filter(([kind]) => kind === innerKind.respond).length).toBe(40);
});

test("dropped again and again, message 2 is sent five times a second, not in a circle", async () => {
  const { clock, endpoint, initiation, sent } = answering();
  const route = randomBytes(16);
  endpoint.received(route, initiation(route).payload);
  for (let i = 0; i < 100; i++) endpoint.dropped(route);
  expect(sent.length).toBe(1);
  await clock.advance(201);
  expect(sent.length).toBe(2);
  for (let i = 0; i < 100; i++) endpoint.dropped(route);
  await clock.advance(1_000);
  expect(sent.length).toBe(3);
});

test("one route holds at most 16 connections, and the others find room", () => {
  const { initiate, connect, connected, refused } = answering();
  const route = randomBytes(16);
  for (let i = 0; i < 16; i++) connect(route, i);
  expect(connected).toHaveBeenCalledTimes(16);
  expect(initiate(route, 16)).toBe(innerKind.unknown);
  expect(codes(refused)).toEqual(["HANDSHAKE_TOO_MANY"]);
  expect(initiate()).toBe(innerKind.respond);
});

test("records for connections that nobody knows are answered rarely", async () => {
  const { clock, endpoint, sent } = answering();
  const route = randomBytes(16);
  const record = (index: number) => encodeInner(innerKind.record, index, new Uint8Array(40));
  for (let i = 0; i < 1_000; i++) endpoint.received(route, record(i));
  expect(sent.length).toBe(40);
  endpoint.received(randomBytes(16), record(0));
  expect(sent.length).toBe(41);
  await clock.advance(1_000);
  for (let i = 0; i < 1_000; i++) endpoint.received(route, record(i));
  expect(sent.length).toBe(61);
});
