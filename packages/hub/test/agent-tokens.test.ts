import { expectCode } from "@fed/core/testing";
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { describe, expect, it } from "vitest";
import type { Hub, IssuedToken, TokenInfo, TokenRequest } from "../src/index.js";
import { type AppLog, pair, TestFleet, testApp } from "./fleet.js";

const localPort = { host: "127.0.0.1", port: 0 };

interface Answer<T> {
  readonly status: number;
  readonly body: T & { readonly code?: string };
}

/** What `token` may do over REST. */
function rest(hub: Hub, token: string) {
  return async <T = unknown>(method: string, path = "", body?: object): Promise<Answer<T>> => {
    const response = await fetch(`${hub.url}/api/federation/agent-tokens${path}`, {
      method,
      headers: { authorization: `Bearer ${token}` },
      ...(body ? { body: JSON.stringify(body) } : {}),
    });
    return { status: response.status, body: (await response.json()) as Answer<T>["body"] };
  };
}

async function agentOf(hub: Hub, token: string): Promise<Client> {
  const client = new Client({ name: "agent", version: "1.0.0" }, { versionNegotiation: { mode: "auto" } });
  const requestInit = { headers: { authorization: `Bearer ${token}` } };
  await client.connect(new StreamableHTTPClientTransport(new URL(`${hub.url}/mcp`), { requestInit }));
  return client;
}

/** What one of the hub's own tools answers: its content, or the code of the federation's error. */
async function use(agent: Client, name: string, args: Record<string, unknown>): Promise<unknown> {
  const { structuredContent, content } = await agent.callTool({ name, arguments: args });
  const { error, ...rest } = (structuredContent ?? {}) as { error?: { code: string } };
  return error?.code ?? (structuredContent ? rest : content);
}

const call = (agent: Client, hub: string | undefined, tool: string, app = "echo") =>
  use(agent, "app.call", { ...(hub && { hub }), app, tool, arguments: { text: "x", to: 1 } });

async function seen(agent: Client): Promise<string[]> {
  const { apps } = (await use(agent, "apps.list", {})) as { apps: { hub: string; app: string }[] };
  return apps.map(({ hub, app }) => `${hub}/${app}`);
}

async function toolsOf(agent: Client, hub: string): Promise<string[]> {
  const { tools } = (await use(agent, "apps.describe", { hub, app: "echo" })) as { tools: { name: string }[] };
  return tools.map(({ name }) => name);
}

/** pc1 with an HTTP port, and the app `echo` on both hubs; pc2 shares it. */
async function fleetOf(fleet: TestFleet, log?: AppLog): Promise<{ pc1: Hub; pc2: Hub }> {
  const { pc1, pc2 } = await pair(fleet, {
    pc1: { http: localPort, apps: { echo: testApp(), other: testApp() } },
    pc2: { apps: { echo: testApp(log) } },
  });
  await pc1.apps.settled();
  await pc2.sharing.share("echo", "cluster");
  return { pc1, pc2 };
}

async function narrowed(hub: Hub, request: Partial<TokenRequest>): Promise<Client> {
  return agentOf(hub, (await hub.operators.issueToken({ name: "ann", scope: "ReadWrite", ...request })).token);
}

