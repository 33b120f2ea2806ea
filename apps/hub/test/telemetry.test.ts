import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { TapEvent } from "@fed/hub";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { tapLine } from "../src/tap-line.js";
import { eventually, Home } from "./home.js";

interface Span {
  readonly name: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly kind: number;
}

const home = new Home();
let collector: Server;
let endpoint: string;
/** What the collector was sent: spans by the instance that sent them. */
const received: { readonly path: string; readonly hub: string; readonly spans: readonly Span[] }[] = [];

beforeAll(async () => {
  collector = createServer(async (request, response) => {
    let text = "";
    for await (const chunk of request) text += chunk;
    const { resourceSpans } = JSON.parse(text);
    for (const { resource, scopeSpans } of resourceSpans) {
      const attribute = (key: string) =>
        resource.attributes.find((each: { key: string }) => each.key === key)?.value.stringValue;
      received.push({
        path: `${request.url} ${attribute("service.name")} ${attribute("deployment.environment.name")}`,
        hub: attribute("fed.hub.name"),
        spans: scopeSpans.flatMap(({ spans }: { spans: Span[] }) => spans),
      });
    }
    response.writeHead(200, { "content-type": "application/json" }).end("{}");
  }).listen(0, "127.0.0.1");
  await once(collector, "listening");
  endpoint = `http://127.0.0.1:${(collector.address() as AddressInfo).port}`;
});
afterAll(async () => {
  collector.close();
  await home[Symbol.asyncDispose]();
});

describe("fed up --otlp", () => {
  it("sends the spans of a call across two hubs as one trace, the last of them when it stops", async () => {
    await using own = new Home();
    await own.init("pc1", { cluster: "home" });
    await own.init("pc2", { share: true });
    const lan = ["--lan", "127.0.0.1:0", "--no-discovery"];
    const pc1 = await own.up("pc1", ...lan, "--otlp", endpoint);
    const status = await own.json<{ lan: { addresses: string[] } }>("pc1", "cluster", "status");
    const environment = {
      OTEL_EXPORTER_OTLP_ENDPOINT: endpoint,
      OTEL_RESOURCE_ATTRIBUTES: "deployment.environment.name=test",
    };
    const pc2 = await own.start<object>(
      [
        "--dir",
        own.path("pc2"),
        "up",
        "--mcp-config",
        own.apps("pc2", "notes"),
        ...lan,
        "--peer",
        status.lan.addresses[0]!,
      ],
      { env: environment },
    );
    await own.json("pc2", "join", (await own.json<{ token: string }>("pc1", "invite")).token);
    await own.json("pc1", "call", "pc2/notes", "echo", '{"text": "x"}');
    await pc1.stop();
    await pc2.stop();
    const spans = received.flatMap(({ spans }) => spans).filter(({ name }) => name === "tools/call echo");
    expect(spans).toHaveLength(4);
    expect(new Set(spans.map(({ traceId }) => traceId)).size).toBe(1);
    const parents = new Set(spans.map(({ parentSpanId }) => parentSpanId));
    expect(spans.filter(({ spanId }) => parents.has(spanId))).toHaveLength(3);
    expect(new Set(received.map(({ hub, path }) => `${hub} ${path}`))).toEqual(
      new Set(["pc1 /v1/traces fed undefined", "pc2 /v1/traces fed test"]),
    );
  });

  it("ends in time without a collector, and says so in the log", async () => {
    await home.init("lonely");
    const hub = await home.up("lonely", "--mcp-config", home.apps("lonely", "notes"), "--otlp", "http://127.0.0.1:9");
    let log = "";
    hub.child.stderr!.on("data", (chunk: Buffer) => (log += chunk.toString("utf8")));
    await home.json("lonely", "call", "notes", "echo", '{"text": "x"}');
    const startedMs = performance.now();
    expect(await hub.stop()).toMatchObject({ status: 0 });
    expect(performance.now() - startedMs).toBeLessThan(6_000);
    const lines = log.split("\n").filter(Boolean);
    expect(lines.map((line) => JSON.parse(line).msg)).toContain("The last spans could not be sent to 127.0.0.1:9.");
  });

  it("takes what is an address and a sampler", async () => {
    await home.init("usage");
    await home.refused("usage", ["--dir", home.path("usage"), "up", "--otlp", "collector:4318"], "USAGE", 2);
    const env = { OTEL_TRACES_SAMPLER: "sometimes" };
    const { status, stderr } = await home.run(["--json", "--dir", home.path("usage"), "up", "--otlp", endpoint], {
      env,
    });
    expect({ status, code: JSON.parse(stderr).error.code }).toEqual({ status: 2, code: "USAGE" });
  });
});

