import { canonicalJson } from "@fed/core";
import { createMemoryStore } from "@fed/core/memory";
import { expectCode } from "@fed/core/testing";
import { describe, expect, it } from "vitest";
import { openToolRuleBook } from "../../src/consent/tool-rule-book.js";
import { changeToolRule, noToolRules, parseToolRules, ruleFor } from "../../src/consent/tool-rules.js";

const rules = parseToolRules({
  version: 1,
  apps: {
    notes: {
      "*": { write: "ask", redact: ["a"] },
      "delete*": { risk: "execute", execute: "ask", redact: ["b"] },
      delete_draft: { write: "allow", execute: "allow" },
    },
  },
});

describe("of the rules that match", () => {
  it.each([
    ["read", { write: "ask", redact: ["a"] }],
    ["delete_all", { write: "ask", risk: "execute", execute: "ask", redact: ["a", "b"] }],
    ["delete_draft", { write: "allow", risk: "execute", execute: "allow", redact: ["a", "b"] }],
    [undefined, { write: "ask", redact: ["a"] }],
  ] as const)("the most exact one counts, and every listed field: %s", (tool, expected) => {
    expect(ruleFor(rules, "notes", tool)).toEqual(expected);
  });

  it("there is none for another app, whatever its name", () => {
    for (const app of ["other", "constructor", "__proto__"]) expect(ruleFor(rules, app, "read")).toBeUndefined();
  });
});

describe("a change", () => {
  it("sets, keeps and takes back, and leaves nothing empty behind", () => {
    const set = changeToolRule(noToolRules, "notes", "*", { write: "ask", execute: "ask" });
    expect(set.apps).toEqual({ notes: { "*": { write: "ask", execute: "ask" } } });
    const kept = changeToolRule(set, "notes", "*", { write: null, redact: ["x.y"], risk: undefined });
    expect(kept.apps).toEqual({ notes: { "*": { execute: "ask", redact: ["x.y"] } } });
    expect(changeToolRule(kept, "notes", "*", { execute: null, redact: null })).toEqual(noToolRules);
  });

  it.each([
    ["no app's name", "no/app", "*", { write: "ask" }],
    ["no tool's name", "notes", "a*b", { write: "ask" }],
    ["a tool's name that JSON loses", "notes", "__proto__", { write: "ask" }],
    ["an empty one", "notes", "", { write: "ask" }],
    ["no risk", "notes", "*", { risk: "harmless" }],
    ["no path", "notes", "*", { redact: ["a..b"] }],
  ])("with %s is refused", async (_what, app, tools, change) => {
    await expectCode(async () => changeToolRule(noToolRules, app, tools, change as never), "REQUEST_INVALID");
  });

  it("beyond 256 rules is refused", async () => {
    const many = Object.fromEntries(Array.from({ length: 256 }, (_, index) => [`tool-${index}`, { risk: "read" }]));
    const full = parseToolRules({ version: 1, apps: { notes: many } });
    await expectCode(async () => changeToolRule(full, "notes", "one-more", { risk: "read" }), "REQUEST_INVALID");
  });
});

describe("the book", () => {
  it("keeps what was changed, many times at once, and tells of it", async () => {
    const store = createMemoryStore();
    let changes = 0;
    const book = await openToolRuleBook(store, () => changes++);
    expect(book.ruleFor("notes", "write")).toBeUndefined();
    await Promise.all(
      Array.from({ length: 20 }, (_, index) => book.change("notes", `tool-${index}`, { write: "ask" })),
    );
    expect(book.ruleFor("notes", "tool-3")).toEqual({ write: "ask" });
    expect(book.ruleFor("notes", "tool-3")).toBe(book.ruleFor("notes", "tool-3"));
    await book.change("notes", "tool-3", { write: "allow" });
    expect(book.ruleFor("notes", "tool-3")).toEqual({ write: "allow" });
    expect(changes).toBe(21);
    const again = await openToolRuleBook(store, () => {});
    expect(again.current).toEqual(book.current);
  });

  it("does not open on what it cannot read", async () => {
    const store = createMemoryStore();
    await store.set(["tool-rules"], canonicalJson({ version: 2 }));
    await expectCode(
      openToolRuleBook(store, () => {}),
      "REQUEST_INVALID",
    );
  });
});
