import { test } from "vitest";
import { suiteKeys, testRelayHost } from "./host-suite.js";
import { freeNodes, limits, startNode } from "./node-cluster.js";
import { natsMissing, startNats } from "./node-relay.js";

const missing = natsMissing();

if (missing === undefined) {
  testRelayHost("three Node processes behind NATS", async () => {
    const nats = await startNats();
    const nodes = await freeNodes(suiteKeys[0]!.tag, 3);
    const start = () => Promise.all(nodes.map((node) => startNode(node, nodes, nats.url)));
    let relays = await start();
    const end = (signal: "SIGTERM" | "SIGKILL") => Promise.all(relays.map((relay) => relay.end(signal)));
    const again = async (signal: "SIGTERM" | "SIGKILL") => {
      await end(signal);
      relays = await start();
    };
    return {
      slowReaderMs: limits.slowReaderMs,
      urls: nodes,
      pids: async () => relays.map(({ pid }) => pid),
      restart: () => again("SIGTERM"),
      kill: () => again("SIGKILL"),
      async close() {
        await end("SIGTERM");
        await nats.end("SIGTERM");
      },
    };
  });
} else test.skip(`three Node processes behind NATS: ${missing}`, () => {});
