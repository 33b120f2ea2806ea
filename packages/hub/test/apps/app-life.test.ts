import { existsSync, readFileSync } from "node:fs";
import { FedError } from "@fed/core";
import { createMemoryStore } from "@fed/core/memory";
import { createTestClock, expectCode } from "@fed/core/testing";
import { McpServer } from "@modelcontextprotocol/server";
import { describe, expect, it } from "vitest";
import { isRunning, openHost, tinyApp, withFault } from "./host.js";

describe("an app on demand", () => {
  it("is idle until it is asked, then ready, and described afterwards without being started", async () => {
    const store = createMemoryStore();
    await using first = await openHost({ tiny: tinyApp }, { store });
    expect(first.host.list()).toMatchObject([{ app: "tiny", status: "idle" }]);
    expect(first.host.tools("tiny")).toBeUndefined();
    const pid = Number(await first.call("tiny", "pid"));
    expect(first.health("tiny")).toMatchObject({ status: "ready", pid, restarts: 0, revision: "2025-11-25" });
    await first.host.settled();
    expect(first.host.tools("tiny")).toMatchObject([{ name: "pid" }]);
    await first.host.close();
    expect(isRunning(pid)).toBe(false);

    await using second = await openHost({ tiny: tinyApp, other: { ...tinyApp, env: { A: "1" } } }, { store });
    expect(second.host.tools("tiny")).toMatchObject([{ name: "pid" }]);
    expect(second.host.tools("other")).toBeUndefined();
    expect(second.health("tiny")).toMatchObject({ status: "idle", tools: 1 });
    await second.host.configure({ tiny: { ...tinyApp, env: { A: "1" } } });
    expect(second.host.tools("tiny"), "of another configuration").toBeUndefined();
  });

  it("is started once for all who ask at the same time", async () => {
    await using apps = await openHost({ tiny: tinyApp });
    const answers = await Promise.all(Array.from({ length: 20 }, () => apps.call("tiny", "pid")));
    expect(new Set(answers).size).toBe(1);
  });

  it("starts for whoever looks up its tools", async () => {
    await using apps = await openHost({ tiny: tinyApp });
    expect(await apps.request("tiny", "tools/list")).toMatchObject({ tools: [{ name: "pid" }] });
    expect(await apps.request("tiny", "server/discover")).toMatchObject({
      capabilities: { tools: {} },
      supportedVersions: ["2026-07-28"],
    });
  });

  it("stops when it was idle for as long as configured, and starts again", async () => {
    const clock = createTestClock();
    await using apps = await openHost({ tiny: { ...tinyApp, idleStopMs: 60_000 } }, { clock });
    const pid = Number(await apps.call("tiny", "pid"));
    await clock.advance(59_000);
    await apps.call("tiny", "pid");
    await clock.advance(59_000);
    expect(apps.health("tiny").status).toBe("ready");
    await clock.advance(1_000);
    expect(apps.health("tiny").status).toBe("idle");
    expect(Number(await apps.call("tiny", "pid"))).not.toBe(pid);
    expect(isRunning(pid)).toBe(false);
  });

  it("does not stop while it works", async () => {
    const clock = createTestClock();
    await using apps = await openHost({ bad: { ...withFault("none"), idleStopMs: 1_000 } }, { clock });
    await apps.call("bad", "pid");
    const cancel = new AbortController();
    const silence = apps.call("bad", "silence", { signal: cancel.signal });
    await clock.advance(10_000);
    expect(apps.health("bad")).toMatchObject({ status: "ready", inFlight: 1 });
    cancel.abort();
    await expect(silence).rejects.toThrow();
    await clock.advance(1_000);
    expect(apps.health("bad").status).toBe("idle");
  });

  it("does not stop while an agent is to answer it", async () => {
    const clock = createTestClock();
    await using apps = await openHost({ bad: { ...withFault("none"), idleStopMs: 1_000 } }, { clock });
    const _meta = { "io.modelcontextprotocol/clientCapabilities": { elicitation: { form: {} } } };
    const asked = await apps.request("bad", "tools/call", { name: "ask", arguments: {}, _meta });
    expect(asked).toMatchObject({ resultType: "input_required" });
    await clock.advance(599_000);
    expect(apps.health("bad").status).toBe("ready");
    await clock.advance(1_000);
    expect(apps.health("bad").status).toBe("idle");
  });

  it("is not restarted while nobody asks, and is for the next who does", async () => {
    const clock = createTestClock();
    await using apps = await openHost({ bad: withFault("none") }, { clock });
    await expectCode(apps.call("bad", "crash"), "OUTCOME_UNKNOWN");
    await expect.poll(() => apps.health("bad").status).toBe("failed");
    expect(apps.health("bad").lastError?.message).toContain("segmentation fault");
    await clock.advance(60_000);
    expect(apps.health("bad")).toMatchObject({ status: "failed", restarts: 0 });
    expect(await apps.call("bad", "pid")).toMatch(/^pid /);
    expect(apps.health("bad")).toMatchObject({ status: "ready", restarts: 1, lastError: { code: "APP_UNAVAILABLE" } });
  });
});

