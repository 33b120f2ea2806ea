/** Agents that break off, forge, repeat themselves and talk nonsense: typed answers, nothing left behind, others unharmed. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { Hub } from "../src/index.js";
import { Apps } from "./eras/apps.js";
import { type Endpoint, LegacyAgent, messagesOf, modern, post } from "./eras/raw-agent.js";
import { type RawMessage, rawApp } from "./eras/raw-app.js";
import { type AppLog, pair, TestFleet, testApp } from "./fleet.js";

const http = { host: "127.0.0.1", port: 0 };
const apps = new Apps();
const fleet = new TestFleet();
const log: AppLog = { calls: [], cancelled: 0 };
/** What the app `raw` was sent, and what ends its tool `hold`. */
const heard: RawMessage[] = [];
let held: (() => void)[] = [];
let pc1: Hub;
let pc2: Hub;

const question = { method: "elicitation/create", params: { mode: "form", message: "Who?", requestedSchema: {} } };
const done = { result: { resultType: "complete", content: [{ type: "text", text: "done" }] } };

function answer(message: RawMessage) {
  heard.push(message);
  const { method, params = {} } = message;
  if (method === "subscriptions/listen") return undefined;
  if (params.name !== "ask" || params.requestState !== undefined) return done;
  return { result: { resultType: "input_required", inputRequests: { who: question }, requestState: "state" } };
}

beforeAll(async () => {
  const raw = await apps.listen(rawApp("new", answer));
  const slow = await apps.listen((request, response) => {
    if (request.headers["mcp-method"] !== "tools/call") return void rawApp("new", answer)(request, response);
    held.push(() => rawApp("new", answer)(request, response));
  });
  ({ pc1, pc2 } = await pair(fleet, { pc1: { http }, pc2: { http, apps: { raw, slow, test: testApp(log) } } }));
  for (const app of ["raw", "slow", "test"]) await pc2.sharing.share(app, "cluster");
});
afterAll(async () => {
  await fleet[Symbol.asyncDispose]();
  await apps[Symbol.asyncDispose]();
});
/** Whatever was done: nothing is under way any more, and another operator's call is answered. */
afterEach(async () => {
  for (const hub of [pc1, pc2]) await expect.poll(() => inFlight(hub)).toBe(0);
  const calm = await endpointOf(pc1, "test", "bob");
  const { last } = await modern(calm, "tools/call", { name: "echo", arguments: { text: "calm" } });
  expect(last.result).toMatchObject({ content: [{ text: "calm" }] });
});

async function inFlight(hub: Hub): Promise<number> {
  const counts = (await hub.metrics()).matchAll(/^fed_calls_in_flight\{.*\} (\d+)$/gm);
  return [...counts].reduce((sum, [, count]) => sum + Number(count), 0);
}

async function endpointOf(hub: Hub, app: string, name = "ann"): Promise<Endpoint> {
  const { token } = await hub.operators.issueToken({ name, scope: "ReadWrite" });
  return { url: `${hub.url}/apps/pc2/${app}/mcp`, token };
}

const modernHeaders = (name: string) => ({
  "mcp-protocol-version": "2026-07-28",
  "mcp-method": "tools/call",
  "mcp-name": name,
});
const envelope =
  '"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}';

/** The first message of an answer. */
async function firstOf(response: Response) {
  for await (const message of messagesOf(response)) return message;
  return undefined;
}

/** A call of `raw` whose arguments and further `_meta` are JSON texts, for what no object can say. */
async function callRaw(hub: Hub, args: string, meta = "") {
  const { url, token } = await endpointOf(hub, "raw");
  const params = `{"name":"any","arguments":${args},"_meta":{${envelope}${meta && `,${meta}`}}}`;
  const headers = { authorization: `Bearer ${token}`, "content-type": "application/json", ...modernHeaders("any") };
  const response = await fetch(url, {
    method: "POST",
    headers: { ...headers, accept: "application/json, text/event-stream" },
    body: `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":${params}}`,
  });
  const last = JSON.parse(await response.text()) as RawMessage & { error?: { code: number }; result?: object };
  return { status: response.status, last, seen: heard.at(-1)?.params as Record<string, unknown> };
}

