/** What a hub shows of its apps and their tools, and what others take from a hub that shows nonsense. */
import { canonicalJson, encodeBase64Url, encodeUtf8 } from "@fed/core";
import { expectCode } from "@fed/core/testing";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { limits, type ToolDefinition } from "../src/index.js";
import { parseListing } from "../src/listing.js";
import { Listings, Shown } from "../src/listings.js";
import { createFleet, type Fleet, type Hub, sha256 } from "./fleet.js";

let fleet: Fleet;
beforeEach(() => {
  fleet = createFleet();
});
afterEach(() => fleet.close());

async function twoHubs(tools: Readonly<Record<string, readonly ToolDefinition[]>>): Promise<{ a: Hub; b: Hub }> {
  const [a, b] = [fleet.hub("alpha"), fleet.hub("beta")];
  await Promise.all([a.router.start(), b.router.start()]);
  for (const hub of [a, b]) hub.router.setMembers([a, b].map(({ identity }) => ({ ...identity, addresses: [] })));
  for (const [app, definitions] of Object.entries(tools)) {
    b.apps.set(app, () => "ok");
    b.shared.add(app);
    b.tools.set(app, definitions);
  }
  await fleet.until(() => a.events.length > 0 && b.events.length > 0);
  return { a, b };
}

const many = (count: number, description = "") =>
  Array.from({ length: count }, (_, index) => ({ name: `tool${String(index).padStart(4, "0")}`, description }));

describe("an app in a list", () => {
  it("carries its tools in short, with the hash of their whole definition", async () => {
    const search = {
      name: "search",
      description: "Finds\nnotes.",
      inputSchema: { type: "object", properties: { q: { type: "string" } } },
      annotations: { title: "Search notes", idempotentHint: true },
    };
    const { a, b } = await twoHubs({ notes: [search, { name: "add", title: "Add" }] });
    b.apps.set("unborn", () => "ok");
    b.shared.add("unborn");
    b.risks.set("search", "read");
    const [notes, unborn] = await a.router.list(a.caller);
    expect(notes!.tools).toEqual([
      { name: "add", title: "Add", hash: expect.stringMatching(/^[\w-]{43}$/) },
      {
        name: "search",
        title: "Search notes",
        description: "Finds notes.",
        idempotent: true,
        risk: "read",
        hash: encodeBase64Url(sha256(canonicalJson(search))),
      },
    ]);
    expect(notes!.more).toBeUndefined();
    expect(unborn!.app).toBe("unborn");
    expect(unborn!.tools).toBeUndefined();
    const place = { hub: b.identity.hubId, app: "notes", tool: "search" };
    expect(a.router.tool(a.caller, place)).toMatchObject({ risk: "read", idempotent: true });
    expect(a.router.tool({ ...a.caller, roles: [] }, place)).toBeUndefined();
  });

  it("shows those tools that the policy shows the caller", async () => {
    const { a, b } = await twoHubs({ notes: many(3) });
    b.decide = ({ tool }) => ({ allow: tool !== "tool0001", rule: "r", reason: "" });
    const [notes] = await a.router.list(a.caller);
    expect(notes!.tools!.map(({ name }) => name)).toEqual(["tool0000", "tool0002"]);
    expect(notes!.more).toBeUndefined();
  });

  it("carries 256 tools and 512 characters of each description, and says that there are more", async () => {
    const { a } = await twoHubs({ big: many(257), long: [{ name: "x", description: "d".repeat(600) }] });
    const [big, long] = await a.router.list(a.caller);
    expect(big!.tools).toHaveLength(limits.listTools);
    expect(big!.more).toBe(true);
    expect(long!.tools![0]!.description).toHaveLength(limits.toolDescriptionChars);
    expect(long!.more).toBeUndefined();
  });

  it("leaves room for the tools of the others, in 1 MiB for all of them", async () => {
    const big = many(256, "é".repeat(512));
    const { a } = await twoHubs({ a1: big, a2: big, a3: big, a4: big, a5: big, small: many(5) });
    const apps = await a.router.list(a.caller);
    expect(apps.map(({ app }) => app)).toEqual(["a1", "a2", "a3", "a4", "a5", "small"]);
    expect(apps.map(({ more }) => more)).toEqual([true, true, true, true, true, undefined]);
    for (const { tools } of apps.slice(0, 5)) expect(tools!.length).toBeGreaterThan(140);
    expect(apps[5]!.tools).toHaveLength(5);
    expect(encodeUtf8(JSON.stringify(apps)).length).toBeLessThan(limits.listBytes + 4096);
  });

  it("names every app, with as many texts as there is room for", async () => {
    const { a, b } = await twoHubs({});
    const apps = Array.from({ length: 600 }, (_, index) => `app${String(index).padStart(3, "0")}`);
    for (const app of apps) {
      b.apps.set(app, () => "ok");
      b.shared.add(app);
    }
    b.texts = { title: "é".repeat(300), description: "é".repeat(3000) };
    const shown = await a.router.list(a.caller);
    expect(shown.map(({ app }) => app)).toEqual(apps.slice(0, limits.listApps));
    expect(shown[0]!.description).toHaveLength(limits.descriptionChars);
    expect(shown.at(-1)!.description).toBeUndefined();
  });

  it("leaves out tools that cannot be named on one line or have no canonical form", async () => {
    const { a } = await twoHubs({
      odd: [
        { name: "a\nb" },
        { name: "x".repeat(257) },
        { name: "nan", value: Number.NaN },
        { name: "ok" },
        { name: "ok" },
      ],
    });
    const [odd] = await a.router.list(a.caller);
    expect(odd!.tools!.map(({ name }) => name)).toEqual(["ok"]);
  });
});

