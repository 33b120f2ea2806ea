import { expectCode } from "@fed/core/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Hub } from "../../src/index.js";
import { CallTally } from "../../src/telemetry/call-tally.js";
import { latencyBounds } from "../../src/telemetry/latency-histogram.js";
import { pair, TestFleet, testApp } from "../fleet.js";
import { findPromtool, remarksOn } from "./promtool.js";

const http = { host: "127.0.0.1", port: 0 };
const fleet = new TestFleet();
let pc1: Hub;
let pc2: Hub;

/** Every sample of a page: its name with its labels in order, and its value. */
function samplesOf(page: string): Map<string, number> {
  const samples = new Map<string, number>();
  for (const line of page.split("\n")) {
    const [, name, labels = "", value] = /^([a-z_]+)(?:\{(.*)\})? (\S+)$/.exec(line) ?? [];
    if (name) samples.set(`${name}{${labels.split(",").sort().join(",")}}`, Number(value));
  }
  return samples;
}

beforeAll(async () => {
  ({ pc1, pc2 } = await pair(fleet, {
    pc1: { apps: { echo: testApp() }, http },
    pc2: { apps: { echo: testApp(), diary: testApp() }, http: { ...http }, metrics: "open" },
  }));
  await pc2.sharing.share("echo", "cluster");
  const options = { operator: pc1.operators.local("alice") };
  const call = (hub: string, app: string, tool: string, args: object) =>
    pc1.apps.call({ hub, app, tool, arguments: { ...args } }, options);
  for (let i = 0; i < 3; i++) await call("pc2", "echo", "echo", { text: "x" });
  for (let i = 0; i < 2; i++) await call("pc1", "echo", "echo", { text: "x" });
  await call("pc2", "echo", "no such tool", {}).catch(() => {});
  await expectCode(call("pc2", "diary", "echo", { text: "x" }), "SHARING_DENIED");
  await expectCode(call("pc1", "made-up", "echo", {}), "APP_UNKNOWN");
});
afterAll(() => fleet[Symbol.asyncDispose]());

describe("the metrics of two hubs", () => {
  it("count what agents of the one asked, by path, method and outcome", async () => {
    const samples = samplesOf(await pc1.metrics());
    const calls = (path: string, code: string) =>
      samples.get(`fed_calls_total{code="${code}",method="tools/call",path="${path}",side="agent"}`);
    expect(calls("lan", "ok")).toBe(3);
    expect(calls("local", "ok")).toBe(2);
    expect(calls("lan", "SHARING_DENIED")).toBe(1);
    expect(calls("local", "APP_UNKNOWN")).toBe(1);
    expect(samples.get('fed_call_duration_seconds_count{path="lan",side="agent"}')).toBe(5);
    expect(samples.get('fed_call_duration_seconds_bucket{le="+Inf",path="lan",side="agent"}')).toBe(5);
    expect(samples.get('fed_calls_in_flight{side="agent"}')).toBe(0);
    expect(samples.get('fed_app_calls_total{app="echo",code="ok"}')).toBe(2);
    expect(samples.get("fed_members{}")).toBe(1);
    expect(samples.get('fed_peers_connected{transport="lan"}')).toBe(1);
  });

  it("count what the other did for its peer, and what its rules did not let through", async () => {
    const samples = samplesOf(await pc2.metrics());
    expect(samples.get('fed_calls_total{code="ok",method="tools/call",path="lan",side="peer"}')).toBe(3);
    expect(samples.get('fed_denials_total{rule="default-deny"}')).toBe(1);
    expect(samples.get('fed_app_status{app="echo",status="ready"}')).toBe(1);
    expect(samples.get('fed_app_restarts_total{app="echo"}')).toBe(0);
    // Three calls and a refusal waited for their decision; nobody waits for an outcome.
    expect(samples.get("fed_audit_append_seconds_count{}")).toBeGreaterThanOrEqual(4);
    await expect.poll(async () => samplesOf(await pc2.metrics()).get("fed_audit_records{}")).toBeGreaterThanOrEqual(9);
    expect(samples.get("fed_revocations{}")).toBe(0);
    expect(samples.get("process_resident_memory_bytes{}")).toBeGreaterThan(1_000_000);
  });

  it("name no operator, no tool, and no app that somebody made up", async () => {
    for (const page of [await pc1.metrics(), await pc2.metrics()]) {
      expect(page).not.toMatch(/alice|no such tool|made-up/);
    }
  });

  it("are in the format that Prometheus reads", async () => {
    const page = await pc1.metrics();
    const seen = new Set<string>();
    for (const block of page.trim().split("\n\n")) {
      const [help, type, ...samples] = block.split("\n");
      const [, name] = /^# HELP ([a-z_:][a-z0-9_:]*) \S/.exec(help!)!;
      expect(type).toMatch(new RegExp(`^# TYPE ${name} (counter|gauge|histogram|summary)$`));
      expect(seen.has(name!)).toBe(false);
      seen.add(name!);
      for (const sample of samples) {
        expect(sample).toMatch(
          new RegExp(`^${name}(_bucket|_sum|_count)?(\\{([a-z_]+="[^"\\n]*",?)+\\})? (-?[0-9.e+-]+|Nan|[+-]Inf)$`),
        );
      }
    }
    expect(seen.size).toBeGreaterThan(30);
  });

  it("are found good by promtool", { timeout: 120_000 }, async ({ skip }) => {
    const found = findPromtool();
    if ("missing" in found) {
      console.info(`skipped: ${found.missing}`);
      return skip(found.missing);
    }
    // It complains of nothing of ours; names of Node's own that end in _total as gauges are prom-client's.
    expect(remarksOn(await pc1.metrics(), found.path).filter((line) => line.startsWith("fed_"))).toEqual([]);
  });
});

