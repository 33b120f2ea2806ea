/**
 * Agents that ask too much of a hub in a process of its own: everything is answered or refused by a code, memory is bounded,
 * nothing is left behind, and another operator's agent goes on.
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { request } from "node:http";
import { connect, type Socket } from "node:net";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { AgentsHub, AgentsHubFacts } from "./fixture/agents-hub.js";
import { TestFleet } from "./fleet.js";

const isSoak = process.env.FED_SOAK === "1";
const mib = 1024 * 1024;
const fixture = (name: string) => fileURLToPath(new URL(`fixture/${name}`, import.meta.url));
const fleet = new TestFleet();
let child: ChildProcess;
let hub: AgentsHub;
let calm: Worker;
let before: AgentsHubFacts;
let sockets: Socket[] = [];

beforeAll(async () => {
  const execArgv = ["--expose-gc", "--import", fixture("from-source.mjs")];
  child = fork(fixture("agents-hub.ts"), [fleet.dirOf("pc1")], { execArgv });
  [hub] = (await once(child, "message")) as [AgentsHub];
  const body = bodyOf("echo", { text: "calm" });
  calm = new Worker(fixture("calm-agent.mjs"), {
    workerData: { url: `${hub.url}${path}`, headers: headersOf("echo", hub.tokens.bob), body },
  });
  // What is loaded and compiled once is no matter of what follows.
  await storm(16, 1600);
});
beforeEach(async () => {
  await calmCalls();
  before = await facts();
});
/** What ended has left nothing behind. */
afterEach(async () => {
  for (const socket of sockets) socket.destroy();
  sockets = [];
  await expect.poll(async () => (await facts()).waiting, { timeout: 20_000 }).toBe(0);
  // The calm agent may be in the middle of a call.
  await expect.poll(async () => (await facts()).callsInFlight, { timeout: 20_000 }).toBeLessThanOrEqual(1);
  await expect.poll(async () => (await facts()).sockets, { timeout: 20_000 }).toBeLessThanOrEqual(before.sockets + 1);
  const after = await facts();
  expect(after.timers).toBeLessThanOrEqual(before.timers + 1);
  if (after.descriptors !== undefined) expect(after.descriptors).toBeLessThanOrEqual(before.descriptors! + 2);
  expect(after.heapUsed - before.heapUsed).toBeLessThan(24 * mib);
  expect(child.exitCode).toBeNull();
});
afterAll(async () => {
  await calm.terminate();
  child.kill("SIGKILL");
  await once(child, "exit");
  await fleet[Symbol.asyncDispose]();
});

async function facts(): Promise<AgentsHubFacts> {
  child.send("facts");
  const [answer] = (await once(child, "message")) as [AgentsHubFacts];
  return answer;
}

/** What became of the other operator's calls since the last time. */
async function calmCalls() {
  const answered = once(calm, "message");
  calm.postMessage("durations");
  const [{ durations, failures }] = (await answered) as [{ durations: number[]; failures: string[] }];
  expect(failures).toEqual([]);
  const sorted = durations.sort((a, b) => a - b);
  const at = (share: number) => Math.round(sorted[Math.floor((sorted.length - 1) * share)] ?? 0);
  return { calls: sorted.length, p50: at(0.5), p99: at(0.99), max: at(1) };
}

const path = "/apps/pc1/app/mcp";

function bodyOf(tool: string, args: object): string {
  const protocol = "io.modelcontextprotocol/";
  const _meta = {
    progressToken: 1,
    [`${protocol}protocolVersion`]: "2026-07-28",
    [`${protocol}clientCapabilities`]: {},
  };
  return JSON.stringify({
    jsonrpc: "2.0",
    id: 1,
    method: "tools/call",
    params: { name: tool, arguments: args, _meta },
  });
}

function headersOf(tool: string, token = hub.tokens.ann): Record<string, string> {
  return {
    authorization: `Bearer ${token}`,
    "content-type": "application/json",
    accept: "application/json, text/event-stream",
    "mcp-protocol-version": "2026-07-28",
    "mcp-method": "tools/call",
    "mcp-name": tool,
  };
}

