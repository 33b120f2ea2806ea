/** The load's own process, so that it never waits for what it measures. */
import { serveParent } from "./child.ts";
import type { Sample } from "./load.ts";
import { type McpClient, openMcpClient } from "./mcp-client.ts";
import type { McpTarget } from "./mcp-target.ts";

/** A stretch of load on the target with this index. */
export interface McpLoad {
  readonly target: number;
  readonly inFlight: number;
  readonly durationMs: number;
}

serveParent<readonly McpTarget[], object, McpLoad, Sample>(async (targets) => {
  const clients: McpClient[] = [];
  for (const [i, target] of targets.entries()) clients.push(await openMcpClient(target, i));
  let last: McpClient | undefined;
  return {
    ready: {},
    async work({ target, ...options }) {
      const client = clients[target]!;
      if (last !== client) last?.rest();
      last = client;
      return client.load(options);
    },
    close: async () => {
      for (const client of clients) client.close();
    },
  };
});
