/** Tasks: those of 2025-11-25 between an agent and an app that know them, and those of the extension of 2026-07-28. */

import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { InMemoryTaskStore } from "@modelcontextprotocol/sdk/experimental/tasks/stores/in-memory.js";
import { CallToolResultSchema } from "@modelcontextprotocol/sdk/types.js";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Hub } from "../../src/index.js";
import { pair, TestFleet } from "../fleet.js";
import { Apps, program } from "./apps.js";
import { type Endpoint, LegacyAgent, modern } from "./raw-agent.js";
import { type RawMessage, rawApp } from "./raw-app.js";

const apps = new Apps();
const fleet = new TestFleet();
const http = { host: "127.0.0.1", port: 0 };
const heard: RawMessage[] = [];
let hubs: Record<"own" | "second", Hub>;

const extension = "io.modelcontextprotocol/tasks";
const task = { taskId: "t-1", status: "working", createdAt: "2026-11-21T00:00:00Z", ttlMs: 60_000, pollIntervalMs: 10 };

function taskApp(message: RawMessage) {
  heard.push(message);
  const { method, params = {} } = message;
  if (method === "tools/list")
    return { result: { resultType: "complete", tools: [], ttlMs: 0, cacheScope: "private" } };
  if (method === "tools/call") return { result: { resultType: "task", ...task } };
  if (params.taskId !== task.taskId) return { error: { code: -32602, message: "No such task" } };
  if (method === "tasks/get") {
    const result = { resultType: "complete", content: [{ type: "text", text: "done" }] };
    return { result: { resultType: "complete", ...task, status: "completed", result } };
  }
  return { result: { resultType: "complete" } };
}

beforeAll(async () => {
  const configs = {
    old: program("task-app.ts"),
    new: await apps.listen(rawApp("new", taskApp, { tools: {}, extensions: { [extension]: {} } })),
  };
  const { pc1, pc2 } = await pair(fleet, { pc1: { http }, pc2: { http, apps: configs } });
  for (const app of Object.keys(configs)) await pc2.sharing.share(app, "cluster");
  hubs = { own: pc2, second: pc1 };
});
afterAll(async () => {
  await fleet[Symbol.asyncDispose]();
  await apps[Symbol.asyncDispose]();
});

async function endpointOf(where: "own" | "second", path: string, name = "ann"): Promise<Endpoint> {
  const hub = hubs[where];
  const { token } = await hub.operators.issueToken({ name, scope: "ReadWrite" });
  return { url: `${hub.url}${path}`, token };
}