function messageOf(tool: string, args: object): string {
  const body = bodyOf(tool, args);
  const headers = { host: new URL(hub.url).host, ...headersOf(tool), "content-length": body.length };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return `POST ${path} HTTP/1.1\r\n${lines.join("")}\r\n${body}`;
}

function open(): Socket {
  const socket = connect(Number(new URL(hub.url).port), "127.0.0.1");
  socket.on("error", () => {});
  sockets.push(socket);
  return socket;
}

/** `calls` calls sent at once over `connections`; how many ended in which way. */
async function storm(connections: number, calls: number): Promise<Record<string, number>> {
  const message = messageOf("echo", { text: "x" });
  const counts: Record<string, number> = {};
  const count = (end: string, times = 1) => {
    counts[end] = (counts[end] ?? 0) + times;
  };
  const ends = Array.from({ length: connections }, async () => {
    const socket = open().setEncoding("utf8");
    socket.write(message.repeat(calls / connections));
    let left = calls / connections;
    let rest = "";
    socket.on("data", (chunk: string) => {
      rest += chunk;
      for (let end = nextEnd(rest); end > 0; end = nextEnd(rest)) {
        const answer = rest.slice(0, end);
        rest = rest.slice(end);
        left--;
        count(`${/ (\d+) /.exec(answer)?.[1]} ${/"code":"([A-Z_]+)"/.exec(answer)?.[1] ?? "result"}`);
      }
      if (left === 0) socket.destroy();
    });
    await once(socket, "close");
    if (left > 0) count("lost", left);
  });
  await Promise.all(ends);
  return counts;
}

/** Where the first whole response in `text` ends, or 0. */
function nextEnd(text: string): number {
  const head = text.indexOf("\r\n\r\n");
  const length = /\r\ncontent-length: (\d+)/i.exec(text.slice(0, Math.max(0, head)))?.[1];
  const end = head + 4 + Number(length);
  return head > 0 && length !== undefined && text.length >= end ? end : 0;
}

const answered = /^200 result$|^503 BUSY$|^429 RATE_LIMITED$|^200 BUSY$/;

describe("10,000 calls of one operator at once", () => {
  it.each([
    ["few", 16],
    ["many", isSoak ? 10_000 : 2_000],
  ])(
    "over %s connections are all answered",
    async (_name, connections) => {
      const counts = await storm(connections, 10_000);
      const others = await calmCalls();
      const { rss } = await facts();
      console.info(
        `${connections} connections`,
        counts,
        "another operator, ms:",
        others,
        `RSS +${Math.round((rss - before.rss) / mib)} MiB`,
      );
      expect(Object.keys(counts).filter((end) => !answered.test(end))).toEqual([]);
      expect(Object.values(counts).reduce((sum, each) => sum + each)).toBe(10_000);
      expect(counts["200 result"]).toBeGreaterThan(256);
      expect(others.p50).toBeLessThan(250);
      expect(others.p99).toBeLessThan(2_000);
      expect(rss - before.rss).toBeLessThan(384 * mib);
    },
    60_000,
  );
});

