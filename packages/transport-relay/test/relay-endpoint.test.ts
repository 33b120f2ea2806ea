import { concatBytes, encodeUtf8, type FedError, randomBytes } from "@fed/core";
import { createTestClock } from "@fed/core/testing";
import { expect, test } from "vitest";
import { encodeInitiatorHello } from "../src/handshake-payload.js";
import { defaultRekeyLimits } from "../src/key-renewal.js";
import { generateNoiseKeyPair, noiseIk } from "../src/noise.js";
import { encodeInner, innerKind } from "../src/record.js";
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
      connected() {},
      refused: (_address, error) => void refused.push(error),
    }),
  });

  /** What is answered to the first message of a guest who never sends another. */
  function initiate(): number | undefined {
    const route = randomBytes(16);
    const prologue = concatBytes(encodeUtf8(`fed-relay/1 ${tag} `), route, own);
    const noise = noiseIk.createInitiator({
      keyPair: generateNoiseKeyPair(),
      responderKey: noiseKey.publicKey,
      prologue,
    });
    const hello = encodeInitiatorHello({ role: "guest", timestamp: clock.nowMs(), bootId: randomBytes(16), chain: [] });
    endpoint.received(route, encodeInner(innerKind.initiate, 1, noise.writeMessage1(hello)));
    return sent.at(-1)?.[0];
  }
  return { clock, endpoint, initiate, refused };
}

test("at most 64 handshakes wait for a confirmation, each for 10 s", async () => {
  const { clock, endpoint, initiate, refused } = answering();
  for (let i = 0; i < 64; i++) expect(initiate()).toBe(innerKind.respond);
  expect(initiate()).toBe(innerKind.unknown);
  expect(refused.map(({ code }) => code)).toEqual(["HANDSHAKE_TOO_MANY"]);
  await clock.advance(10_001);
  expect(endpoint.idle).toBe(true);
  expect(refused.slice(1).map(({ code }) => code)).toEqual(new Array(64).fill("HANDSHAKE_TIMEOUT"));
  expect(initiate()).toBe(innerKind.respond);
});