describe.each(["own", "second"] as const)("an agent at its %s hub", (where) => {
  const hubOf = () => (where === "own" ? pc2 : pc1);

  it("that hangs up cancels its call, in the later era", async () => {
    const before = log.cancelled;
    const endpoint = await endpointOf(hubOf(), "test");
    const stop = new AbortController();
    const meta = { "io.modelcontextprotocol/protocolVersion": "2026-07-28" };
    const _meta = { ...meta, "io.modelcontextprotocol/clientCapabilities": {} };
    const calls = log.calls.length;
    const params = { name: "wait", arguments: {}, _meta };
    const call = post(endpoint, { id: 1, method: "tools/call", params }, modernHeaders("wait"), stop.signal);
    call.catch(() => {});
    await expect.poll(() => log.calls.length).toBe(calls + 1);
    stop.abort();
    await expect.poll(() => log.cancelled).toBe(before + 1);
  });

  it("that hangs up cancels nothing, in the older era: the call runs to its end", async () => {
    held = [];
    const agent = await LegacyAgent.open(await endpointOf(hubOf(), "slow"));
    const stop = new AbortController();
    const call = agent.send({ id: 1, method: "tools/call", params: { name: "any" } }, stop.signal);
    call.catch(() => {});
    await expect.poll(() => held.length).toBe(1);
    stop.abort();
    await expect(call).rejects.toThrow();
    // The hub has heard of it: what came after it on the same hub is answered.
    await agent.request("ping");
    expect(await inFlight(hubOf())).toBe(1);
    held[0]!();
    await expect.poll(() => inFlight(hubOf())).toBe(0);
    const outcomes = (await pc2.audit.tail(2)).map(({ record }) => record);
    expect(outcomes.at(-1)).toMatchObject({ type: "call.outcome", app: "slow", outcome: "result" });
  });

  it("forges _meta: what is the protocol's does not arrive, by no way of spelling it", async () => {
    const forged = [
      '"io.modelcontextprotocol/subscriptionId":"x"',
      '"io.modelcontextprotocol/serverInfo":{"name":"x"}',
      '"io.modelcontextprotocol/new":1',
      '"\\u0069o.modelcontextprotocol/other":1',
      '"__proto__":{"io.modelcontextprotocol/logLevel":"debug","progressToken":7}',
    ].join();
    const { last, seen } = await callRaw(hubOf(), "{}", `${forged},"example.com/kept":1`);
    expect(last.result).toMatchObject({ content: [{ text: "done" }] });
    const meta = seen._meta as Record<string, unknown>;
    expect(
      Object.keys(meta)
        .filter((key) => key.startsWith("io.modelcontextprotocol/"))
        .sort(),
    ).toEqual([
      "io.modelcontextprotocol/clientCapabilities",
      "io.modelcontextprotocol/clientInfo",
      "io.modelcontextprotocol/protocolVersion",
    ]);
    expect(meta.progressToken).toBeUndefined();
    expect(meta["example.com/kept"]).toBe(1);
  });

  it("names prototypes: they are names like others, and change nothing here", async () => {
    const args = '{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}},"a":{"__proto__":null}}';
    const { last, seen } = await callRaw(hubOf(), args, '"__proto__":{"polluted":1},"constructor":1');
    expect(last.result).toBeDefined();
    expect(JSON.stringify(seen.arguments)).toBe(args);
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
    const { token } = await hubOf().operators.issueToken({ name: "ann", scope: "ReadWrite" });
    const fleetCall = await modern({ url: `${hubOf().url}/mcp`, token }, "tools/call", {
      name: "app.call",
      arguments: JSON.parse('{"app":"raw","hub":"pc2","tool":"x","__proto__":{"idempotencyKey":"k"}}'),
    });
    expect(fleetCall.last.error ?? fleetCall.last.result).toBeDefined();
    for (const name of ["__proto__", "constructor", "toString", "hasOwnProperty"]) {
      const { last: refused } = await modern({ url: `${hubOf().url}/mcp`, token }, "tools/call", { name });
      expect(refused.error).toMatchObject({ code: -32602 });
      const { last: unknown } = await modern({ url: `${hubOf().url}/mcp`, token }, name);
      expect(unknown.error).toMatchObject({ code: -32601 });
    }
  });

  it("sends odd JSON: it is refused or arrives as it was decided upon", async () => {
    const deep = (levels: number) => `{"x":${"[".repeat(levels)}${"]".repeat(levels)}}`;
    for (const levels of [70, 100_000, 1_000_000]) {
      const before = heard.length;
      const { status, last } = await callRaw(hubOf(), deep(levels));
      expect({ status, code: last.error?.code }).toEqual({ status: 400, code: -32600 });
      expect(heard.length).toBe(before);
    }
    expect((await callRaw(hubOf(), deep(50))).last.result).toBeDefined();
    // Brackets in strings are no nesting.
    expect((await callRaw(hubOf(), `{"x":"${'\\"[{'.repeat(10_000)}\\\\"}`)).last.result).toBeDefined();
    const twice = await callRaw(hubOf(), '{"a":1,"a":2,"\\u0061":3}');
    expect(twice.seen.arguments).toEqual({ a: 3 });
    const surrogate = await callRaw(hubOf(), '{"a":"\\ud800","\\udfff":1}');
    expect(surrogate.seen.arguments).toEqual({ a: "\ud800", "\udfff": 1 });
    const large = await callRaw(hubOf(), "{}", `"example.com/large":"${"x".repeat(3 * 1024 * 1024)}"`);
    expect(large.last.result).toBeDefined();
    const many = Array.from({ length: 100_000 }, (_, i) => `"example.com/${i}":0`).join();
    expect((await callRaw(hubOf(), "{}", many)).last.result).toBeDefined();
  });
});

