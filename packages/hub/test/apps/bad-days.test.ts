import { readFileSync } from "node:fs";
import { FedError } from "@fed/core";
import { expectCode } from "@fed/core/testing";
import { describe, expect, it } from "vitest";
import { isRunning, openHost, type TestHost, tinyApp, withFault } from "./host.js";

const mib = 1024 * 1024;

/** Another app answers, and promptly. */
async function othersAreWell(apps: TestHost): Promise<void> {
  const startedAt = performance.now();
  expect(await apps.call("well", "pid")).toMatch(/^\d+$/);
  expect(performance.now() - startedAt).toBeLessThan(1_000);
}

/** An abort signal as the router's deadline makes it. */
function deadline(afterMs: number): AbortSignal {
  const controller = new AbortController();
  setTimeout(() => controller.abort(new FedError({ code: "DEADLINE_EXCEEDED", message: "Too late." })), afterMs);
  return controller.signal;
}

const openBad = (fault = "none", ...more: string[]) =>
  openHost({ bad: withFault(fault, ...more), well: { ...tinyApp, start: "eager" } });

describe("an app that", () => {
  it("hangs when it is started holds up those who call it until their deadline, and ends with the hub", async () => {
    await using apps = await openBad("hang");
    await expectCode(apps.call("bad", "pid", { signal: deadline(200) }), "DEADLINE_EXCEEDED");
    expect(apps.health("bad").status).toBe("starting");
    await othersAreWell(apps);
  });

  it("hangs in a call is told to stop, and takes the next one", async () => {
    await using apps = await openHost({ well: tinyApp });
    const heard = apps.file("heard");
    await apps.host.configure({ well: tinyApp, bad: withFault("none", heard) });
    // It runs before its time is measured: a busy machine may take longer to start it.
    await apps.call("bad", "pid");
    await expectCode(apps.call("bad", "silence", { signal: deadline(300) }), "DEADLINE_EXCEEDED");
    await expect.poll(() => readFileSync(heard, "utf8")).toBe("cancelled");
    expect(await apps.call("bad", "pid")).toMatch(/^pid /);
    await othersAreWell(apps);
  });

  it("floods: 100 MiB of result end in RESULT_TOO_LARGE, in bounded memory, and it goes on as it is", async () => {
    await using apps = await openBad();
    const pid = await apps.call("bad", "pid");
    const usedBytes = () => {
      const { heapUsed, external } = process.memoryUsage();
      return heapUsed + external;
    };
    const before = usedBytes();
    let peakBytes = 0;
    const sampling = setInterval(() => {
      peakBytes = Math.max(peakBytes, usedBytes());
    }, 5);
    const flood = apps.call("bad", "flood");
    await Promise.all([expectCode(flood, "RESULT_TOO_LARGE"), othersAreWell(apps)]);
    clearInterval(sampling);
    expect(peakBytes).toBeGreaterThan(0);
    expect(peakBytes - before).toBeLessThan(100 * mib);
    expect(await apps.call("bad", "pid")).toBe(pid);
    expect((await apps.call("bad", "flood", { arguments: { to: 7 } })).length).toBe(7 * mib);
  });

  it("floods without end is stopped, and started for the next who asks", async () => {
    await using apps = await openBad();
    const pid = await apps.call("bad", "pid");
    await expectCode(apps.call("bad", "endless"), "OUTCOME_UNKNOWN");
    await othersAreWell(apps);
    expect(apps.health("bad").lastError?.message).toContain("a line of more than");
    expect(await apps.call("bad", "pid")).not.toBe(pid);
  });

  it("crashes leaves the outcome unknown, once for each call that was under way", async () => {
    await using apps = await openBad();
    await apps.call("bad", "pid");
    const calls = [apps.call("bad", "silence"), apps.call("bad", "silence"), apps.call("bad", "crash")];
    for (const call of calls) await expectCode(call, "OUTCOME_UNKNOWN");
    await othersAreWell(apps);
    expect(await apps.call("bad", "pid")).toMatch(/^pid /);
  });

  it("speaks no MCP is given up soon, with what it prints", async () => {
    await using apps = await openBad("garbage");
    const startedAt = performance.now();
    const error = await expectCode(apps.call("bad", "pid"), "APP_UNAVAILABLE");
    expect(performance.now() - startedAt).toBeLessThan(5_000);
    expect(error.message).toContain("speaks no MCP");
    expect(apps.host.logs("bad").join()).toContain("Listening on port 8080");
    await othersAreWell(apps);
  });

  it("answers another call than the one it was asked is not believed, and the call ends with its deadline", async () => {
    await using apps = await openBad();
    await apps.call("bad", "pid");
    await expectCode(apps.call("bad", "wrong-id", { signal: deadline(300) }), "DEADLINE_EXCEEDED");
    expect(await apps.call("bad", "pid")).toMatch(/^pid /);
  });

  it("changes its tools while it works is heard, and its calls are not disturbed", async () => {
    await using apps = await openBad();
    await apps.call("bad", "pid");
    const calls = Array.from({ length: 50 }, (_, i) => apps.call("bad", i % 5 === 0 ? "learn" : "pid"));
    await Promise.all(calls);
    await expect.poll(() => apps.host.tools("bad")?.length).toBe(11);
  });

  it("floods standard error answers all the same, and what is kept is bounded", async () => {
    await using apps = await openBad();
    const [said] = await Promise.all([apps.call("bad", "chatter"), othersAreWell(apps)]);
    expect(said).toBe("said enough");
    expect(apps.host.logs("bad").join("\n").length).toBeLessThanOrEqual(64 * 1024);
  });

  it("reads no more is not written to without end", async () => {
    await using apps = await openBad();
    await apps.call("bad", "go-deaf");
    const text = "y".repeat(mib);
    const signal = deadline(500);
    const calls = Array.from({ length: 40 }, () => apps.call("bad", "pid", { arguments: { text }, signal }));
    const codes = (await Promise.allSettled(calls)).map((outcome) => (outcome as PromiseRejectedResult).reason.code);
    const unsent = codes.filter((code) => code === "APP_UNAVAILABLE").length;
    const late = codes.filter((code) => code === "DEADLINE_EXCEEDED").length;
    expect(unsent + late).toBe(40);
    expect(late).toBeGreaterThan(10);
    expect(unsent).toBeGreaterThan(10);
    await othersAreWell(apps);
    await apps.host.restart("bad");
    expect(await apps.call("bad", "pid")).toMatch(/^pid /);
  });

  it("tells its secrets is not quoted", async () => {
    await using apps = await openHost({ bad: { ...withFault("none"), env: { API_TOKEN: "s3cr3t-of-ann" } } });
    const error = await expectCode(apps.call("bad", "tattle"), "TOOL_FAILED");
    expect(error).toMatchObject({ details: { rpc: { message: "refused: [redacted]", data: ["[redacted]"] } } });
    expect(`${error.message} ${JSON.stringify(error)}`).not.toContain("s3cr3t");
    await expect.poll(() => apps.host.logs("bad")).toEqual(["my token is [redacted]"]);
  });

  it("was started by a wrapper ends with it, however stubborn it is", async () => {
    await using apps = await openHost({});
    const note = apps.file("grandchild");
    await apps.host.configure({ wrapped: withFault("wrapper", note) });
    expect(await apps.call("wrapped", "pid")).toMatch(/^pid /);
    const { pid } = apps.health("wrapped");
    const grandchild = Number(readFileSync(note, "utf8"));
    expect([pid!, grandchild].map(isRunning)).toEqual([true, true]);
    await apps.host.stop("wrapped");
    expect([pid!, grandchild].map(isRunning)).toEqual([false, false]);

    await apps.host.launch("wrapped");
    const again = Number(readFileSync(note, "utf8"));
    process.kill(apps.health("wrapped").pid!, "SIGKILL");
    await expect.poll(() => isRunning(again)).toBe(false);
  });
});

describe("an app's process", () => {
  it("has its own folder and arguments, and of the environment only what is safe and what it was given", async () => {
    process.env.FED_TEST_SECRET = "of the hub";
    await using apps = await openHost({});
    await apps.host.configure({ bad: { ...withFault("none", "--flag"), cwd: apps.root, env: { OWN: "yes" } } });
    const told = JSON.parse(await apps.call("bad", "environment")) as { cwd: string; args: string[]; env: object };
    delete process.env.FED_TEST_SECRET;
    expect(told).toMatchObject({ cwd: apps.root, args: ["--flag"], env: { OWN: "yes", PATH: process.env.PATH } });
    expect(told.env).not.toHaveProperty("FED_TEST_SECRET");
  });

  it.each([
    [{ command: "/no/such/program" }, "ENOENT"],
    [{ command: process.execPath, cwd: "/no/such/folder" }, "there is no folder /no/such/folder"],
    [{ command: "/etc" }, "EACCES"],
  ])("that cannot be is a failure with its reason: %j", async (config, reason) => {
    await using apps = await openHost({ bad: config });
    const error = await expectCode(apps.host.launch("bad"), "APP_START_FAILED");
    expect(error.message).toContain(reason);
    expect(error.hint).toBeTruthy();
  });
});
