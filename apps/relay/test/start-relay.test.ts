import { expectCode, testTransport } from "@fed/core/testing";
import { createRelayGuestDial, formatAdmissionKey, type WebSocketConnect } from "@fed/transport-relay";
import { expect, test } from "vitest";
import { WebSocket } from "ws";
import { absentHub, createTestHubs, testRelayKeys } from "../../../packages/transport-relay/test/memory-relay.js";
import { startRelay } from "../src/index.js";

const relayKeys = testRelayKeys();
const admissionKeys = [formatAdmissionKey(relayKeys.admissionPublicKey)];
const connect: WebSocketConnect = (url, protocols) => new WebSocket(url, protocols);

testTransport("relay over a Node relay", async () => {
  const relay = await startRelay({ admissionKeys });
  const [a, b] = createTestHubs(["a", "b"], { relays: [relay.url], relayKeys, connect });
  return {
    a: a!,
    b: b!,
    unreachable: absentHub,
    guestDial: createRelayGuestDial({ connect }),
    async close() {
      await a!.transport.close();
      await b!.transport.close();
      await relay.close();
    },
  };
});

test("a port in use is said so", async () => {
  await using relay = await startRelay({ admissionKeys });
  await expectCode(startRelay({ admissionKeys, port: relay.port }), "RELAY_PORT_IN_USE");
  expect((await fetch(`http://127.0.0.1:${relay.port}/healthz`)).status).toBe(200);
});