describe("a running hub", () => {
  let hub: Awaited<ReturnType<Home["up"]>>;
  let log = "";
  beforeAll(async () => {
    await home.init("pc1");
    const options = ["--metrics-open", "--log-level", "debug"];
    hub = await home.up("pc1", "--mcp-config", home.apps("pc1", "notes"), ...options);
    hub.child.stderr!.on("data", (chunk: Buffer) => (log += chunk.toString("utf8")));
  });

  const tap = (...args: string[]) => {
    const child = home.spawn(["--dir", home.path("pc1"), ...args]);
    const output = { stdout: "", stderr: "" };
    for (const name of ["stdout", "stderr"] as const)
      child[name]!.on("data", (chunk: Buffer) => (output[name] += chunk.toString("utf8")));
    return { child, output };
  };
  const watched = async (count: number) =>
    eventually(async () =>
      expect(await (await fetch(`${hub.up.url}/metrics`)).text()).toContain(`fed_taps ${count}\n`),
    );

  it("shows its calls live: to programs a document each, to people a line", async () => {
    const programs = tap("tap", "--json", "--bodies", "--app", "pc1/notes", "--operator", "admin");
    const people = tap("tap");
    await watched(2);
    await home.json("pc1", "call", "notes", "echo", '{"text": "hello", "token": "hunter2"}');
    await eventually(() => expect(programs.output.stdout).toContain('"ended"'));
    await eventually(() => expect(people.output.stdout).toContain("←"));
    const events = programs.output.stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as TapEvent);
    expect(events).toMatchObject([
      {
        event: "started",
        side: "agent",
        app: "notes",
        tool: "echo",
        arguments: { text: "hello", token: "[redacted]" },
      },
      { event: "ended", hub: "pc1", code: "ok", path: "local", result: { content: [{ text: "hello" }] } },
    ]);
    expect(people.output.stdout).toMatch(/^[\d:.]{12} {2}→ {2}notes echo {2}admin {2}\d+ B\n/);
    expect(people.output.stdout).toMatch(
      /\n[\d:.]{12} {2}← {2}pc1\/notes echo {2}admin {2}ok {2}[\d.]+ ms {2}local {2}\d+ B\n$/,
    );
    expect(people.output.stdout).not.toMatch(/hello|hunter2/);
    for (const { child, output } of [programs, people]) {
      const ended = once(child, "exit");
      child.kill("SIGINT");
      expect(await ended).toEqual([0, null]);
      expect(output.stderr).toBe("");
    }
    await watched(0);
  });

  it("logs a line for each call, and nothing of what was said", async () => {
    await home.json("pc1", "call", "notes", "echo", '{"text": "hello-there"}');
    const calls = () =>
      log
        .split("\n")
        .filter((line) => line.includes('"msg":"call"'))
        .map((line) => JSON.parse(line));
    await eventually(() => expect(calls().length).toBeGreaterThan(1));
    expect(calls().at(-1)).toMatchObject({
      level: 20,
      side: "agent",
      hub: "pc1",
      app: "notes",
      tool: "echo",
      code: "ok",
    });
    const { call } = calls().at(-1)!;
    expect(JSON.stringify(await home.json("pc1", "audit", "tail"))).toContain(call);
    expect(log).not.toContain("hello-there");
  });

  it("that ends, ends its taps", async () => {
    const { child, output } = tap("--json", "tap");
    await watched(1);
    const ended = once(child, "close");
    await hub.stop();
    expect(await ended).toEqual([1, null]);
    expect(JSON.parse(output.stderr)).toMatchObject({ error: { code: "HUB_UNREACHABLE" } });
    await home.refused("pc1", ["tap"], "HUB_NOT_RUNNING");
  });
});

it("fed up --log-format pretty writes for people", async () => {
  await home.init("pretty");
  const hub = await home.up(
    "pretty",
    "--mcp-config",
    home.apps("pretty", "notes"),
    "--log-level",
    "debug",
    "--log-format",
    "pretty",
  );
  let log = "";
  hub.child.stderr!.on("data", (chunk: Buffer) => (log += chunk.toString("utf8")));
  await home.json("pretty", "call", "notes", "echo", '{"text": "x"}');
  await hub.stop();
  expect(log).toMatch(/DEBUG.*: call\n/);
});

it("a line of the tap cannot turn the terminal around", () => {
  const call = {
    atMs: 0,
    call: "c",
    side: "peer",
    from: "pc2",
    operator: "eve@x",
    app: "notes",
    method: "tools/call",
  } as const;
  const line = tapLine({ event: "denied", ...call, tool: "a\u001b[2Jb\nc\u202Ed", rule: "default-deny" });
  expect(line).toBe("00:00:00.000  ×  notes a\u{FFFD}[2Jb\u{FFFD}c\u{FFFD}d  eve of pc2  denied by default-deny");
  expect(tapLine({ event: "lost", events: 7 })).toContain("7 events were missed");
});
