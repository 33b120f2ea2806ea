import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

const root = fileURLToPath(new URL(".", import.meta.url));

/** What is held to milliseconds or bytes of this very process has the machine to itself: it runs after the others, a file at a time. */
const measured = [
  "apps/relay/test/{durable-relay,node-host,node-cluster}.test.ts",
  "packages/hub/test/{agent-storms,bad-days}.test.ts",
  "packages/hub/test/apps/{bad-days,restarts}.test.ts",
  "packages/transport-lan/test/namespaces-many.test.ts",
];

/** Rooms are tested from source: `@fed/x` and `@fed/x/y` resolve to `packages/x/src`, so no build is needed first. */
export default defineConfig({
  resolve: {
    alias: [
      { find: "#hmac-sha256", replacement: `${root}packages/audit-chain/src/hmac-sha256-node.ts` },
      { find: "#ed25519", replacement: `${root}packages/trust/src/ed25519-node.ts` },
      { find: "#relay-ed25519", replacement: `${root}packages/transport-relay/src/ed25519-node.ts` },
      { find: "#relay-hmac", replacement: `${root}packages/transport-relay/src/hmac-node.ts` },
      { find: "#noise-suite", replacement: `${root}packages/transport-relay/src/noise-suite-node.ts` },
      { find: "#chacha", replacement: `${root}packages/transport-relay/src/chacha-node.ts` },
      { find: /^@fed\/relay$/, replacement: `${root}apps/relay/src/index.ts` },
      { find: /^@fed\/cli$/, replacement: `${root}apps/hub/src/index.ts` },
      { find: /^@fed\/([^/]+)$/, replacement: `${root}packages/$1/src/index.ts` },
      { find: /^@fed\/([^/]+)\/([^/]+)$/, replacement: `${root}packages/$1/src/$2/index.ts` },
    ],
  },
  test: {
    // Most tests wait for other processes, sockets or timers: more of them than there are cores.
    maxWorkers: 3,
    // It only ends what hangs: a machine with other work is slow, not wrong.
    testTimeout: 60_000,
    hookTimeout: 60_000,
    expect: { poll: { timeout: 10_000 } },
    env: { FED_VECTORS: process.env.FED_VECTORS ?? fileURLToPath(new URL("../shared/vectors", import.meta.url)) },
    projects: [
      {
        extends: true,
        test: {
          name: "rooms",
          include: ["packages/*/test/**/*.test.ts", "apps/*/test/**/*.test.ts"],
          exclude: ["apps/hub/**", ...measured],
        },
      },
      { extends: true, test: { name: "measured", include: measured, maxWorkers: 1, sequence: { groupOrder: 1 } } },
      // The command is tested as it is shipped, so it is built first.
      {
        extends: true,
        test: {
          name: "fed",
          include: ["apps/hub/test/**/*.test.ts"],
          globalSetup: "apps/hub/test/build.ts",
          // The processes they start do the work, not the workers.
          isolate: false,
        },
      },
    ],
  },
});
