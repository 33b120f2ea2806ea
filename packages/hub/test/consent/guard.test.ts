import { createMemoryStore } from "@fed/core/memory";
import { createTestClock, expectCode } from "@fed/core/testing";
import type { AppContext, AppRequest, Caller, ConsentRequest } from "@fed/router";
import { beforeEach, describe, expect, it } from "vitest";
import type { ToolDefinition } from "../../src/apps/tool-list.js";
import { type DefinedApps, Guard } from "../../src/consent/guard.js";
import { openToolRuleBook, type ToolRuleBook } from "../../src/consent/tool-rule-book.js";
import { HubError } from "../../src/errors.js";

const clock = createTestClock();
const definitions: readonly ToolDefinition[] = [
  { name: "read", annotations: { readOnlyHint: true } },
  { name: "write" },
  { name: "wipe", annotations: { destructiveHint: true } },
  {
    name: "login",
    inputSchema: { properties: { word: { format: "password" } } },
    outputSchema: { properties: { key: { writeOnly: true } } },
  },
];
const caller = { operator: "ann@pc1" } as Caller;
const context = { caller, callId: "1", signal: new AbortController().signal, notify() {} } as AppContext;

/** An app whose tools are known once it was asked for them, and whose results the test gives. */
class Notes implements DefinedApps {
  listed = false;
  listings = 0;
  answer: (request: AppRequest) => unknown = () => ({ content: [] });

  list() {
    return [{ app: "notes", status: "ready" as const }];
  }
  tools() {
    return this.listed ? definitions : undefined;
  }
  version() {
    return this.listings;
  }
  tool(_app: string, name: string) {
    return this.tools()?.find((tool) => tool.name === name);
  }
  async learn(app: string) {
    this.listings++;
    if (app !== "notes") throw new HubError({ code: "APP_UNKNOWN", message: "There is none." });
    this.listed = true;
  }
  async call(_app: string, request: AppRequest) {
    return this.answer(request);
  }
}

let notes: Notes;
let rules: ToolRuleBook;
let guard: Guard;
let changed: string[];
beforeEach(async () => {
  changed = [];
  notes = new Notes();
  rules = await openToolRuleBook(createMemoryStore(), () => {});
  const accepted = { assertAccepted() {}, isChanged: (_app: string, tool: string) => changed.includes(tool) };
  guard = new Guard({ apps: notes, rules, accepted, clock });
});

function asks(tool: string | undefined, more: Partial<ConsentRequest> = {}): boolean {
  const risk = tool === undefined ? undefined : guard.hints("notes", tool).risk;
  const method = tool === undefined ? "x/unknown" : "tools/call";
  const request = { app: "notes", method, params: { name: tool }, tool, risk, caller, ...more };
  return guard.asks(request as ConsentRequest);
}

function callTool(name: string, params: object = {}): Promise<unknown> {
  return guard.call("notes", { method: "tools/call", params: { name, ...params } }, context);
}

describe("the risk of a tool", () => {
  it("is what its app says, unless the owner says otherwise", async () => {
    expect(guard.hints("notes", "read")).toEqual({ risk: undefined });
    await guard.learn("notes", "read", context);
    const risks = () => ["read", "write", "wipe", "unheard-of"].map((tool) => guard.hints("notes", tool).risk);
    expect(risks()).toEqual(["read", "write", "execute", undefined]);
    await rules.change("notes", "*", { risk: "execute" });
    await rules.change("notes", "wipe", { risk: "read" });
    expect(risks()).toEqual(["execute", "execute", "read", "execute"]);
    expect(await guard.rated("notes", caller, context.signal)).toMatchObject([
      { tool: "read", risk: "execute", by: "owner", asked: false },
      { tool: "write" },
      { tool: "wipe", risk: "read", by: "owner" },
      { tool: "login" },
    ]);
  });

  it("is asked of the app once", async () => {
    expect(await guard.rated("notes", caller, context.signal)).toMatchObject([
      { tool: "read", risk: "read", by: "app", asked: false },
      { tool: "write", risk: "write" },
      { tool: "wipe", risk: "execute" },
      { tool: "login", risk: "write" },
    ]);
    await guard.rated("notes", caller, context.signal);
    expect(notes.listings).toBe(1);
    notes.listed = false;
    await expectCode(guard.rated("other", caller, context.signal), "APP_UNKNOWN");
  });
});

