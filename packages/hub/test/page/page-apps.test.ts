import { expectCode } from "@fed/core/testing";
import type { AppContext, AppRequest } from "@fed/router";
import { describe, expect, it } from "vitest";
import { createPageApps, type PageApp, type PageTool } from "../../src/page/page-apps.js";

const caller = { operator: "ann@h", homeHub: "h", roles: [], scope: [], local: false, hubs: ["h"] };
const context = (signal = new AbortController().signal): AppContext => ({ caller, callId: "c", signal, notify() {} });
const clock = (tools: Readonly<Record<string, PageTool>>): Readonly<Record<string, PageApp>> => ({ clock: { tools } });
const ask = (apps: Readonly<Record<string, PageApp>>, request: AppRequest, signal?: AbortSignal) =>
  createPageApps(apps).call("clock", request, context(signal));
const callTool = (tool: PageTool["run"], params: unknown = { name: "now" }, signal?: AbortSignal) =>
  ask(clock({ now: { run: tool } }), { method: "tools/call", params }, signal);

describe("an app of a page", () => {
  it("is described as an MCP app is", async () => {
    const now: PageTool = { title: "Now", annotations: { readOnlyHint: true }, run: () => "" };
    const apps = createPageApps({ clock: { title: "Clock", description: "Tells time", tools: { now } } });
    expect(apps.list()).toEqual([{ app: "clock", title: "Clock", description: "Tells time", status: "ready" }]);
    const definition = {
      name: "now",
      title: "Now",
      annotations: { readOnlyHint: true },
      inputSchema: { type: "object" },
    };
    expect(apps.version?.()).toBe(apps.version?.());
    expect(apps.version?.()).toBeTypeOf("number");
    expect(apps.tools?.("clock")).toEqual([definition]);
    expect(apps.tools?.("clock")).toBe(apps.tools?.("clock"));
    expect(apps.hints?.("clock", "now")).toEqual({ risk: "read" });
    expect(apps.hints?.("clock", "later")).toBeUndefined();
    expect(await apps.call("clock", { method: "tools/list", params: {} }, context())).toMatchObject({
      resultType: "complete",
      tools: [definition],
    });
    expect(await apps.call("clock", { method: "server/discover", params: undefined }, context())).toMatchObject({
      capabilities: { tools: {} },
      supportedVersions: ["2026-07-28"],
    });
    expect(await apps.call("clock", { method: "ping", params: undefined }, context())).toEqual({});
  });

  it("answers with a text, a result of its own, or what went wrong", async () => {
    expect(await callTool(() => "noon")).toMatchObject({ content: [{ type: "text", text: "noon" }] });
    expect(await callTool(async () => ({ content: [], structuredContent: { hour: 12 } }))).toMatchObject({
      structuredContent: { hour: 12 },
    });
    const failed = await callTool(() => {
      throw new Error("stopped\nat noon");
    });
    expect(failed).toMatchObject({ isError: true, content: [{ type: "text", text: "stopped at noon" }] });
    expect(await callTool(() => Promise.reject(7))).toMatchObject({ isError: true, content: [{ text: "7" }] });
  });

  it("is told the arguments, who calls, and when that one is gone", async () => {
    const seen: unknown[] = [];
    await callTool((args, { caller }) => String(seen.push(args, caller.operator)), {
      name: "now",
      arguments: { a: 1 },
    });
    expect(seen).toEqual([{ a: 1 }, "ann@h"]);
    const gone = new AbortController();
    const waiting = callTool(
      (_args, { signal }) =>
        new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(new Error("ended")))),
      { name: "now" },
      gone.signal,
    );
    gone.abort(Object.assign(new Error("gone"), { code: "ABORTED" }));
    await expectCode(waiting, "INTERNAL");
  });

  it("refuses what it does not know, names of every object among it", async () => {
    const apps = clock({ now: { run: () => "" } });
    await expectCode(createPageApps(apps).call("radio", { method: "ping", params: {} }, context()), "APP_UNKNOWN");
    await expectCode(ask(apps, { method: "resources/list", params: {} }), "METHOD_NOT_SUPPORTED");
    for (const params of [7, {}, { name: "later" }, { name: "toString" }, { name: "now", arguments: [] }]) {
      await expectCode(ask(apps, { method: "tools/call", params }), "REQUEST_INVALID");
    }
    await expectCode(
      createPageApps(apps).call("constructor", { method: "ping", params: {} }, context()),
      "APP_UNKNOWN",
    );
  });

  it("has a name that apps can have, and so have its tools; and there is an end to their number", async () => {
    const tool: PageTool = { run: () => "" };
    const many = (n: number) => Object.fromEntries(Array.from({ length: n }, (_, i) => [`t${i}`, tool]));
    for (const bad of [{ "not a name": { tools: {} } }, clock({ "": tool }), clock({ "a\nb": tool })]) {
      await expectCode(() => createPageApps(bad), "APP_CONFIG_INVALID");
    }
    await expectCode(() => createPageApps(clock(many(1025))), "APP_CONFIG_INVALID");
    expect(createPageApps(clock(many(1024))).tools?.("clock")).toHaveLength(1024);
  });
});
