/** What an app says reaches the agent to the letter, and the other way round, whatever the two know of it. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Hub } from "../../src/index.js";
import { pair, TestFleet } from "../fleet.js";
import { Apps } from "./apps.js";
import { type Endpoint, LegacyAgent, modern } from "./raw-agent.js";
import { type RawMessage, rawApp } from "./raw-app.js";
import { failures } from "./tools.js";

const apps = new Apps();
const fleet = new TestFleet();
const http = { host: "127.0.0.1", port: 0 };
const heard: Record<"old" | "new", RawMessage[]> = { old: [], new: [] };
let hubs: Record<"own" | "second", Hub>;

/** A result with members that no revision knows, under names that look like the protocol's. */
const odd = {
  content: [{ type: "hologram", beams: [1, 2, { x: null }] }],
  structuredContent: { "": 0, "a.b": [true] },
  isError: false,
  nextStep: { method: "tools/call" },
  "x-vendor": { deep: { er: "ü" } },
  _meta: { "example.com/a": 1, progressToken: "looks like one" },
};

function answerer(era: "old" | "new") {
  return (message: RawMessage) => {
    heard[era].push(message);
    const { method, params = {} } = message;
    if (method !== "tools/call") return { result: { method, params } };
    const { how } = (params.arguments ?? {}) as { how?: keyof typeof failures };
    if (params.name === "fail") return { error: failures[how!] };
    if (params.name === "list") return { result: { resultType: "complete", structuredContent: ["one", 2] } };
    if (params.name === "scalar") {
      const result = { content: [{ type: "text", text: "seven" }], structuredContent: 7 };
      return { result: { resultType: "complete", ...result } };
    }
    return { result: era === "new" ? { resultType: "complete", ...odd } : odd };
  };
}

beforeAll(async () => {
  const configs = {
    old: await apps.listen(rawApp("old", answerer("old"))),
    new: await apps.listen(rawApp("new", answerer("new"))),
  };
  const { pc1, pc2 } = await pair(fleet, { pc1: { http }, pc2: { http, apps: configs } });
  for (const app of ["old", "new"]) await pc2.sharing.share(app, "cluster");
  hubs = { own: pc2, second: pc1 };
});
afterAll(async () => {
  await fleet[Symbol.asyncDispose]();
  await apps[Symbol.asyncDispose]();
});

async function endpointOf(where: "own" | "second", app: string): Promise<Endpoint> {
  const hub = hubs[where];
  const { token } = await hub.operators.issueToken({ name: "ann", scope: "ReadWrite" });
  return { url: `${hub.url}/apps/pc2/${app}/mcp`, token };
}

type Ask = (method: string, params?: Record<string, unknown>) => ReturnType<typeof modern>;

const ways = (["old", "new"] as const).flatMap((agent) =>
  (["old", "new"] as const).flatMap((app) => (["own", "second"] as const).map((where) => [agent, app, where] as const)),
);

describe.each(ways)("an agent of the %s era, an app of the %s era, through its %s hub", (era, app, where) => {
  let ask: Ask;
  beforeAll(async () => {
    const endpoint = await endpointOf(where, app);
    if (era === "new") {
      ask = (method, params) => modern(endpoint, method, params);
    } else {
      const agent = await LegacyAgent.open(endpoint);
      ask = (method, params) => agent.request(method, params);
    }
  });

  it("passes a result with what nobody knows", async () => {
    const { last, status } = await ask("tools/call", { name: "odd" });
    expect(status).toBe(200);
    expect(last.result).toEqual(era === "new" ? { resultType: "complete", ...odd } : odd);
  });

  it("passes params with what nobody knows, and of _meta what is no hop's", async () => {
    const params = {
      name: "odd",
      arguments: { big: 9_007_199_254_740_991, nothing: null, "": [], text: "\u0000ü\u{1f600}" },
      "x-vendor": [{}],
    };
    const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    const _meta = { traceparent, tracestate: "v=1", baggage: "k=v", "example.com/a": { b: [] }, progressToken: "mine" };
    await ask("tools/call", { ...params, _meta: { ..._meta, "io.modelcontextprotocol/made-up": 1 } });
    const { _meta: seen, ...rest } = heard[app].at(-1)!.params as { _meta: Record<string, unknown> };
    expect(rest).toEqual(params);
    const free = Object.fromEntries(
      Object.entries(seen).filter(([key]) => !key.startsWith("io.modelcontextprotocol/")),
    );
    // Baggage may say anything about anybody, so it stays where it came from.
    const { baggage, ...passed } = _meta;
    expect(free).toEqual({
      ...passed,
      ...(where === "own" && { baggage }),
      progressToken: expect.any(Number),
      traceparent: expect.stringContaining("0af7651916cd"),
    });
    const reserved = Object.keys(seen)
      .filter((key) => key.startsWith("io.modelcontextprotocol/"))
      .sort();
    expect(reserved.map((key) => key.split("/")[1])).toEqual(
      app === "old"
        ? []
        : ["clientCapabilities", "clientInfo", ...(era === "old" ? ["logLevel"] : []), "protocolVersion"],
    );
  });

  it.each(Object.entries(failures))("passes an error of the app's: %s", async (how, failure) => {
    const { last } = await ask("tools/call", { name: "fail", arguments: { how } });
    expect(last.error).toEqual(failure);
  });

  it("passes methods that no revision knows, with their results", async () => {
    const { last } = await ask("example.com/do", { list: [1] });
    expect(last.result).toMatchObject({ method: "example.com/do", params: { list: [1] } });
  });

  if (app === "new")
    it("gives an agent structured content in the form that it knows", async () => {
      const list = (await ask("tools/call", { name: "list" })).last.result;
      const scalar = (await ask("tools/call", { name: "scalar" })).last.result;
      if (era === "new") {
        expect(list).toEqual({ resultType: "complete", structuredContent: ["one", 2] });
        expect(scalar).toMatchObject({ structuredContent: 7 });
      } else {
        expect(list).toEqual({ content: [{ type: "text", text: '["one",2]' }] });
        expect(scalar).toEqual({ content: [{ type: "text", text: "seven" }] });
      }
    });

  it("refuses by name what belongs to a connection", async () => {
    const before = heard[app].length;
    for (const method of era === "old"
      ? ["notifications/made-up"]
      : ["logging/setLevel", "ping", "resources/subscribe", `example.com/${"x".repeat(128)}`]) {
      const { last, status } = await ask(method, { level: "debug", uri: "test://one" });
      expect(last.error).toMatchObject({ code: -32601 });
      if (era === "new") expect(status).toBe(404);
    }
    expect(heard[app].length).toBe(before);
  });
});
