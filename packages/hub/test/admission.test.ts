import { Agent, request } from "node:http";
import { createTestClock, expectCode } from "@fed/core/testing";
import { describe, expect, it } from "vitest";
import type { Hub, HubOptions, Operator } from "../src/index.js";
import { createAdmission } from "../src/operators/admission.js";
import { type AppLog, TestFleet, testApp } from "./fleet.js";

const http = { host: "127.0.0.1", port: 0 };
const operator = (name: string): Operator => ({ principal: name, roles: [], scope: "ReadWrite" });

/** Work that the test ends. */
function gate() {
  const { promise, resolve } = Promise.withResolvers<void>();
  let begun = 0;
  return {
    work: () => {
      begun++;
      return promise;
    },
    open: resolve,
    get begun() {
      return begun;
    },
  };
}

interface Answer {
  readonly status: number;
  readonly retryAfter: string | undefined;
  /** The code of a problem or of the federation's error in a tool result; undefined for a result. */
  readonly code: string | undefined;
}

/** Sends one request as the bearer of `token`; over one of `agent`'s connections. */
function send(hub: Hub, token: string, agent: Agent, path: string, body?: object): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const headers = {
      authorization: `Bearer ${token}`,
      ...(body && { "content-type": "application/json", accept: "application/json, text/event-stream" }),
    };
    const sent = request(`${hub.url}${path}`, { method: body ? "POST" : "GET", headers, agent }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk: string) => {
        text += chunk;
      });
      response.on("error", reject).on("end", () => {
        const code = /"code":"([A-Z_]+)"/.exec(text)?.[1];
        resolve({ status: response.statusCode ?? 0, retryAfter: response.headers["retry-after"], code });
      });
    });
    sent.on("error", reject).end(body && JSON.stringify(body));
  });
}

const callOf = (tool: string, text = "x") => ({
  jsonrpc: "2.0",
  id: 1,
  method: "tools/call",
  params: { name: "app.call", arguments: { app: "echo", tool, arguments: { text } } },
});

async function hubOf(fleet: TestFleet, options: Partial<HubOptions> = {}, log?: AppLog): Promise<Hub> {
  const hub = await fleet.hub("pc1", { http, apps: { echo: testApp(log) }, ...options });
  await hub.apps.settled();
  return hub;
}

describe("what the ports take of one operator", () => {
  it("is at most 256 requests and 256 calls at once; others are not counted with it", async () => {
    const admission = createAdmission(createTestClock());
    const { work, open } = gate();
    const ann = operator("ann");
    const running = Array.from({ length: 256 }, () => admission.request(ann, work));
    const calls = Array.from({ length: 256 }, () => admission.call(ann, "tools/call", work));
    const error = await expectCode(admission.request(ann, work), "BUSY");
    expect(error.retryable).toBe(true);
    await expectCode(admission.call(ann, "resources/read", work), "BUSY");
    const listening = admission.call(ann, "subscriptions/listen", work);
    const other = admission.request(operator("bob"), work);
    open();
    await Promise.all([...running, ...calls, listening, other]);
    await admission.request(ann, work);
    await admission.call(ann, "tools/call", work);
  });

  it("is at most 2048 of all at once", async () => {
    const admission = createAdmission(createTestClock());
    const { work, open } = gate();
    const running = Array.from({ length: 2048 }, (_, i) =>
      admission.call(operator(`op-${i % 64}`), "tools/call", work),
    );
    await expectCode(admission.call(operator("late"), "tools/call", work), "BUSY");
    open();
    await Promise.all(running);
  });

  it("is given back when the work fails", async () => {
    const admission = createAdmission(createTestClock());
    const ann = operator("ann");
    for (let i = 0; i < 300; i++) {
      await expect(admission.request(ann, () => Promise.reject(new Error("no")))).rejects.toThrow("no");
    }
  });

  it("is refused before any of it is done", async () => {
    const clock = createTestClock();
    const admission = createAdmission(clock, { perSecond: 2, burst: 1 });
    const { work, open } = gate();
    open();
    const probe = gate();
    probe.open();
    await admission.request(operator("ann"), work);
    const error = await expectCode(admission.request(operator("ann"), probe.work), "RATE_LIMITED");
    expect(error).toMatchObject({ retryable: true, details: { retryAfterMs: 500 } });
    expect(probe.begun).toBe(0);
    await clock.advance(500);
    await admission.request(operator("ann"), probe.work);
  });
});