describe.each(["own", "second"] as const)("through the %s hub", (where) => {
  it("an old agent begins a task, asks how it is, and takes its result", async () => {
    const { url, token } = await endpointOf(where, "/apps/pc2/old/mcp");
    const client = new Client({ name: "agent", version: "1" }, { taskStore: new InMemoryTaskStore() });
    const requestInit = { headers: { authorization: `Bearer ${token}` } };
    await client.connect(new StreamableHTTPClientTransport(new URL(url), { requestInit }) as never);
    expect(client.getServerCapabilities()).toMatchObject({ tasks: { requests: { tools: { call: {} } } } });

    const seen: string[] = [];
    const params = { name: "slow", arguments: { label: where } };
    const { tasks } = client.experimental;
    await client.listTools();
    for await (const message of tasks.callToolStream(params, CallToolResultSchema, { task: { ttl: 60_000 } })) {
      seen.push(message.type);
      if (message.type === "result") expect(message.result).toMatchObject({ content: [{ text: `slow ${where}` }] });
      if (message.type === "error") throw message.error;
    }
    expect(seen[0]).toBe("taskCreated");
    expect(seen.at(-1)).toBe("result");

    const stream = tasks.callToolStream({ name: "never", arguments: {} }, CallToolResultSchema, { task: {} });
    const created = (await stream.next()).value as { task: { taskId: string } };
    const { taskId } = created.task;
    expect((await tasks.listTasks()).tasks.map((one) => one.taskId)).toContain(taskId);
    expect(await tasks.getTask(taskId)).toMatchObject({ taskId, status: "working" });
    expect(await tasks.cancelTask(taskId)).toMatchObject({ taskId, status: "cancelled" });
    await expect(tasks.getTask("nobody's")).rejects.toMatchObject({ code: -32602 });
    await client.close();
  });

  it("an old agent names a task of another app through the fleet's tools", async () => {
    const agent = await LegacyAgent.open(await endpointOf(where, "/mcp"));
    const call = { hub: "pc2", app: "old", tool: "slow", arguments: { label: "fleet" } };
    const begun = await agent.request("tools/call", { name: "app.call", arguments: call, task: {} });
    const { taskId } = begun.last.result!.task as { taskId: string };
    const state = async () => (await agent.request("tasks/get", { taskId })).last.result;
    await expect.poll(state).toMatchObject({ taskId, status: "completed" });
    const { last } = await agent.request("tasks/result", { taskId });
    expect(last.result).toMatchObject({ content: [{ text: "slow fleet" }] });
  });

  it("a new agent hears of a task in the extension's words", async () => {
    const endpoint = await endpointOf(where, "/apps/pc2/new/mcp");
    const capabilities = { extensions: { [extension]: {} } };
    const discovered = await modern(endpoint, "server/discover", {}, { capabilities });
    expect(discovered.last.result).toMatchObject({ capabilities: { extensions: { [extension]: {} } } });
    const { last } = await modern(endpoint, "tools/call", { name: "slow" }, { capabilities });
    expect(last.result).toEqual({ resultType: "task", ...task });
    expect(heard.at(-1)!.params).toMatchObject({
      _meta: { "io.modelcontextprotocol/clientCapabilities": capabilities },
    });
    const ask = (method: string, taskId: string) =>
      modern(endpoint, method, { taskId }, { capabilities, headers: { "mcp-name": taskId } });
    expect((await ask("tasks/get", "t-1")).last.result).toMatchObject({
      status: "completed",
      result: { content: [{}] },
    });
    expect((await ask("tasks/update", "t-1")).last.result).toMatchObject({ resultType: "complete" });
    expect((await ask("tasks/cancel", "t-1")).last.result).toMatchObject({ resultType: "complete" });
    expect((await ask("tasks/get", "t-2")).last.error).toEqual({ code: -32602, message: "No such task" });
  });

  it("a new agent names a task of another app through the fleet's tools", async () => {
    const endpoint = await endpointOf(where, "/mcp");
    const call = { hub: "pc2", app: "new", tool: "slow", arguments: {} };
    const begun = await modern(endpoint, "tools/call", { name: "app.call", arguments: call });
    expect(begun.last.result).toMatchObject({ resultType: "task", status: "working" });
    const { taskId } = begun.last.result as { taskId: string };
    expect(taskId).not.toBe(task.taskId);
    const got = await modern(endpoint, "tasks/get", { taskId }, { headers: { "mcp-name": taskId } });
    expect(got.last.result).toMatchObject({ taskId, status: "completed" });
  });

  it("nobody sees, asks for or cancels another operator's task", async () => {
    const agentOf = async (name: string) => LegacyAgent.open(await endpointOf(where, "/apps/pc2/old/mcp", name));
    const [ann, bob] = await Promise.all([agentOf("ann"), agentOf("bob")]);
    const begun = await ann.request("tools/call", { name: "never", arguments: {}, task: {} });
    const { taskId } = begun.last.result!.task as { taskId: string };
    const listed = async (agent: LegacyAgent) => JSON.stringify((await agent.request("tasks/list")).last.result);
    expect(await listed(ann)).toContain(taskId);
    expect(await listed(bob)).not.toContain(taskId);
    for (const method of ["tasks/get", "tasks/result", "tasks/cancel"]) {
      expect((await bob.request(method, { taskId })).last.error).toMatchObject({ code: -32602 });
    }
    expect((await ann.request("tasks/get", { taskId })).last.result).toMatchObject({ status: "working" });

    const capabilities = { extensions: { [extension]: {} } };
    const [annie, bobby] = await Promise.all(
      ["ann", "bob"].map((name) => endpointOf(where, "/apps/pc2/new/mcp", name)),
    );
    await modern(annie!, "tools/call", { name: "slow" }, { capabilities });
    const headers = { "mcp-name": task.taskId };
    const get = (who: Endpoint) => modern(who, "tasks/get", { taskId: task.taskId }, { capabilities, headers });
    expect((await get(bobby!)).last.error).toMatchObject({ code: -32602 });
    expect((await get(annie!)).last.result).toMatchObject({ status: "completed" });
  });
});