describe("over REST", () => {
  it("an Admin makes, lists and revokes tokens of any operator", async () => {
    await using fleet = new TestFleet();
    const hub = await fleet.hub("pc1", { http: localPort });
    const admin = rest(hub, (await hub.operators.issueToken({ name: "root", scope: "Admin" })).token);
    const made = await admin<IssuedToken>("POST", "", { name: "ann", scope: "ReadOnly", ttlMs: 60_000 });
    expect(made).toMatchObject({ status: 201, body: { name: "ann", operator: `ann@${hub.hubId}`, state: "active" } });
    const { token, id } = made.body;
    expect((await admin<TokenInfo[]>("GET")).body.map(({ name }) => name)).toEqual(["root", "ann"]);
    expect(JSON.stringify(await admin("GET"))).not.toContain(token);
    expect(await admin("GET", `/${id}`)).toMatchObject({ status: 200, body: { id } });
    expect(await admin("DELETE", `/${id}`)).toMatchObject({ status: 200, body: [{ id, state: "revoked" }] });
    expect(await rest(hub, token)("GET")).toMatchObject({ status: 401, body: { code: "UNAUTHENTICATED" } });
    expect((await admin("DELETE", "/tok_aaaaaaaa")).status).toBe(404);
    await expect
      .poll(async () => (await hub.audit.tail(9)).map(({ record }) => record))
      .toMatchObject([
        { type: "token.issued", name: "root" },
        { type: "token.issued", token: id, operator: `ann@${hub.hubId}` },
        { type: "token.revoked", token: id, ended: 1 },
      ]);
  });

  it("everybody else makes, sees and revokes what is below its own token, and itself", async () => {
    await using fleet = new TestFleet();
    const hub = await fleet.hub("pc1", { http: localPort });
    const ann = await hub.operators.issueToken({ name: "ann", scope: "ReadWrite" });
    const other = await hub.operators.issueToken({ name: "bob", scope: "ReadWrite" });
    const asAnn = rest(hub, ann.token);
    expect(await asAnn("POST", "", { name: "ann", scope: "ReadOnly" })).toMatchObject({
      status: 403,
      body: { code: "SCOPE_MISSING" },
    });
    const child = await asAnn<IssuedToken>("POST", "", { name: "helper", parent: "current", scope: "ReadOnly" });
    expect(child).toMatchObject({ status: 201, body: { parent: ann.id, operator: ann.operator, scope: "ReadOnly" } });
    const asChild = rest(hub, child.body.token);
    const grandchild = await asChild<IssuedToken>("POST", "", { name: "deeper", parent: child.body.id });
    expect(grandchild.status).toBe(201);

    expect(await asChild("POST", "", { name: "x", parent: "current", scope: "ReadWrite" })).toMatchObject({
      status: 403,
      body: { code: "AGENT_TOKEN_TOO_WIDE" },
    });
    for (const id of [ann.id, other.id, "tok_aaaaaaaa"]) {
      expect(await asChild("GET", `/${id}`)).toMatchObject({ status: 404, body: { code: "AGENT_TOKEN_UNKNOWN" } });
      expect((await asChild("DELETE", `/${id}`)).status).toBe(404);
      expect((await asChild("POST", "", { name: "x", parent: id })).status).toBe(404);
    }
    expect((await asChild<TokenInfo[]>("GET")).body.map(({ name }) => name)).toEqual(["helper", "deeper"]);
    expect((await asAnn<TokenInfo[]>("GET")).body.map(({ name }) => name)).toEqual(["ann", "helper", "deeper"]);
    expect((await asChild("DELETE", "/current")).status).toBe(200);
    expect((await asChild("GET")).status).toBe(401);
    expect((await rest(hub, grandchild.body.token)("GET")).status).toBe(401);
    expect((await asAnn("GET", "/current")).body).toMatchObject({ id: ann.id });
  });

  it("an Admin whose token has a parent leaves nothing behind when that ends", async () => {
    await using fleet = new TestFleet();
    const hub = await fleet.hub("pc1", { http: localPort });
    const root = await hub.operators.issueToken({ name: "root", scope: "Admin" });
    const delegate = await hub.operators.issueToken({ name: "delegate", parent: root.id });
    const asDelegate = rest(hub, delegate.token);
    expect(await asDelegate("POST", "", { name: "eve", scope: "ReadOnly" })).toMatchObject({ status: 403 });
    expect(await asDelegate("POST", "", { name: "eve", parent: root.id })).toMatchObject({ status: 403 });
    const child = await asDelegate<IssuedToken>("POST", "", { name: "x", parent: "current" });
    await hub.operators.revokeToken(delegate.id);
    expect((await rest(hub, child.body.token)("GET")).status).toBe(401);
  });

  it("bad input ends in a code", async () => {
    await using fleet = new TestFleet();
    const hub = await fleet.hub("pc1", { http: localPort });
    const admin = rest(hub, (await hub.operators.issueToken({ name: "root", scope: "Admin" })).token);
    for (const body of [{}, { name: "x" }, { name: "X", scope: "ReadOnly" }, { name: "x", scope: "ReadOnly", a: 1 }]) {
      expect(await admin("POST", "", body)).toMatchObject({ status: 400, body: { code: "REQUEST_INVALID" } });
    }
    expect((await admin("GET", `/${"x".repeat(100)}`)).status).toBe(400);
  });
});

describe("a token for some apps only", () => {
  it("for an app on one hub lists and calls that one, also when the call names no hub", async () => {
    await using fleet = new TestFleet();
    const { pc1 } = await fleetOf(fleet);
    const all = await narrowed(pc1, {});
    expect(await seen(all)).toEqual(["pc1/echo", "pc1/other", "pc2/echo"]);
    const agent = await narrowed(pc1, { allow: [{ hub: "pc2", app: "echo" }] });
    expect(await seen(agent)).toEqual(["pc2/echo"]);
    expect(await call(agent, "pc2", "count")).toMatchObject([{ text: "counted to 1" }]);
    expect(await call(agent, undefined, "count")).toMatchObject([{ text: "counted to 1" }]);
    expect(await call(agent, "pc1", "count")).toBe("APP_NOT_ALLOWED");
    expect(await call(agent, undefined, "count", "other")).toBe("APP_NOT_ALLOWED");
    expect(await use(agent, "apps.describe", { hub: "pc1", app: "echo" })).toBe("APP_NOT_ALLOWED");
  });

  it("for one tool shows and calls that tool alone, here and there, and reads nothing else of the app", async () => {
    await using fleet = new TestFleet();
    const { pc1, pc2 } = await fleetOf(fleet);
    const agent = await narrowed(pc1, { allow: [{ app: "echo", tool: "count" }] });
    expect(await seen(agent)).toEqual(["pc1/echo", "pc2/echo"]);
    for (const hub of ["pc1", "pc2"]) {
      expect(await toolsOf(agent, hub)).toEqual(["count"]);
      expect(await call(agent, hub, "count")).toMatchObject([{ text: "counted to 1" }]);
      expect(await call(agent, hub, "echo")).toBe("APP_NOT_ALLOWED");
    }
    // The other hub never heard of it.
    const heard = (await pc2.audit.tail(100)).filter(({ record }) => record.tool === "echo");
    expect(heard).toEqual([]);
  });

  it("names its hub by id: another hub of that name gets nothing", async () => {
    await using fleet = new TestFleet();
    const { pc1, pc2 } = await fleetOf(fleet);
    const { id } = await pc1.operators.issueToken({
      name: "ann",
      scope: "ReadWrite",
      allow: [{ hub: pc2.hubId, app: "echo" }],
    });
    expect(pc1.operators.tokens().find((token) => token.id === id)?.allow).toEqual([{ hub: "pc2", app: "echo" }]);
    await expectCode(
      pc1.operators.issueToken({ name: "ann", scope: "ReadOnly", allow: [{ hub: "pc9" }] }),
      "HUB_UNKNOWN",
    );
  });
});

