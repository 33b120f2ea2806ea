import { AsyncLocalStorage } from "node:async_hooks";
import { expectCode } from "@fed/core/testing";
import { McpServer } from "@modelcontextprotocol/server";
import { type Context, context, ROOT_CONTEXT, SpanKind, SpanStatusCode, trace } from "@opentelemetry/api";
import { InMemorySpanExporter, type ReadableSpan, SimpleSpanProcessor, TracerProvider } from "@opentelemetry/sdk-trace";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import type { AppConfig, Hub } from "../../src/index.js";

import { pair, TestFleet } from "../fleet.js";
import { type Carriers, postCall } from "./agent.js";

const traceId = "0af7651916cd43dd8448eb211c80319c";
const agentSpan = "b7ad6b7169203331";
const traceparent = `00-${traceId}-${agentSpan}-01`;
const otherTraceId = "11111111111111111111111111111111";
const otherSpan = "2222222222222222";

const fleet = new TestFleet();
const exporter = new InMemorySpanExporter();
const provider = new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter })] });
/** The `_meta` of each call, as the app saw it. */
const heard: Record<string, unknown>[] = [];
let pc1: Hub;
let pc2: Hub;
let token: string;

function app(): AppConfig {
  return {
    server: () => {
      const server = new McpServer({ name: "notes", version: "1.0.0" }, { capabilities: { tools: {} } });
      server.registerTool("add", { inputSchema: z.object({ text: z.string() }) }, ({ text }, { mcpReq }) => {
        heard.push({ ...mcpReq._meta });
        return { content: [{ type: "text", text }], isError: text === "bad" };
      });
      return server;
    },
  };
}

beforeAll(async () => {
  trace.setGlobalTracerProvider(provider);
  ({ pc1, pc2 } = await pair(fleet, {
    pc1: { apps: { notes: app() }, http: { host: "127.0.0.1", port: 0 } },
    pc2: { apps: { notes: app(), diary: app() } },
  }));
  await pc2.sharing.share("notes", "cluster");
  ({ token } = await pc1.operators.issueToken({ name: "alice", scope: "ReadWrite" }));
  // What tools there are is asked once, and traced nowhere.
  await add("pc2", {});
  await add("pc1", {});
  await spans();
  heard.length = 0;
});
afterEach(async () => {
  await provider.forceFlush();
  exporter.reset();
  heard.length = 0;
});
afterAll(async () => {
  await fleet[Symbol.asyncDispose]();
  trace.disable();
  context.disable();
});

function add(hub: string, carriers: Carriers, text = "x") {
  return postCall({ url: pc1.url!, token, path: `/apps/${hub}/notes/mcp` }, "add", { text }, carriers);
}

async function spans(): Promise<ReadableSpan[]> {
  await provider.forceFlush();
  const found = [...exporter.getFinishedSpans()];
  exporter.reset();
  return found;
}

/** From the root to the leaf; fails unless each span is the parent of one other. */
function chain(found: readonly ReadableSpan[], root: string | undefined): ReadableSpan[] {
  const ordered: ReadableSpan[] = [];
  for (let parent = root; ordered.length < found.length; ) {
    const children = found.filter(({ parentSpanContext }) => parentSpanContext?.spanId === parent);
    expect(children).toHaveLength(1);
    ordered.push(children[0]!);
    parent = children[0]!.spanContext().spanId;
  }
  return ordered;
}