it("a peer that asks too much is counted", async () => {
  await using own = new TestFleet();
  const rate = { perSecond: 1, burst: 5 };
  const { pc1, pc2 } = await pair(own, { pc2: { apps: { echo: testApp() }, limits: { peer: rate } } });
  await pc2.sharing.share("echo", "cluster");
  const operator = pc1.operators.local("alice");
  const call = () => pc1.apps.call({ hub: "pc2", app: "echo", tool: "echo", arguments: { text: "x" } }, { operator });
  const codes = (await Promise.allSettled(Array.from({ length: 20 }, call))).map((ended) =>
    ended.status === "rejected" ? ended.reason.code : "ok",
  );
  const refused = codes.filter((code) => code === "RATE_LIMITED").length;
  expect(refused).toBeGreaterThanOrEqual(10);
  const samples = samplesOf(await pc2.metrics());
  expect(samples.get('fed_refusals_total{at="peer",code="RATE_LIMITED"}')).toBeGreaterThanOrEqual(refused);
});

describe("/metrics", () => {
  it("is for those who have a token, unless it was opened", async () => {
    const { token } = await pc1.operators.issueToken({ name: "prometheus", scope: "ReadOnly" });
    expect((await fetch(`${pc1.url}/metrics`)).status).toBe(401);
    expect((await fetch(`${pc1.url}/metrics`, { headers: { authorization: "Bearer nonsense" } })).status).toBe(401);
    const answer = await fetch(`${pc1.url}/metrics`, { headers: { authorization: `Bearer ${token}` } });
    expect(answer.status).toBe(200);
    expect(answer.headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8");
    const samples = samplesOf(await answer.text());
    expect(samples.get('fed_refusals_total{at="http",code="UNAUTHENTICATED"}')).toBe(2);

    const open = await fetch(`${pc2.url}/metrics`);
    expect(open.status).toBe(200);
    expect(await open.text()).toContain("fed_build_info");
    expect((await fetch(`${pc2.url}/api/federation/status`)).status).toBe(401);
  });
});

describe("what others can make up", () => {
  const call = { side: "agent", hub: "self", method: "tools/call", path: "local" } as const;

  it("takes bounded room", () => {
    const tally = new CallTally("self", () => true);
    for (let i = 0; i < 5000; i++) {
      tally.ended({ ...call, app: `app${i}`, method: `made/up${i}` } as never, { code: `CODE_${i}`, durationMs: 1 });
      tally.denied({ rule: `app${i}: whatever[${i}]` } as never);
      tally.refuse("http", `REFUSED_${i}`);
    }
    expect(tally.calls.size).toBeLessThanOrEqual(129);
    expect(tally.appSeconds.size).toBe(1024);
    expect([...tally.denials.values()]).toEqual([{ labels: { rule: "other" }, count: 5000 }]);
    expect(tally.refusals.size).toBeLessThanOrEqual(129);
    expect(tally.appCalls.size).toBeLessThanOrEqual(4096);
    expect([...tally.calls.values()].every(({ labels }) => labels.method === "other")).toBe(true);
  });

  it("is no label unless it is a word", () => {
    const tally = new CallTally("self", () => false);
    tally.ended({ ...call, app: "x" } as never, { code: 'x"} 1\n', durationMs: 1 });
    expect([...tally.calls.values()]).toMatchObject([{ labels: { code: "other" } }]);
  });

  it.each([
    ["scope", "scope"],
    ["default-deny", "default-deny"],
    ["notes: deny[night]", "deny"],
    ["notes: local-only", "local-only"],
    ["revocation: HUB_REVOKED", "revocation"],
    ["consent: CONSENT_DENIED", "consent"],
  ])("rule %s is of the kind %s", (rule, kind) => {
    const tally = new CallTally("self", () => true);
    tally.denied({ rule } as never);
    expect([...tally.denials.keys()]).toEqual([kind]);
  });
});

it("durations are counted by the first bound they do not exceed", () => {
  const tally = new CallTally("self", () => true);
  const observed = { side: "peer", hub: "self", app: "x", method: "tools/call", path: "lan" } as never;
  for (const durationMs of [0.5, 0.6, 1_000, 100_000]) tally.ended(observed, { code: "ok", durationMs });
  const [{ histogram }] = [...tally.durations.values()] as never as [
    { histogram: import("../../src/telemetry/latency-histogram.js").LatencyHistogram },
  ];
  const cumulative = histogram.cumulative();
  const at = (bound: number) => cumulative[latencyBounds.indexOf(bound as never)];
  expect([at(0.0005), at(0.001), at(0.5), at(1), at(60)]).toEqual([1, 2, 2, 3, 3]);
  expect(histogram.count).toBe(4);
  expect(histogram.sum).toBeCloseTo(101.0011);
});
