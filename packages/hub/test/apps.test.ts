import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expectCode } from "@fed/core/testing";
import { describe, expect, it } from "vitest";
import type { AppConfig } from "../src/index.js";
import { addressOf, pair, TestFleet, testApp } from "./fleet.js";

const badApp = fileURLToPath(new URL("fixture/bad-app.ts", import.meta.url));

function withFault(fault: string, ...more: string[]): AppConfig {
  return { command: process.execPath, args: [badApp, fault, ...more], start: "eager" };
}

/** pc1 calls apps of pc2: `bad` with a fault, and `echo` which must not notice. */
async function neighbours(fleet: TestFleet, bad: AppConfig) {
  const { pc1, pc2 } = await pair(fleet, { pc2: { apps: { bad, echo: testApp() } } });
  await pc2.sharing.share("bad", "cluster");
  await pc2.sharing.share("echo", "cluster");
  const operator = pc1.operators.local("tester");
  return {
    pc1,
    pc2,
    call: (
      tool: string,
      options: {
        deadlineMs?: number;
        signal?: AbortSignal;
        onNotification?: (notification: { params?: unknown }) => void;
      } = {},
    ) => pc1.apps.call({ hub: "pc2", app: "bad", tool }, { operator, ...options }),
    status: async () => (await pc1.apps.list({ operator })).map(({ app, status }) => `${app} ${status}`),
    async echoAnswers(): Promise<void> {
      const result = await pc1.apps.call(
        { hub: "pc2", app: "echo", tool: "echo", arguments: { text: "well" } },
        { operator, deadlineMs: 5_000 },
      );
      expect(result).toMatchObject({ content: [{ text: "well" }] });
    },
  };
}

async function pidOf(call: (tool: string) => Promise<unknown>): Promise<string> {
  const result = (await call("pid")) as { content: { text: string }[] };
  return result.content[0]!.text;
}

describe("an app that cannot start", () => {
  it.each([
    ["is not there", { command: "/no/such/program", start: "eager" }, "ENOENT"],
    ["ends at once", withFault("exit"), "no licence found"],
  ] as const)("because it %s is shown as failed, with the reason", async (_why, config, reason) => {
    await using fleet = new TestFleet();
    const { call, status, echoAnswers } = await neighbours(fleet, config);
    // It is tried again and again, and shown as starting meanwhile.
    await expect.poll(status).toEqual(["bad failed", "echo ready"]);
    const error = await expectCode(call("pid"), "APP_UNAVAILABLE");
    expect(error.message).toContain(reason);
    expect(error.hint).toBeTruthy();
    expect(error.retryable).toBe(true);
    await echoAnswers();
  });

  it("because it prints garbage holds up only those who call it", async () => {
    await using fleet = new TestFleet();
    const { pc1, pc2 } = await pair(fleet, { pc2: { apps: { echo: testApp() } } });
    await pc2.close();
    const again = await fleet.hub("pc2", {
      apps: { bad: withFault("garbage"), echo: testApp() },
      lan: { listen: { host: "127.0.0.1", port: 0 }, discovery: false, peers: [addressOf(pc1)] },
    });
    await again.sharing.share("bad", "cluster");
    await again.sharing.share("echo", "cluster");
    await expect.poll(() => pc1.cluster.peers()[0]?.path).toBe("lan");
    const operator = pc1.operators.local("tester");
    const listed = await pc1.apps.list({ operator });
    expect(listed.find(({ app }) => app === "bad")?.status).toBe("starting");
    await expectCode(
      pc1.apps.call({ hub: "pc2", app: "bad", tool: "pid" }, { operator, deadlineMs: 300 }),
      "DEADLINE_EXCEEDED",
    );
    await pc1.apps.call({ hub: "pc2", app: "echo", tool: "echo", arguments: { text: "x" } }, { operator });
  });
});

describe("an app that fails while it runs", () => {
  it("by crashing leaves the outcome unknown, and is started again by itself", async () => {
    await using fleet = new TestFleet();
    const { pc2, call, status, echoAnswers } = await neighbours(fleet, withFault("none"));
    const before = await pidOf(call);
    const error = await expectCode(call("crash"), "OUTCOME_UNKNOWN");
    expect(error.retryable).toBe(false);
    await echoAnswers();
    await expect.poll(status, { timeout: 10_000 }).toEqual(["bad ready", "echo ready"]);
    expect(await pidOf(call)).not.toBe(before);
    const outcomes = (await pc2.audit.tail(100)).map(({ record }) => record.code);
    expect(outcomes).toContain("OUTCOME_UNKNOWN");
  });

  it("by printing 100 MiB at once is refused this one answer", async () => {
    await using fleet = new TestFleet();
    const { call, echoAnswers } = await neighbours(fleet, withFault("none"));
    const before = await pidOf(call);
    const [error] = await Promise.all([expectCode(call("flood"), "RESULT_TOO_LARGE"), echoAnswers()]);
    expect(error.hint).toBeTruthy();
    expect(await pidOf(call)).toBe(before);
  });

  it("by printing a line without end is stopped, and is started again by itself", async () => {
    await using fleet = new TestFleet();
    const { call, status, echoAnswers } = await neighbours(fleet, withFault("none"));
    await expectCode(call("endless"), "OUTCOME_UNKNOWN");
    await echoAnswers();
    await expect.poll(status, { timeout: 10_000 }).toEqual(["bad ready", "echo ready"]);
    await pidOf(call);
  });

  it("by printing errors without end still answers", async () => {
    await using fleet = new TestFleet();
    const { call, echoAnswers } = await neighbours(fleet, withFault("none"));
    const before = process.memoryUsage().heapUsed;
    const [result] = await Promise.all([call("chatter"), echoAnswers()]);
    expect(result).toMatchObject({ content: [{ text: "said enough" }] });
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(64 * 1024 * 1024);
  });

  it("by reporting progress without end is heard in moderation, until nobody wants to hear it", async () => {
    await using fleet = new TestFleet();
    const { call, echoAnswers } = await neighbours(fleet, withFault("none"));
    const progress: unknown[] = [];
    const cancel = new AbortController();
    const flood = expectCode(
      call("progress", { signal: cancel.signal, onNotification: ({ params }) => progress.push(params) }),
      "ABORTED",
    );
    await expect.poll(() => progress.length).toBeGreaterThan(250);
    await echoAnswers();
    cancel.abort();
    await flood;
    expect(progress.length).toBeLessThan(400);
    await echoAnswers();
  });

  it("by never answering hears that nobody waits any more", async () => {
    await using fleet = new TestFleet();
    const notes = fleet.dirOf("notes");
    const { call, echoAnswers } = await neighbours(fleet, withFault("none", notes));
    await pidOf(call);
    const error = await expectCode(call("silence", { deadlineMs: 300 }), "DEADLINE_EXCEEDED");
    expect(error.hint).toBeTruthy();
    await expect.poll(() => existsSync(notes)).toBe(true);
    await echoAnswers();
    await pidOf(call);
  });
});
