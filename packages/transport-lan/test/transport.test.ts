import { testTransport } from "@fed/core/testing";
import { dialLanGuest } from "../src/index.js";
import { createTestCluster } from "./fixture/cluster.js";

testTransport("lan", async () => {
  const cluster = await createTestCluster();
  const [a, b] = [await cluster.hub(), await cluster.hub()];
  return { a, b, unreachable: "127.0.0.1:1", guestDial: dialLanGuest, async close() {} };
});