describe("scopes", () => {
  it("ReadOnly calls what only reads, here and on other hubs, and sees no more than that", async () => {
    await using fleet = new TestFleet();
    const { pc1 } = await fleetOf(fleet);
    const agent = await narrowed(pc1, { scope: "ReadOnly" });
    expect(await seen(agent)).toEqual(["pc1/echo", "pc1/other", "pc2/echo"]);
    for (const hub of ["pc1", "pc2"]) {
      expect(await call(agent, hub, "echo")).toMatchObject([{ text: "x" }]);
      expect(await toolsOf(agent, hub)).toEqual(["echo"]);
      expect(await call(agent, hub, "count")).toBe("SHARING_DENIED");
    }
  });
});

describe("a revoked token", () => {
  it("ends the calls made with it, and with those below it, and no others", async () => {
    await using fleet = new TestFleet();
    const log: AppLog = { calls: [], cancelled: 0 };
    const { pc1 } = await fleetOf(fleet, log);
    const parent = await pc1.operators.issueToken({ name: "ann", scope: "ReadWrite" });
    const child = await pc1.operators.issueToken({ name: "helper", parent: parent.id });
    const kept = await pc1.operators.issueToken({ name: "ann", scope: "ReadWrite" });
    const agents = await Promise.all([parent, child, kept].map(({ token }) => agentOf(pc1, token)));
    const [first, second, third] = agents.map((agent) => call(agent, "pc2", "wait"));
    await expect.poll(() => log.calls).toEqual(["wait", "wait", "wait"]);
    await pc1.operators.revokeToken(parent.id);
    expect(await first).toBe("UNAUTHENTICATED");
    expect(await second).toBe("UNAUTHENTICATED");
    await expect.poll(() => log.cancelled).toBe(2);
    const still = await Promise.race([third, "running"]);
    expect(still).toBe("running");
    await pc1.operators.revokeToken(kept.id);
    expect(await third).toBe("UNAUTHENTICATED");
  });

  it("is named in the audit log beside the operator it acted for", async () => {
    await using fleet = new TestFleet();
    const { pc1 } = await fleetOf(fleet);
    const parent = await pc1.operators.issueToken({ name: "ann", scope: "ReadWrite" });
    const child = await pc1.operators.issueToken({ name: "helper", parent: parent.id });
    await call(await agentOf(pc1, child.token), "pc1", "echo");
    const decisions = (await pc1.audit.tail(100)).filter(({ record }) => record.tool === "echo");
    expect(decisions).toMatchObject([{ record: { operator: parent.operator, token: child.id } }]);
  });

  it("is refused in a session of the older era that it opened, or that its parent did", async () => {
    await using fleet = new TestFleet();
    const { pc1 } = await fleetOf(fleet);
    const parent = await pc1.operators.issueToken({ name: "ann", scope: "ReadWrite" });
    const child = await pc1.operators.issueToken({
      name: "helper",
      parent: parent.id,
      allow: [{ hub: "pc1", app: "other" }],
    });
    const post = (token: string, body: object, session?: string) =>
      fetch(`${pc1.url}/mcp`, {
        method: "POST",
        headers: {
          authorization: `Bearer ${token}`,
          "content-type": "application/json",
          accept: "application/json, text/event-stream",
          ...(session && { "mcp-session-id": session }),
        },
        body: JSON.stringify({ jsonrpc: "2.0", ...body }),
      });
    const opened = await post(parent.token, {
      id: 1,
      method: "initialize",
      params: { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: { name: "agent", version: "1" } },
    });
    await opened.text();
    const session = opened.headers.get("mcp-session-id")!;
    const asked = {
      id: 2,
      method: "tools/call",
      params: { name: "app.call", arguments: { hub: "pc1", app: "echo", tool: "echo", arguments: { text: "x" } } },
    };
    // Either there is no such session for the child, or it is still only for what the child may.
    const answer = await post(child.token, asked, session);
    const said = await answer.text();
    expect(answer.status === 404 || said.includes("APP_NOT_ALLOWED"), said).toBe(true);
    await pc1.operators.revokeToken(parent.id);
    expect((await post(parent.token, asked, session)).status).toBe(401);
  });
});
