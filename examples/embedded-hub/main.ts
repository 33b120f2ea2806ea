/** Two hubs inside one program, joined over the LAN: `laptop` uses an app of `desktop` and hears how far it is. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type AppConfig, createHub } from "@fed/hub";
import { McpServer } from "@modelcontextprotocol/server";
import { z } from "zod";

/** An app as any MCP server is written; it runs in the hub's own process. */
const printer: AppConfig = {
  title: "Printer",
  server: () => {
    const server = new McpServer({ name: "printer", version: "1.0.0" }, { capabilities: { tools: {} } });
    server.registerTool(
      "print",
      { inputSchema: z.object({ pages: z.int().min(1) }) },
      async ({ pages }, { mcpReq }) => {
        const progressToken = mcpReq._meta?.progressToken;
        for (let progress = 1; progress <= pages && progressToken !== undefined; progress++) {
          await mcpReq.notify({ method: "notifications/progress", params: { progressToken, progress, total: pages } });
        }
        return { content: [{ type: "text", text: `printed ${pages} pages` }] };
      },
    );
    return server;
  },
};

const state = mkdtempSync(join(tmpdir(), "embedded-hub-"));
try {
  // On loopback and by address, so that the example needs no network: on a real LAN `lan: true` finds the others.
  const lan = { listen: { host: "127.0.0.1", port: 0 }, discovery: false };
  await using laptop = await createHub({ dir: join(state, "laptop"), name: "laptop", lan });
  await laptop.cluster.create({ name: "home" });
  const peers = laptop.cluster.status().lan?.addresses ?? [];
  await using desktop = await createHub({
    dir: join(state, "desktop"),
    name: "desktop",
    lan: { ...lan, peers },
    apps: { printer },
  });

  const joined = await desktop.cluster.join(await laptop.cluster.invite());
  assert.deepEqual(joined, { via: "lan", connected: true });
  console.log("desktop has joined the cluster of laptop");

  const operator = laptop.operators.local("ann");
  const print = { hub: "desktop", app: "printer", tool: "print", arguments: { pages: 3 } };
  await assert.rejects(laptop.apps.call(print, { operator }), { code: "SHARING_DENIED" });
  console.log("ann may not print: desktop shares nothing yet");

  await desktop.sharing.share("printer", "cluster");
  const seen: number[] = [];
  const result = (await laptop.apps.call(print, {
    operator,
    onNotification: ({ params }) => seen.push((params as { progress: number }).progress),
  })) as { content: unknown };
  assert.deepEqual(result.content, [{ type: "text", text: "printed 3 pages" }]);
  assert.deepEqual(seen, [1, 2, 3]);
  console.log("ann has printed 3 pages on desktop, and heard of each");

  const calls = (await desktop.audit.tail(20)).filter(({ record }) => record.type === "call.decision");
  assert.deepEqual(
    calls.map(({ record }) => [record.operator, record.decision]),
    [
      [operator.principal, "deny"],
      [operator.principal, "allow"],
    ],
  );
  await desktop.audit.verify();
  console.log("desktop's audit log holds both decisions, and verifies");
} finally {
  rmSync(state, { recursive: true, force: true });
}