describe("a listing that was received", () => {
  const hash = "h".repeat(43);
  const app = (tools: unknown, more = {}) => ({ apps: [{ app: "x", status: "ready", tools, ...more }] });

  it("is taken with what it says beyond what is known here", () => {
    const tool = { name: "t", hash, risk: "cosmic", idempotent: "yes", future: 1, description: "a\u0000b" };
    expect(parseListing(app([tool], { future: true, more: true }))).toEqual([
      { app: "x", status: "ready", more: true, tools: [{ name: "t", hash, description: "a b" }] },
    ]);
  });

  it.each([
    ["tools that are no list", {}],
    ["a tool that is none", [null]],
    ["a tool without a name", [{ hash }]],
    ["a tool with an empty name", [{ name: "", hash }]],
    ["a tool with a name on two lines", [{ name: "a\nb", hash }]],
    ["a tool with a name of 257 characters", [{ name: "a".repeat(257), hash }]],
    ["a tool without a hash", [{ name: "t" }]],
    ["a tool with half a hash", [{ name: "t", hash: "h" }]],
    [
      "the same tool twice",
      [
        { name: "t", hash },
        { name: "t", hash },
      ],
    ],
    ["257 tools", many(257).map((tool) => ({ ...tool, hash }))],
  ])("is refused with %s", async (_what, tools) => {
    await expectCode((async () => parseListing(app(tools)))(), "REMOTE_PROTOCOL");
  });
});

describe("remembered listings", () => {
  const listing = (hub: number, bytes: number) => ({
    hubId: `hub${hub}`,
    authority: "op",
    caller: { operator: "op", homeHub: "a", roles: [], scope: [], local: true, hubs: ["a"] },
    shown: new Shown([], bytes, ""),
    asOfMs: 0,
    atMs: 0,
    changed: false,
    readAtMs: 0,
  });

  it("are bounded in number, the least recently read gone first", () => {
    const known = new Listings();
    for (let hub = 0; hub < limits.listings; hub++) known.set(listing(hub, 1));
    known.read("hub0", "op", 1);
    known.set(listing(limits.listings, 1));
    expect(known.get("hub0", "op")).toBeDefined();
    expect(known.get("hub1", "op")).toBeUndefined();
    expect([...known.all()]).toHaveLength(limits.listings);
  });

  it("are bounded in bytes", () => {
    const known = new Listings();
    for (let hub = 0; hub < 100; hub++) known.set(listing(hub, limits.listBytes));
    expect([...known.all()]).toHaveLength(limits.listingBytes / limits.listBytes);
    // What is replaced is not counted any more.
    for (let again = 0; again < 100; again++) known.set(listing(99, limits.listBytes));
    expect([...known.all()]).toHaveLength(limits.listingBytes / limits.listBytes);
    known.deleteOperator("op");
    for (let hub = 0; hub < 3; hub++) known.set(listing(hub, limits.listingBytes / 2));
    expect([...known.all()]).toHaveLength(2);
  });
});