describe("over HTTP", () => {
  it("the rate is the operator's, whatever tokens it has; the answer says when to come back", async () => {
    await using fleet = new TestFleet();
    // Slower than this test, so that nothing is given back meanwhile.
    const hub = await hubOf(fleet, { limits: { operator: { perSecond: 0.01, burst: 4 } } });
    const parent = await hub.operators.issueToken({ name: "ann", scope: "ReadWrite" });
    const child = await hub.operators.issueToken({ name: "helper", parent: parent.id });
    const second = await hub.operators.issueToken({ name: "ann", scope: "ReadOnly" });
    const bob = await hub.operators.issueToken({ name: "bob", scope: "ReadOnly" });
    const agent = new Agent();
    const ask = (token: string, path = "/api/federation/identity", body?: object) =>
      send(hub, token, agent, path, body);
    for (const { token } of [parent, child, second]) expect((await ask(token)).status).toBe(200);
    expect(await ask(child.token, "/mcp", callOf("echo"))).toMatchObject({ status: 200, code: undefined });
    for (const { token } of [parent, child, second]) {
      expect(await ask(token)).toMatchObject({ status: 429, code: "RATE_LIMITED", retryAfter: "100" });
      expect(await ask(token, "/mcp", callOf("echo"))).toMatchObject({ status: 429, code: "RATE_LIMITED" });
    }
    expect((await ask(bob.token)).status).toBe(200);
    agent.destroy();
  });

  it("calls that wait are counted until they end, and other operators go on", async () => {
    await using fleet = new TestFleet();
    const log: AppLog = { calls: [], cancelled: 0 };
    const hub = await hubOf(fleet, {}, log);
    const [ann, bob] = await Promise.all(
      ["ann", "bob"].map((name) => hub.operators.issueToken({ name, scope: "ReadWrite" })),
    );
    const agent = new Agent();
    const waiting = Array.from({ length: 256 }, () => send(hub, ann!.token, agent, "/mcp", callOf("wait")));
    await expect.poll(() => log.calls.length).toBe(256);
    expect(await send(hub, ann!.token, agent, "/mcp", callOf("echo"))).toMatchObject({ code: "BUSY" });
    expect(await send(hub, bob!.token, agent, "/mcp", callOf("echo"))).toMatchObject({ status: 200, code: undefined });
    await hub.operators.revokeToken(ann!.id);
    const ended = await Promise.all(waiting);
    expect(new Set(ended.map(({ code }) => code))).toEqual(new Set(["UNAUTHENTICATED"]));
    await expect.poll(() => log.cancelled).toBe(256);
    agent.destroy();
  });

  it("10,000 calls at once end in answers or in typed refusals, and memory and others stay as they were", async () => {
    await using fleet = new TestFleet();
    const hub = await hubOf(fleet);
    const [ann, bob] = await Promise.all(
      ["ann", "bob"].map((name) => hub.operators.issueToken({ name, scope: "ReadWrite" })),
    );
    const agent = new Agent({ keepAlive: true, maxSockets: 500 });
    const flood = Array.from({ length: 10_000 }, () => send(hub, ann!.token, agent, "/mcp", callOf("echo")));
    const calm = new Agent();
    for (let i = 0; i < 10; i++) {
      expect(await send(hub, bob!.token, calm, "/mcp", callOf("echo"))).toMatchObject({ status: 200, code: undefined });
    }
    const counts = new Map<string, number>();
    for (const { status, code, retryAfter } of await Promise.all(flood)) {
      const kind = `${status} ${code}`;
      counts.set(kind, (counts.get(kind) ?? 0) + 1);
      if (status !== 200) expect(Number(retryAfter)).toBeGreaterThanOrEqual(1);
    }
    const allowed = ["200 undefined", "200 BUSY", "429 RATE_LIMITED", "503 BUSY"];
    expect([...counts.keys()].filter((kind) => !allowed.includes(kind))).toEqual([]);
    expect(counts.get("200 undefined")).toBeGreaterThan(256);
    expect(process.memoryUsage().rss).toBeLessThan(1024 ** 3);
    expect(await send(hub, ann!.token, calm, "/mcp", callOf("echo"))).toMatchObject({ status: 200, code: undefined });
    agent.destroy();
    calm.destroy();
  }, 60_000);
});