describe("whether to ask", () => {
  it("is no unless the owner says so", () => {
    expect(["read", "write", "wipe", undefined].map((tool) => asks(tool))).toEqual([false, false, false, false]);
  });

  it("goes by the risk; what is unknown counts as any", async () => {
    await guard.learn("notes", "", context);
    await rules.change("notes", "*", { execute: "ask" });
    expect(["read", "write", "wipe", "unheard-of", undefined].map((tool) => asks(tool))).toEqual([
      false,
      false,
      true,
      true,
      true,
    ]);
    await rules.change("notes", "*", { execute: null, write: "ask" });
    await rules.change("notes", "login", { write: "allow" });
    expect(["read", "write", "wipe", "unheard-of", "login"].map((tool) => asks(tool))).toEqual([
      false,
      true,
      false,
      true,
      false,
    ]);
  });

  it("takes no word for the risk of a tool that is another than the accepted one, but the owner's", async () => {
    await guard.learn("notes", "", context);
    await rules.change("notes", "*", { execute: "ask" });
    changed = ["read"];
    expect(["read", "write"].map((tool) => asks(tool))).toEqual([true, false]);
    expect((await guard.rated("notes", caller, context.signal))[0]).toMatchObject({ tool: "read", asked: true });
    await rules.change("notes", "read", { risk: "read" });
    expect(asks("read")).toBe(false);
  });

  it("is no for what belongs to a call that was allowed", async () => {
    await rules.change("notes", "*", { execute: "ask" });
    for (const method of ["tasks/cancel", "tasks/update", "logging/setLevel"]) {
      expect(asks(undefined, { method })).toBe(false);
    }
    expect(asks(undefined, { method: "resources/read", risk: "read" })).toBe(false);
  });
});

describe("a call that asks its agent for input", () => {
  it("is not asked about when it is given up", () => {
    const { name, requestState } = go;
    expect(asks("wipe", { params: { name, requestState } })).toBe(true);
    expect(asks("wipe", { params: { name, requestState, _meta: { "fed/given-up": true } } })).toBe(false);
  });

  const go = { name: "wipe", arguments: { all: true }, requestState: "sealed" };
  beforeEach(async () => {
    await guard.learn("notes", "", context);
    await rules.change("notes", "*", { execute: "ask" });
    notes.answer = () => ({ resultType: "input_required", requestState: "sealed", inputRequests: {} });
    await callTool("wipe", { arguments: { all: true } });
  });

  it("is not asked about again when it goes on, one time", () => {
    expect(asks("wipe", { params: go })).toBe(false);
    expect(asks("wipe", { params: go })).toBe(true);
  });

  it.each([
    ["with other arguments", { params: { ...go, arguments: { all: false } } }],
    ["with another state", { params: { ...go, requestState: "forged" } }],
    ["as somebody else's", { params: go, caller: { operator: "eve@pc1" } as Caller }],
    ["as another app's", { params: go, app: "other" }],
  ])("is asked about again %s", async (_what, more) => {
    await rules.change("other", "*", { execute: "ask" });
    expect(asks("wipe", more)).toBe(true);
  });

  it("is asked about again after ten minutes", async () => {
    await clock.advance(600_000);
    expect(asks("wipe", { params: go })).toBe(true);
  });
});

describe("what an operator is shown", () => {
  const shown = (tool: string | undefined, params: object) =>
    guard.shown({ app: "notes", method: tool ? "tools/call" : "x/unknown", tool, params } as unknown as ConsentRequest);

  it("is the arguments without what their names, their shapes, their schema or the owner call secret", async () => {
    await guard.learn("notes", "", context);
    await rules.change("notes", "login", { redact: ["pin"] });
    expect(
      shown("login", {
        name: "login",
        arguments: { user: "ann", word: "w", password: "p", note: "Bearer abc", pin: "4711" },
        _meta: { progressToken: 1 },
      }),
    ).toEqual({ user: "ann", word: "[redacted]", password: "[redacted]", note: "[redacted]", pin: "[redacted]" });
    expect(shown(undefined, { uri: "x:y" })).toEqual({ method: "x/unknown", uri: "x:y" });
  });

  it("has at most 2 KiB", () => {
    const text = JSON.stringify(
      shown("write", { arguments: { text: "ä".repeat(100_000), more: Array(1000).fill("x") } }),
    );
    expect(Buffer.byteLength(text)).toBeLessThanOrEqual(2048);
  });
});

describe("a result", () => {
  const secrets = { structuredContent: { key: "Pl4nted", pin: "Pl4nted2", user: "ann" } };

  it("has no field that the output schema marks or the owner lists, from the first call on", async () => {
    notes.answer = () => secrets;
    await rules.change("notes", "*", { redact: ["pin"] });
    expect(await callTool("login")).toEqual({
      structuredContent: { key: "[redacted]", pin: "[redacted]", user: "ann" },
    });
    expect(notes.listings).toBe(1);
    expect(await callTool("read")).toEqual({ structuredContent: { ...secrets.structuredContent, pin: "[redacted]" } });
  });

  it("of a task has none that any tool of the app may have", async () => {
    await guard.learn("notes", "", context);
    await rules.change("notes", "read", { redact: ["pin"] });
    notes.answer = () => ({ taskId: "1", result: secrets });
    const result = await guard.call("notes", { method: "tasks/get", params: { taskId: "1" } }, context);
    expect(result).toEqual({
      taskId: "1",
      result: { structuredContent: { key: "[redacted]", pin: "[redacted]", user: "ann" } },
    });
  });

  it("of which nothing is secret is the app's own object", async () => {
    await guard.learn("notes", "", context);
    notes.answer = () => secrets;
    expect(await callTool("read")).toBe(secrets);
  });
});