describe("a call from an agent through its hub to an app of another hub", () => {
  it.each([
    { carrier: "_meta", carriers: { meta: { traceparent } } },
    { carrier: "HTTP headers", carriers: { headers: { traceparent } } },
  ])("is one tree under the agent's span: $carrier", async ({ carriers }) => {
    await add("pc2", carriers);
    const tree = chain(await spans(), agentSpan);
    const facts = {
      "mcp.method.name": "tools/call",
      "gen_ai.tool.name": "add",
      "gen_ai.operation.name": "execute_tool",
    };
    const between = {
      "fed.hub": pc2.hubId,
      "fed.path": "lan",
      "mcp.protocol.version": "2026-07-28",
      "network.transport": "tcp",
    };
    expect(tree).toMatchObject([
      {
        name: "tools/call add",
        kind: SpanKind.SERVER,
        attributes: { ...facts, "fed.hub": pc2.hubId, "fed.path": "lan" },
      },
      { name: "tools/call add", kind: SpanKind.CLIENT, attributes: { ...facts, ...between } },
      { name: "tools/call add", kind: SpanKind.SERVER, attributes: { ...facts, ...between } },
      { name: "tools/call add", kind: SpanKind.CLIENT, attributes: { ...facts, "fed.path": "local" } },
    ]);
    expect(new Set(tree.map((span) => span.spanContext().traceId))).toEqual(new Set([traceId]));
    expect(new Set(tree.map((span) => span.attributes["fed.call.id"])).size).toBe(1);
    expect(heard).toEqual([
      expect.objectContaining({ traceparent: `00-${traceId}-${tree[3]!.spanContext().spanId}-01` }),
    ]);
  });

  it("has the call id of both hubs' audit logs", async () => {
    await add("pc2", {});
    const [span] = await spans();
    for (const { record } of await pc2.audit.tail(2)) expect(record.callId).toBe(span!.attributes["fed.call.id"]);
  });

  it("goes by what _meta says, and links what the headers say", async () => {
    await add("pc2", { meta: { traceparent }, headers: { traceparent: `00-${otherTraceId}-${otherSpan}-01` } });
    const [first] = chain(await spans(), agentSpan);
    expect(first!.links).toMatchObject([{ context: { traceId: otherTraceId, spanId: otherSpan } }]);
  });

  it("takes a header where _meta is malformed", async () => {
    await add("pc2", { meta: { traceparent: "00-zz" }, headers: { traceparent } });
    expect(chain(await spans(), agentSpan)).toHaveLength(4);
  });

  it("says what went wrong where: the tool, or a rule", async () => {
    await add("pc2", {}, "bad");
    for (const { attributes, status } of await spans()) {
      expect(attributes["error.type"]).toBe("tool_error");
      expect(status).toEqual({ code: SpanStatusCode.ERROR });
    }
    const options = { operator: pc1.operators.local("alice") };
    await expectCode(pc1.apps.call({ hub: "pc2", app: "diary", tool: "add" }, options), "SHARING_DENIED");
    const refused = chain(await spans(), undefined);
    expect(refused.map(({ kind, attributes }) => [kind, attributes["error.type"]])).toEqual([
      [SpanKind.SERVER, "SHARING_DENIED"],
      [SpanKind.CLIENT, "SHARING_DENIED"],
    ]);
  });
});

it("a call of an app of the agent's own hub makes two spans", async () => {
  await add("pc1", { meta: { traceparent } });
  const tree = chain(await spans(), agentSpan);
  expect(tree.map(({ kind }) => kind)).toEqual([SpanKind.SERVER, SpanKind.CLIENT]);
  expect(heard[0]!.traceparent).toBe(`00-${traceId}-${tree[1]!.spanContext().spanId}-01`);
});

it("a call from a program that traces itself is part of its span", async () => {
  const running = new AsyncLocalStorage<Context>();
  context.setGlobalContextManager({
    active: () => running.getStore() ?? ROOT_CONTEXT,
    with: (active, work, self, ...args) => running.run(active, () => work.apply(self as never, args)),
    bind: (_active, target) => target,
    enable() {
      return this;
    },
    disable() {
      return this;
    },
  });
  const own = trace.getTracer("program").startSpan("own");
  await context.with(trace.setSpan(ROOT_CONTEXT, own), () =>
    pc1.apps.call(
      { hub: "pc2", app: "notes", tool: "add", arguments: { text: "x" } },
      { operator: pc1.operators.local("alice") },
    ),
  );
  expect(chain(await spans(), own.spanContext().spanId)).toHaveLength(4);
});

describe("baggage", () => {
  const baggage = "user=alice,plan=gold";

  it("in _meta reaches apps of the agent's own hub", async () => {
    await add("pc1", { meta: { baggage } });
    expect(heard[0]!.baggage).toBe(baggage);
  });

  it("does not leave the hub", async () => {
    await add("pc2", { meta: { traceparent, baggage, tracestate: "vendor=1" }, headers: { baggage } });
    expect(heard[0]).toMatchObject({ tracestate: "vendor=1" });
    expect(heard[0]!.baggage).toBeUndefined();
  });

  it("in a header goes nowhere", async () => {
    await add("pc1", { headers: { traceparent, baggage } });
    expect(heard[0]!.traceparent).toContain(traceId);
    expect(heard[0]!.baggage).toBeUndefined();
  });
});

describe("without a tracer", () => {
  beforeAll(() => trace.disable());
  afterAll(() => trace.setGlobalTracerProvider(provider));

  it.each(["pc1", "pc2"])("what the agent said, in either carrier, still reaches an app of %s", async (hub) => {
    await add(hub, { meta: { traceparent, tracestate: "vendor=1" } });
    await add(hub, { headers: { traceparent, tracestate: "vendor=1" } });
    await add(hub, { meta: { traceparent: "00-00000000000000000000000000000000-0000000000000000-01" } });
    await add(hub, {});
    expect(heard.map(({ traceparent, tracestate }) => [traceparent, tracestate])).toEqual([
      [traceparent, "vendor=1"],
      [traceparent, "vendor=1"],
      [undefined, undefined],
      [undefined, undefined],
    ]);
    expect(await spans()).toEqual([]);
  });
});
