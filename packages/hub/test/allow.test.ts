import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Allowed, allows, isWithin, onlyHub } from "../src/operators/allow.js";

const place = (hub: string, app: string, tool?: string) => ({ action: "call", hub, app, tool }) as const;
const listing = (hub: string, app: string, tool?: string) => ({ action: "list", hub, app, tool }) as const;

describe("an allow-list", () => {
  it("allows everything where there is none", () => {
    expect(allows({}, place("h1", "notes", "read"))).toBe(true);
    expect(allows({}, place("h1", "notes"))).toBe(true);
  });

  it("allows what one of its entries names, by exact name; what an entry leaves out may be anything", () => {
    const allow = [{ hub: "h1", app: "notes" }, { app: "mail", tool: "search" }, { hub: "h2" }];
    expect(allows({ allow }, place("h1", "notes", "anything"))).toBe(true);
    expect(allows({ allow }, place("h3", "notes", "anything"))).toBe(false);
    expect(allows({ allow }, place("h3", "mail", "search"))).toBe(true);
    expect(allows({ allow }, place("h3", "mail", "send"))).toBe(false);
    expect(allows({ allow }, place("h2", "any.app", "any"))).toBe(true);
    expect(allows({ allow }, place("h1", "note", "x"))).toBe(false);
    expect(allows({ allow }, place("h1", "Notes", "x"))).toBe(false);
    expect(allows({ allow: [] }, place("h1", "notes", "x"))).toBe(false);
  });

  it("for one tool shows the app and that tool, and nothing that is of no tool", () => {
    const allow = [{ app: "mail", tool: "search" }];
    expect(allows({ allow }, listing("h1", "mail"))).toBe(true);
    expect(allows({ allow }, listing("h1", "mail", "search"))).toBe(true);
    expect(allows({ allow }, listing("h1", "mail", "send"))).toBe(false);
    expect(allows({ allow }, place("h1", "mail"))).toBe(false);
  });

  it("tells where an app must be, when it names one hub for it", () => {
    const allow = [
      { hub: "h1", app: "notes" },
      { hub: "h1", app: "notes", tool: "x" },
      { hub: "h2", app: "mail" },
    ];
    expect(onlyHub({ allow }, "notes")).toBe("h1");
    expect(onlyHub({ allow }, "mail")).toBe("h2");
    expect(onlyHub({ allow }, "other")).toBeUndefined();
    expect(onlyHub({ allow: [...allow, { app: "notes" }] }, "notes")).toBeUndefined();
    expect(onlyHub({ allow: [...allow, { hub: "h3" }] }, "notes")).toBeUndefined();
    expect(onlyHub({}, "notes")).toBeUndefined();
  });
});

describe("a narrower list", () => {
  const name = fc.constantFrom("a", "b", "c");
  const entry = fc.record({ hub: name, app: name, tool: name }, { requiredKeys: [] }) as fc.Arbitrary<Allowed>;
  const list = fc.option(fc.array(entry, { maxLength: 4 }), { nil: undefined });
  const asked = fc.record({
    action: fc.constantFrom("list" as const, "call" as const),
    hub: name,
    app: name,
    tool: fc.option(name, { nil: undefined }),
  });

  it("never allows what the wider one does not", () => {
    fc.assert(
      fc.property(list, list, asked, (inner, outer, place) => {
        fc.pre(isWithin(inner, outer));
        if (allows({ allow: inner }, place)) expect(allows({ allow: outer }, place)).toBe(true);
      }),
      { numRuns: 2000 },
    );
  });

  it("is itself, or empty, or less; no list is wider than any", () => {
    fc.assert(
      fc.property(list, entry, (outer, extra) => {
        expect(isWithin(outer, outer)).toBe(true);
        expect(isWithin(outer, undefined)).toBe(true);
        expect(isWithin(undefined, outer)).toBe(outer === undefined);
        expect(isWithin([], outer)).toBe(true);
        if (outer) expect(isWithin(outer, [...outer, extra])).toBe(true);
        expect(isWithin([{ ...extra, tool: "z" }], [extra])).toBe(extra.tool === undefined);
      }),
    );
  });
});
