import type { MemoryNetworkOptions } from "@fed/core/memory";
import { createMemoryNetwork, memoryAuthenticator } from "@fed/core/memory";
import { refusableAuthenticator, type TransportFixture, type TransportSide, testTransport } from "@fed/core/testing";
import { identityOf } from "../identity.js";

async function setup(options: MemoryNetworkOptions = {}): Promise<TransportFixture> {
  const network = createMemoryNetwork(options);
  function side(name: string): TransportSide {
    const identity = identityOf(name);
    const authenticator = refusableAuthenticator(memoryAuthenticator);
    return { identity, authenticator, transport: network.transport({ identity, authenticator }) };
  }
  return {
    a: side("a"),
    b: side("b"),
    unreachable: "nobody",
    guestDial: network.guestDial,
    async close() {},
  };
}

testTransport("memory", () => setup());
testTransport("memory with latency", () => setup({ latencyMs: 1 }));