describe("a body of 50 MB", () => {
  it.each([
    ["that says so is refused by 413 before any of it is there", 0, { "content-length": String(50_000_000) }],
    ["in chunks is refused by 413 at one byte more than 4 MiB", 4 * mib + 1, {}],
  ])("%s, and what follows is not kept", async (_name, bytesFirst, length) => {
    const startedMs = performance.now();
    const upload = request(`${hub.url}${path}`, { method: "POST", headers: { ...headersOf("echo"), ...length } });
    upload.on("error", () => {});
    upload.flushHeaders();
    if (bytesFirst > 0) upload.write(Buffer.alloc(bytesFirst, "x"));
    // Nothing more is sent until the answer is there: the hub does not wait for it.
    const [response] = await once(upload, "response");
    expect(performance.now() - startedMs).toBeLessThan(2_000);
    expect(response.statusCode).toBe(413);
    response.resume();
    upload.end(Buffer.alloc(50_000_000 - bytesFirst, "x"));
    await once(upload, "close");
    expect(upload.socket!.bytesWritten).toBeGreaterThan(50_000_000);
    expect((await facts()).rss - before.rss).toBeLessThan(64 * mib);
  });

  it("is refused to a client that sends all of it before it reads", async () => {
    const body = new Blob([Buffer.alloc(50_000_000, "x")]);
    for (let i = 0; i < 3; i++) {
      const response = await fetch(`${hub.url}${path}`, { method: "POST", headers: headersOf("echo"), body });
      expect(response.status).toBe(413);
      await response.text();
    }
  });
});

describe("clients that dawdle", () => {
  it("with 256 bodies of 4 MB take the share of one operator and no more", async () => {
    const message = messageOf("echo", { text: "x".repeat(4_000_000) });
    const refused: string[] = [];
    for (let i = 0; i < 256; i++) {
      const socket = open().setEncoding("utf8");
      socket.on("data", (chunk) => void refused.push(String(/"code":"([A-Z_]+)"/.exec(String(chunk))?.[1])));
      socket.write(message.slice(0, -1));
    }
    await expect.poll(() => refused.length, { timeout: 30_000 }).toBeGreaterThanOrEqual(220);
    expect(new Set(refused)).toEqual(new Set(["BUSY"]));
    const { rss } = await facts();
    const others = await calmCalls();
    console.info(
      "256 slow bodies of 4 MB, another operator, ms:",
      others,
      `RSS +${Math.round((rss - before.rss) / mib)} MiB`,
    );
    expect(rss - before.rss).toBeLessThan(640 * mib);
    expect(others.p50).toBeLessThan(250);
    for (const socket of sockets) socket.destroy();
    await expect.poll(() => storm(1, 1)).toEqual({ "200 result": 1 });
  }, 60_000);

  it("with 500 half headers hinder nobody, and are let go", async () => {
    for (let i = 0; i < 500; i++) open().write("POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ");
    await expect.poll(async () => (await facts()).sockets).toBeGreaterThanOrEqual(500);
    expect(await storm(1, 10)).toEqual({ "200 result": 10 });
    if (!isSoak) return;
    const answers = sockets.slice(0, 500).map(async (socket) => String(await once(socket, "data")));
    for (const answer of await Promise.all(answers)) expect(answer).toMatch(/^HTTP\/1.1 408 /);
  }, 60_000);
});

describe("clients that do not read", () => {
  it("while an app talks to them: what informs is dropped", async () => {
    const streams = isSoak ? 100 : 8;
    for (let i = 0; i < streams; i++)
      open()
        .pause()
        .write(messageOf("talk", { bytes: 60_000 }));
    await expect.poll(async () => (await facts()).waiting, { timeout: 60_000 }).toBe(streams);
    // The system takes some MiB for each; then the hub holds at most one more.
    await expect.poll(async () => (await facts()).said, { timeout: 60_000 }).toBeGreaterThan(streams * 500);
    const { rss, heapUsed } = await facts();
    const others = await calmCalls();
    console.info(
      `${streams} streams unread, another operator, ms:`,
      others,
      `RSS +${Math.round((rss - before.rss) / mib)} MiB`,
    );
    expect(heapUsed - before.heapUsed).toBeLessThan(isSoak ? 384 * mib : 64 * mib);
    expect(others.p50).toBeLessThan(250);
  }, 120_000);

  if (isSoak)
    it("are let go of when nothing moves for two minutes", async () => {
      const socket = open().pause();
      socket.write(messageOf("talk", { bytes: 60_000 }));
      await expect.poll(async () => (await facts()).waiting).toBe(1);
      await expect.poll(async () => (await facts()).waiting, { timeout: 180_000, interval: 1_000 }).toBe(0);
    }, 200_000);
});
