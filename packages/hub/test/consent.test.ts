import { expectCode } from "@fed/core/testing";
import type { Notification } from "@fed/router";
import { McpServer } from "@modelcontextprotocol/server";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import type { AppConfig, Approval, Hub } from "../src/index.js";
import { pair, TestFleet } from "./fleet.js";

/** An app whose tools can read, write and do worse; it keeps what was done. */
function notesApp(done: unknown[] = []): AppConfig {
  return {
    server: () => {
      const server = new McpServer({ name: "notes", version: "1.0.0" });
      const tools = { read: { readOnlyHint: true }, write: undefined, wipe: { destructiveHint: true } };
      for (const [name, annotations] of Object.entries(tools)) {
        server.registerTool(name, { inputSchema: z.object({}).loose(), annotations }, (input) => {
          done.push([name, input]);
          return { content: [{ type: "text", text: `${name} is done` }] };
        });
      }
      return server;
    },
  };
}

const http = { host: "127.0.0.1", port: 0 };

/** `pc1`, whose operator ann calls, and `pc2`, which owns `notes` and shares it with everybody. */
async function twoHubs(fleet: TestFleet, done: unknown[] = [], options: object = {}): Promise<{ pc1: Hub; pc2: Hub }> {
  const hubs = await pair(fleet, { pc1: { http }, pc2: { http, apps: { notes: notesApp(done) }, ...options } });
  await hubs.pc2.sharing.share("notes", "cluster");
  return hubs;
}

interface Options {
  readonly signal?: AbortSignal;
  readonly arguments?: Record<string, unknown>;
  readonly idempotencyKey?: string;
  readonly onNotification?: (notification: Notification) => void;
  readonly name?: string;
}

function call(from: Hub, tool: string, { arguments: args = {}, name = "ann", ...options }: Options = {}) {
  const operator = from.operators.local(name, { roles: ["nurse"] });
  return from.apps.call({ hub: "pc2", app: "notes", tool, arguments: args }, { operator, ...options });
}

/** Resolves with the first call that waits. */
async function asked(hub: Hub, count = 1): Promise<Approval> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const check = () => hub.approvals.pending().length >= count && resolve();
  const stop = hub.approvals.watch(check);
  check();
  await promise;
  stop();
  return hub.approvals.pending().at(-1)!;
}

const boss = (hub: Hub) => ({ operator: hub.operators.local("boss") });

describe("a call that is to be asked about", () => {
  it("waits for the operator of the owning hub, who sees who wants what, without secrets", async () => {
    await using fleet = new TestFleet();
    const done: unknown[] = [];
    const { pc1, pc2 } = await twoHubs(fleet, done);
    await pc2.consent.change("notes", "*", { write: "ask" });
    const heard: Notification[] = [];
    const calling = call(pc1, "write", {
      arguments: { title: "milk", password: "hunter2", text: "x".repeat(10_000) },
      onNotification: (notification) => heard.push(notification),
    });
    const approval = await asked(pc2);
    expect(done).toEqual([]);
    expect(approval).toMatchObject({
      operator: `ann@${pc1.hubId}`,
      hub: "pc1",
      homeHub: pc1.hubId,
      roles: ["nurse"],
      app: "notes",
      tool: "write",
      risk: "write",
      arguments: { title: "milk", password: "[redacted]" },
    });
    expect(approval.expiresAtMs - approval.askedAtMs).toBe(120_000);
    expect(JSON.stringify(approval.arguments).length).toBeLessThanOrEqual(2048);
    await expect.poll(() => heard[0]?.params).toMatchObject({ message: "waiting for approval on pc2" });
    await pc2.approvals.answer(approval.id, "once", boss(pc2));
    await calling;
    expect(done).toHaveLength(1);
    expect(pc2.approvals.pending()).toEqual([]);
  });
});
