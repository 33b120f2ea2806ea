import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { describe, expect, it } from "vitest";
import type { Hub, Scope } from "../src/index.js";
import { type AppLog, pair, TestFleet, testApp } from "./fleet.js";

const localPort = { host: "127.0.0.1", port: 0 };

const eras = {
  "2025-11-25": undefined,
  "2026-07-28": { versionNegotiation: { mode: "auto" } },
} as const;

async function agentOf(hub: Hub, era: keyof typeof eras, scope: Scope = "ReadWrite"): Promise<Client> {
  const { token } = await hub.operators.issueToken({ name: "agent", scope });
  const client = new Client({ name: "agent", version: "1.0.0" }, eras[era]);
  const requestInit = { headers: { authorization: `Bearer ${token}` } };
  await client.connect(new StreamableHTTPClientTransport(new URL(`${hub.url}/mcp`), { requestInit }));
  return client;
}

/** pc1 with an HTTP port; pc2 with the app `echo`, shared. */
async function fleetOf(fleet: TestFleet, log?: AppLog): Promise<Hub> {
  const { pc1, pc2 } = await pair(fleet, { pc1: { http: localPort }, pc2: { apps: { echo: testApp(log) } } });
  await pc2.sharing.share("echo", "cluster");
  return pc1;
}

describe.each(Object.keys(eras) as (keyof typeof eras)[])("an agent that speaks %s", (era) => {
  it("lists, describes, searches and calls the apps of another hub, with progress", async () => {
    await using fleet = new TestFleet();
    const agent = await agentOf(await fleetOf(fleet), era);
    expect(agent.getNegotiatedProtocolVersion()).toBe(era);
    expect((await agent.listTools()).tools.map(({ name }) => name)).toEqual([
      "apps.list",
      "apps.describe",
      "apps.search",
      "app.call",
    ]);
    const call = async (name: string, args: Record<string, unknown>, options = {}) =>
      agent.callTool({ name, arguments: args }, options);

    expect(await call("apps.list", {})).toMatchObject({
      structuredContent: {
        apps: [{ hub: "pc2", app: "echo", path: "lan", status: "ready", tools: ["count", "echo", "wait"] }],
      },
    });
    const described = await call("apps.describe", { hub: "pc2", app: "echo" });
    expect(described.structuredContent).toMatchObject({
      tools: [{ name: "echo" }, { name: "count" }, { name: "wait" }],
    });
    expect(await call("apps.search", { query: "COUNT" })).toMatchObject({
      structuredContent: { matches: [{ hub: "pc2", app: "echo", tool: { name: "count" } }] },
    });
    expect(await call("app.call", { hub: "pc2", app: "echo", tool: "echo", arguments: { text: "far" } })).toMatchObject(
      {
        content: [{ type: "text", text: "far" }],
      },
    );
    const progress: number[] = [];
    await call(
      "app.call",
      { hub: "pc2", app: "echo", tool: "count", arguments: { to: 3 } },
      { onprogress: (p: { progress: number }) => progress.push(p.progress) },
    );
    // This client forgets a call when it reads its result, and with it the progress just before.
    expect(progress.slice(0, 2)).toEqual([1, 2]);
    await agent.close();
  });

  it("reaches the far app when it cancels", async () => {
    await using fleet = new TestFleet();
    const log: AppLog = { calls: [], cancelled: 0 };
    const agent = await agentOf(await fleetOf(fleet, log), era);
    const cancel = new AbortController();
    const waiting = agent.callTool(
      { name: "app.call", arguments: { hub: "pc2", app: "echo", tool: "wait" } },
      { signal: cancel.signal },
    );
    waiting.catch(() => {});
    await expect.poll(() => log.calls).toEqual(["wait"]);
    cancel.abort();
    await expect.poll(() => log.cancelled).toBe(1);
    await expect(waiting).rejects.toThrow();
    await agent.close();
  });

  it("reads the federation's own failures as tool results", async () => {
    await using fleet = new TestFleet();
    const agent = await agentOf(await fleetOf(fleet), era);
    const failed = async (args: Record<string, unknown>) => {
      const result = await agent.callTool({ name: "app.call", arguments: args });
      expect(result.isError).toBe(true);
      return (result.structuredContent as { error: object }).error;
    };
    expect(await failed({ hub: "pc9", app: "echo", tool: "echo" })).toMatchObject({ code: "HUB_UNKNOWN", hub: "pc9" });
    expect(await failed({ hub: "pc2", app: "none", tool: "echo" })).toMatchObject({ code: "SHARING_DENIED" });
    expect(await failed({ app: "none", tool: "echo" })).toMatchObject({ code: "APP_UNKNOWN", retryable: false });
    await agent.close();
  });

  it("calls with a token that may only read what only reads", async () => {
    await using fleet = new TestFleet();
    const agent = await agentOf(await fleetOf(fleet), era, "ReadOnly");
    expect(await agent.callTool({ name: "apps.list", arguments: {} })).toMatchObject({
      structuredContent: { apps: [{ app: "echo" }] },
    });
    const call = (tool: string, args: object) =>
      agent.callTool({ name: "app.call", arguments: { hub: "pc2", app: "echo", tool, arguments: args } });
    expect(await call("echo", { text: "x" })).toMatchObject({ content: [{ text: "x" }] });
    const refused = await call("count", { to: 1 });
    expect(refused.structuredContent).toMatchObject({ error: { code: "SHARING_DENIED" } });
    expect(JSON.stringify(refused)).toContain("scope");
    await agent.close();
  });
});