describe("a session of the older era", () => {
  it("is found by its id alone, unchanged, at its own endpoint, by its own operator", async () => {
    const endpoint = await endpointOf(pc1, "raw");
    const { sessionId: id } = await LegacyAgent.open(endpoint);
    const statusOf = async (session: string, at = endpoint) => {
      const headers = { "mcp-session-id": session, "mcp-protocol-version": "2025-11-25" };
      const response = await post(at, { id: 1, method: "ping" }, headers);
      await response.text();
      return response.status;
    };
    expect(await statusOf(id)).toBe(200);
    const flipped = Array.from({ length: id.length }, (_, i) => {
      const other = id[i] === "A" ? "B" : "A";
      return `${id.slice(0, i)}${other}${id.slice(i + 1)}`;
    });
    // Every eighth: each is a request.
    for (const forged of flipped.filter((_, i) => i % 8 === 0)) expect(await statusOf(forged)).toBe(404);
    for (const forged of [id.slice(0, -4), id.slice(4), `${id}AAAA`, "x", "0", "__proto__", "A".repeat(8000)]) {
      expect(await statusOf(forged), forged.slice(0, 20)).toBe(404);
    }
    expect(await statusOf(id, await endpointOf(pc1, "test"))).toBe(404);
    expect(await statusOf(id, await endpointOf(pc2, "raw"))).toBe(404);
    expect(await statusOf(id, await endpointOf(pc1, "raw", "bob"))).toBe(404);
    expect(await statusOf(id)).toBe(200);
  });

  it("has each id under way once; nobody else cancels it", async () => {
    held = [];
    const endpoint = await endpointOf(pc1, "slow");
    const ann = await LegacyAgent.open(endpoint);
    const call = { id: 5, method: "tools/call", params: { name: "any" } };
    const first = ann.send(call);
    await expect.poll(() => held.length).toBe(1);
    const repeated = await firstOf(await ann.send(call));
    expect(repeated).toMatchObject({ id: 5, error: { code: -32600 } });
    const bob = await LegacyAgent.open(await endpointOf(pc1, "slow", "bob"));
    const other = await LegacyAgent.open(endpoint);
    const cancel = (requestId: unknown) => ({ method: "notifications/cancelled", params: { requestId } });
    for (const agent of [bob, other]) expect((await agent.send(cancel(5))).status).toBe(202);
    for (const id of ["5", null, {}, "__proto__"]) expect((await ann.send(cancel(id))).status).toBe(202);
    expect(await inFlight(pc1)).toBe(1);
    await ann.send(cancel(5));
    const last = await firstOf(await first);
    expect(last).toMatchObject({ id: 5, result: { structuredContent: { error: { code: "ABORTED" } } } });
    for (const release of held) release();
  });

  it("takes answers to what was asked, from who was asked", async () => {
    const ann = await LegacyAgent.open(await endpointOf(pc1, "raw"));
    const bob = await LegacyAgent.open(await endpointOf(pc1, "raw", "bob"));
    const accept = (id: unknown, name: string) => ({ id, result: { action: "accept", content: { name } } });
    for (const id of ["no", 1, "__proto__"]) expect((await ann.send(accept(id, "x"))).status).toBe(202);
    for (const id of [null, { a: 1 }, []]) expect((await ann.send(accept(id, "x"))).status).toBe(400);
    const before = heard.length;
    const { last } = await ann.request("tools/call", { name: "ask" }, ({ id }) => {
      void bob.send(accept(id, "forged")).then(() => ann.send(accept(id, "right")));
      return undefined;
    });
    expect(last.result).toMatchObject({ content: [{ text: "done" }] });
    const answers = heard.slice(before).flatMap(({ params }) => params?.inputResponses ?? []);
    expect(answers).toEqual([{ who: { action: "accept", content: { name: "right" } } }]);
  });

  it("has one stream, however often it is opened; an operator has 256, and gets them back", async () => {
    const endpoint = await endpointOf(pc2, "raw");
    const agent = await LegacyAgent.open(endpoint);
    const stop = new AbortController();
    const listens = () => heard.filter(({ method }) => method === "subscriptions/listen").length;
    for (let i = 0; i < 1000; i += 50) {
      const streams = await Promise.all(Array.from({ length: 50 }, () => agent.listen(stop.signal)));
      expect(streams.filter(({ status }) => status !== 200)).toEqual([]);
    }
    expect(listens()).toBeLessThanOrEqual(1000);
    await expect.poll(() => inFlight(pc2)).toBe(1);
    const agents: LegacyAgent[] = [];
    while (agents.length < 300) agents.push(await LegacyAgent.open(endpoint));
    const opened = await Promise.all(agents.map((one) => one.listen(stop.signal)));
    const statuses = opened.map(({ status }) => status);
    expect(statuses.filter((status) => status === 200)).toHaveLength(255);
    const refused = opened.find(({ status }) => status === 503)!;
    expect(await refused.json()).toMatchObject({ code: "BUSY", retryable: true });
    expect(refused.headers.get("retry-after")).toBe("1");
    stop.abort();
    await expect.poll(() => inFlight(pc2)).toBe(0);
    const again = new AbortController();
    expect((await agent.listen(again.signal)).status).toBe(200);
    again.abort();
  }, 30_000);
});

