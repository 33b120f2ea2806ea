/** Hubs for tests: real ones, in this process, with state in a folder of their own and an app that answers in kind. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { McpServer } from "@modelcontextprotocol/server";
import { z } from "zod";
import { type AppConfig, createHub, type Hub, type HubOptions } from "../src/index.js";

/** What an app was asked, as it saw it itself. */
export interface AppLog {
  readonly calls: unknown[];
  cancelled: number;
}

/** An in-process app with tools `echo`, `wait` (until cancelled) and `count` (with progress). */
export function testApp(log: AppLog = { calls: [], cancelled: 0 }): AppConfig {
  return {
    title: "Test app",
    server: () => {
      const server = new McpServer({ name: "test-app", version: "1.0.0" }, { capabilities: { tools: {} } });
      server.registerTool(
        "echo",
        { inputSchema: z.object({ text: z.string() }), annotations: { readOnlyHint: true } },
        ({ text }) => {
          log.calls.push(text);
          return { content: [{ type: "text", text }] };
        },
      );
      server.registerTool("count", { inputSchema: z.object({ to: z.number() }) }, async ({ to }, { mcpReq }) => {
        for (let progress = 1; progress <= to; progress++) {
          const progressToken = mcpReq._meta?.progressToken;
          if (progressToken !== undefined)
            await mcpReq.notify({ method: "notifications/progress", params: { progress, total: to, progressToken } });
        }
        return { content: [{ type: "text", text: `counted to ${to}` }] };
      });
      server.registerTool("wait", { inputSchema: z.object({}) }, async (_input, { mcpReq }) => {
        log.calls.push("wait");
        await new Promise<void>((resolve) => mcpReq.signal.addEventListener("abort", () => resolve(), { once: true }));
        log.cancelled++;
        return { content: [] };
      });
      return server;
    },
  };
}

/** Makes hubs and takes them down again. */
export class TestFleet implements AsyncDisposable {
  readonly root: string = mkdtempSync(join(tmpdir(), "fed-hub-"));
  readonly #hubs: Hub[] = [];

  dirOf(name: string): string {
    return join(this.root, name);
  }

  async hub(name: string, options: Partial<HubOptions> = {}): Promise<Hub> {
    const hub = await createHub({ dir: this.dirOf(name), name, ...options });
    this.#hubs.push(hub);
    return hub;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const hub of this.#hubs) await hub.close();
    rmSync(this.root, { recursive: true, force: true });
  }
}

/** On loopback, found by address alone. */
export const loopback = { listen: { host: "127.0.0.1", port: 0 }, discovery: false } as const;
