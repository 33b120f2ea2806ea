import { testTransport } from "@fed/core/testing";
import { createRelayGuestDial } from "../src/index.js";
import { absentHub, createMemoryRelay, createTestHubs, testRelayKeys } from "./memory-relay.js";

testTransport("relay over in-memory WebSockets", async () => {
  const relayKeys = testRelayKeys();
  const relay = createMemoryRelay([relayKeys]);
  const [a, b] = createTestHubs(["a", "b"], { relays: [relay.origin], relayKeys, connect: relay.connect });
  return {
    a: a!,
    b: b!,
    unreachable: absentHub,
    guestDial: createRelayGuestDial({ connect: relay.connect }),
    async close() {
      await a!.transport.close();
      await b!.transport.close();
    },
  };
});