describe("the state of a request that asks for input", () => {
  it("is refused by name over HTTP, and the app hears nothing", async () => {
    const endpoint = await endpointOf(pc1, "raw");
    const first = await modern(endpoint, "tools/call", { name: "ask" });
    const { requestState } = first.last.result as { requestState: string };
    const before = heard.length;
    const goOn = (at: Endpoint, name: string, state: string) =>
      modern(at, "tools/call", { name, requestState: state, inputResponses: { who: { action: "decline" } } });
    const middle = requestState.length / 2;
    const flipped = `${requestState.slice(0, middle)}${requestState[middle] === "A" ? "B" : "A"}${requestState.slice(middle + 1)}`;
    const forgeries = [
      [endpoint, "ask", flipped],
      [endpoint, "other", requestState],
      [await endpointOf(pc1, "raw", "bob"), "ask", requestState],
      [await endpointOf(pc2, "raw"), "ask", requestState],
    ] as const;
    for (const [at, name, state] of forgeries) {
      const { last } = await goOn(at, name, state);
      expect(last.error).toMatchObject({ code: -32602, data: { code: "INPUT_STATE_INVALID" } });
    }
    expect(heard.length).toBe(before);
    expect((await goOn(endpoint, "ask", requestState)).last.result).toMatchObject({ content: [{ text: "done" }] });
  });
});

describe("subscriptions of the later era", () => {
  it("are 256 of one operator's; the rest are refused by name, and ended ones make room", async () => {
    const endpoint = await endpointOf(pc1, "raw");
    const stop = new AbortController();
    const _meta = JSON.parse(`{${envelope}}`);
    const headers = { "mcp-protocol-version": "2026-07-28", "mcp-method": "subscriptions/listen" };
    const message = { id: 1, method: "subscriptions/listen", params: { _meta, notifications: {} } };
    let refused = 0;
    const all = Array.from({ length: 1000 }, async () => {
      const response = await post(endpoint, message, headers, stop.signal);
      const last = await firstOf(response);
      expect(last?.error?.data).toMatchObject({ code: "BUSY", retryable: true });
      refused++;
    });
    const settled = Promise.allSettled(all);
    await expect.poll(() => refused, { timeout: 20_000 }).toBe(744);
    expect(await inFlight(pc1)).toBe(256);
    stop.abort();
    await settled;
    await expect.poll(() => inFlight(pc1)).toBe(0);
  }, 30_000);
});