describe("an app that crashes on every start", () => {
  it("is tried again with growing pauses, at most 30 s, for ever", async () => {
    const clock = createTestClock();
    await using apps = await openHost({}, { clock });
    const counter = apps.file("starts");
    const starts = () => (existsSync(counter) ? readFileSync(counter, "utf8").length : 0);
    await apps.host.configure({ bad: { ...withFault("exit-counted", counter), start: "eager" } });
    for (const pauseMs of [0, 750, 1500, 3000, 6000, 12_000, 24_000, 30_000, 30_000]) {
      const before = starts();
      await clock.advance(pauseMs);
      await expect
        .poll(() => apps.health("bad"))
        .toMatchObject({ status: "failed", lastError: { atMs: clock.nowMs() } });
      expect(starts()).toBeGreaterThan(before);
    }
    const error = await expectCode(apps.call("bad", "pid"), "APP_UNAVAILABLE");
    expect(error.message).toContain("ended with status 3");
    expect(error).toMatchObject({ retryable: true, hint: expect.stringContaining(" s ") });
    const before = starts();
    await clock.advance(14_000);
    expect(starts()).toBe(before);
  });

  it("refuses at once what would have to wait for long", async () => {
    const clock = createTestClock();
    await using apps = await openHost({ bad: withFault("exit") }, { clock });
    for (let i = 0; i < 5; i++) {
      let refused = false;
      const call = expectCode(apps.call("bad", "pid"), "APP_UNAVAILABLE").finally(() => {
        refused = true;
      });
      // A start that is near is waited for.
      while (!refused) {
        await new Promise((resolve) => setTimeout(resolve, 5));
        // For one that is refused no time passes, or the next start would come near.
        if (!refused && apps.health("bad").status === "failed") await clock.advance(50);
      }
      await call;
    }
    const startedAt = performance.now();
    for (let i = 0; i < 100; i++) await expectCode(apps.call("bad", "pid"), "APP_UNAVAILABLE");
    expect(performance.now() - startedAt).toBeLessThan(500);
  });
});

describe("an operator", () => {
  it("stops an app, which stays so until it is launched", async () => {
    await using apps = await openHost({ tiny: { ...tinyApp, start: "eager" } });
    await apps.host.settled();
    const { pid } = apps.health("tiny");
    await apps.host.stop("tiny");
    expect(isRunning(pid!)).toBe(false);
    expect(apps.host.list()).toMatchObject([{ app: "tiny", status: "stopped" }]);
    const error = await expectCode(apps.call("tiny", "pid"), "APP_UNAVAILABLE");
    expect(error).toMatchObject({ retryable: false, hint: expect.stringContaining("fed apps launch tiny") });
    await apps.host.configure({ tiny: { ...tinyApp, env: { A: "1" }, start: "eager" } });
    expect(apps.health("tiny").status).toBe("stopped");
    await apps.host.launch("tiny");
    expect(apps.health("tiny")).toMatchObject({ status: "ready", restarts: 1 });
    await apps.host.launch("tiny");
    expect(apps.health("tiny")).toMatchObject({ status: "ready", restarts: 1 });
  });

  it("stops an app that is starting", async () => {
    await using apps = await openHost({ hung: { ...withFault("hang"), start: "eager" } });
    expect(apps.health("hung").status).toBe("starting");
    const waiting = apps.call("hung", "pid");
    await Promise.all([apps.host.stop("hung"), expectCode(waiting, "APP_UNAVAILABLE")]);
    expect(apps.health("hung").status).toBe("stopped");
  });

  it("hears why a launch failed, and of apps that there are not", async () => {
    await using apps = await openHost({ bad: withFault("exit") });
    const error = await expectCode(apps.host.launch("bad"), "APP_START_FAILED");
    expect(error.message).toContain("no licence found");
    await expectCode(apps.host.launch("nothing"), "APP_UNKNOWN");
    await expectCode(apps.host.stop("nothing"), "APP_UNKNOWN");
    await expectCode(async () => apps.host.logs("nothing"), "APP_UNKNOWN");
  });

  it("restarts an app, and calls meanwhile wait", async () => {
    await using apps = await openHost({ tiny: tinyApp });
    const before = await apps.call("tiny", "pid");
    const [, after] = await Promise.all([apps.host.restart("tiny"), apps.call("tiny", "pid")]);
    expect(after).not.toBe(before);
    expect(isRunning(Number(before))).toBe(false);
  });

  it("waits for calls under way, but not for ever", async () => {
    const clock = createTestClock();
    await using apps = await openHost({ bad: withFault("none") }, { clock });
    await apps.call("bad", "pid");
    const silence = expectCode(apps.call("bad", "silence"), "OUTCOME_UNKNOWN");
    let stopped = false;
    const stop = apps.host.stop("bad").then(() => {
      stopped = true;
    });
    await clock.advance(4_999);
    expect(stopped).toBe(false);
    await clock.advance(1);
    await Promise.all([stop, silence]);
  });
});