describe("a session of the older era", () => {
  const headers = { "content-type": "application/json", accept: "application/json, text/event-stream" };
  const initialize = {
    jsonrpc: "2.0",
    id: 1,
    method: "initialize",
    params: { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: { name: "a", version: "1" } },
  };
  const post = (hub: Hub, token: string, body: object, more: Record<string, string> = {}) =>
    fetch(`${hub.url}/mcp`, {
      method: "POST",
      headers: { ...headers, authorization: `Bearer ${token}`, ...more },
      body: JSON.stringify(body),
    });

  it("is its operator's alone and ends when told to", async () => {
    await using fleet = new TestFleet();
    const hub = await fleet.hub("pc1", { http: localPort });
    const { token } = await hub.operators.issueToken({ name: "a", scope: "ReadOnly" });
    const { token: other } = await hub.operators.issueToken({ name: "b", scope: "Admin" });
    const open = async () => {
      const answer = await post(hub, token, initialize);
      expect(answer.status).toBe(200);
      await answer.text();
      return { "mcp-session-id": answer.headers.get("mcp-session-id")!, "mcp-protocol-version": "2025-11-25" };
    };
    const ping = { jsonrpc: "2.0", id: 2, method: "ping" };
    const statusOf = async (session: Record<string, string>, as = token) => {
      const answer = await post(hub, as, ping, session);
      await answer.text();
      return answer.status;
    };

    const first = await open();
    expect(await statusOf(first)).toBe(200);
    expect(await statusOf(first, other)).toBe(404);
    expect(await statusOf({ ...first, "mcp-session-id": crypto.randomUUID() })).toBe(404);
    const ended = await fetch(`${hub.url}/mcp`, {
      method: "DELETE",
      headers: { authorization: `Bearer ${token}`, ...first },
    });
    expect(ended.status).toBe(200);
    expect(await statusOf(first)).toBe(404);
  });

  it("outlives a restart of its hub", async () => {
    await using fleet = new TestFleet();
    const first = await fleet.hub("pc1", { http: localPort });
    const { token } = await first.operators.issueToken({ name: "a", scope: "ReadOnly" });
    const opened = await post(first, token, initialize);
    await opened.text();
    const session = { "mcp-session-id": opened.headers.get("mcp-session-id")! };
    await first.close();

    const second = await fleet.hub("pc1", { http: localPort });
    const answer = await post(second, token, { jsonrpc: "2.0", id: 2, method: "ping" }, session);
    expect(answer.status).toBe(200);
    await answer.text();
  });

  it("is not needed for a single request", async () => {
    await using fleet = new TestFleet();
    const hub = await fleet.hub("pc1", { http: localPort });
    const { token } = await hub.operators.issueToken({ name: "a", scope: "ReadOnly" });
    const answer = await post(hub, token, { jsonrpc: "2.0", id: 1, method: "tools/list" });
    expect(await answer.text()).toContain("app.call");
  });
});

describe("an agent on its own hub", () => {
  it("launches and stops apps with an Admin token, and sees these tools with no other", async () => {
    await using fleet = new TestFleet();
    const hub = await fleet.hub("pc1", { http: localPort, apps: { echo: testApp() } });
    const namesFor = async (scope: "Admin" | "ReadWrite") =>
      (await (await agentOf(hub, "2026-07-28", scope)).listTools()).tools.map(({ name }) => name);
    expect(await namesFor("ReadWrite")).not.toContain("apps.stop");
    expect(await namesFor("Admin")).toEqual(expect.arrayContaining(["apps.launch", "apps.stop"]));

    const admin = await agentOf(hub, "2026-07-28", "Admin");
    const use = (name: string) => admin.callTool({ name, arguments: { app: "echo" } });
    expect(await use("apps.stop")).toMatchObject({ structuredContent: { app: "echo", status: "stopped" } });
    const listed = await admin.callTool({ name: "apps.list", arguments: {} });
    expect(listed).toMatchObject({ structuredContent: { apps: [{ app: "echo", status: "stopped" }] } });
    expect(await use("apps.launch")).toMatchObject({ structuredContent: { app: "echo", status: "ready" } });

    const user = await agentOf(hub, "2026-07-28", "ReadWrite");
    const refused = await user.callTool({ name: "apps.stop", arguments: { app: "echo" } });
    expect(refused).toMatchObject({ isError: true, structuredContent: { error: { code: "SCOPE_MISSING" } } });
  });
});