describe("a new set of apps", () => {
  it("touches only what has changed", async () => {
    const changes: (string | undefined)[] = [];
    await using apps = await openHost({ same: tinyApp, changed: tinyApp, removed: tinyApp });
    apps.host.onChange((app) => changes.push(app));
    const [same, changed, removed] = await Promise.all(
      ["same", "changed", "removed"].map((app) => apps.call(app, "pid")),
    );
    await apps.host.configure({
      added: { ...tinyApp, start: "eager" },
      same: { ...tinyApp, title: "The same" },
      changed: { ...tinyApp, env: { A: "1" } },
    });
    expect(apps.host.list().map(({ app }) => app)).toEqual(["added", "same", "changed"]);
    expect(apps.host.list()[1]).toMatchObject({ title: "The same", status: "ready" });
    expect(await apps.call("same", "pid")).toBe(same);
    expect(await apps.call("changed", "pid")).not.toBe(changed);
    await expectCode(apps.call("removed", "pid"), "APP_UNKNOWN");
    await apps.call("added", "pid");
    await expect.poll(() => [changed, removed].some((pid) => isRunning(Number(pid)))).toBe(false);
    expect(changes).toContain("added");
  });

  it("gives calls of an app that is removed time to end", async () => {
    const clock = createTestClock();
    await using apps = await openHost({ bad: withFault("none") }, { clock });
    const pid = Number((await apps.call("bad", "pid")).slice(4));
    const cancel = new AbortController();
    const calls = [apps.call("bad", "silence"), apps.call("bad", "silence", { signal: cancel.signal })];
    const outcomes = Promise.allSettled(calls);
    await apps.host.configure({});
    await clock.advance(4_000);
    expect(isRunning(pid)).toBe(true);
    cancel.abort(new FedError({ code: "ABORTED", message: "Enough." }));
    await clock.advance(1_000);
    expect((await outcomes).map((outcome) => (outcome as PromiseRejectedResult).reason.code)).toEqual([
      "OUTCOME_UNKNOWN",
      "ABORTED",
    ]);
    await expect.poll(() => isRunning(pid)).toBe(false);
  });

  it("starts an app that comes back only when the old one is gone", async () => {
    await using apps = await openHost({ bad: withFault("stubborn") });
    const pid = Number((await apps.call("bad", "pid")).slice(4));
    await apps.host.configure({});
    await apps.host.configure({ bad: withFault("stubborn") });
    await apps.call("bad", "pid");
    expect(isRunning(pid)).toBe(false);
  });

  it("is refused as a whole when a part is wrong", async () => {
    await using apps = await openHost({ tiny: tinyApp });
    await expectCode(async () => apps.host.configure({ "a/b": tinyApp }), "APP_CONFIG_INVALID");
    const many = Object.fromEntries(Array.from({ length: 257 }, (_, i) => [`app-${i}`, tinyApp]));
    await expectCode(async () => apps.host.configure(many), "APP_CONFIG_INVALID");
    expect(apps.host.list()).toMatchObject([{ app: "tiny" }]);
  });

  it("keeps an in-process server that is the same function", async () => {
    let made = 0;
    const server = () => {
      made++;
      const mcp = new McpServer({ name: "inside", version: "1.0.0" }, { capabilities: { tools: {} } });
      mcp.registerTool("made", {}, () => ({ content: [{ type: "text", text: String(made) }] }));
      return mcp;
    };
    await using apps = await openHost({ inside: { server } });
    await apps.host.settled();
    const before = made;
    await apps.host.configure({ inside: { server, title: "Inside" } });
    await apps.call("inside", "made");
    const { restarts } = apps.health("inside");
    expect({ restarts, made }).toEqual({ restarts: 0, made: before });
    await apps.host.configure({ inside: { server: () => server() } });
    await apps.call("inside", "made");
    expect(apps.health("inside").restarts).toBe(1);
  });
});

describe("the tools of an app", () => {
  it("are looked at again when it says that they have changed, and what is the same stays the same", async () => {
    await using apps = await openHost({ bad: withFault("none") });
    await apps.call("bad", "pid");
    await apps.host.settled();
    const before = apps.host.tools("bad");
    expect(before?.map(({ name }) => name)).toEqual(["pid"]);
    const changed = new Promise((resolve) => apps.host.onChange((app) => app === "bad" && resolve(undefined)));
    expect(await apps.call("bad", "learn")).toBe("learnt");
    await changed;
    const after = apps.host.tools("bad");
    expect(after?.map(({ name }) => name)).toEqual(["pid", "tool-1"]);
    expect(after?.[0]).toBe(before?.[0]);
  });
});

it("what belongs to a conversation is not passed on", async () => {
  await using apps = await openHost({ tiny: tinyApp });
  for (const method of ["initialize", "notifications/initialized", "logging/setLevel", "resources/subscribe"]) {
    await expectCode(apps.request("tiny", method), "METHOD_NOT_SUPPORTED");
  }
  await expectCode(apps.request("tiny", "tools/list", [] as never), "REQUEST_INVALID");
  expect(await apps.request("tiny", "ping")).toEqual({});
  expect(apps.health("tiny").status).toBe("idle");
});
