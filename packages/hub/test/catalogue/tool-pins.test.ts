import type { Store } from "@fed/core";
import { createMemoryStore } from "@fed/core/memory";
import { createTestClock, expectCode, type TestClock } from "@fed/core/testing";
import { beforeEach, describe, expect, it } from "vitest";
import { openToolPins, type PinChange, type ToolPinning, type ToolPins } from "../../src/catalogue/tool-pins.js";

const hashOf = (letter: string): string => letter.repeat(43);
const [a, b, c] = [hashOf("a"), hashOf("b"), hashOf("c")];

let store: Store;
let clock: TestClock;
let told: PinChange[];
let errors: unknown[];
beforeEach(() => {
  store = createMemoryStore();
  clock = createTestClock();
  told = [];
  errors = [];
});

function open(mode: ToolPinning = "alert"): Promise<ToolPins> {
  return openToolPins({
    store,
    clock,
    mode,
    onChanged: (change) => told.push(change),
    onError: (error) => errors.push(error),
  });
}

/** What an app shows: tools with their hashes. */
function see(
  pins: ToolPins,
  tools: Readonly<Record<string, string>>,
  { app = "notes", hub = "h", partial = false } = {},
): void {
  pins.observe(hub, app, { tools: Object.entries(tools).map(([name, hash]) => ({ name, hash })), partial });
}

const refused = (pins: ToolPins, tool: string, app = "notes") =>
  expectCode((async () => pins.assertAccepted({ hub: "h", app, tool }))(), "TOOL_CHANGED");
const allowed = (pins: ToolPins, tool: string, app = "notes") => pins.assertAccepted({ hub: "h", app, tool });

describe("a tool's definition", () => {
  it("is accepted when it is first seen, and told of once when it changes", async () => {
    const pins = await open();
    see(pins, { search: a });
    see(pins, { search: a });
    expect(pins.changedOf("h", "notes")).toBeUndefined();
    see(pins, { search: b });
    see(pins, { search: b });
    const change = { hub: "h", app: "notes", tool: "search", from: a, to: b, atMs: clock.nowMs() };
    expect(told).toEqual([change]);
    expect(pins.changed()).toEqual([change]);
    expect([...pins.changedOf("h", "notes")!.keys()]).toEqual(["search"]);
    see(pins, { search: c });
    expect(told.map(({ from, to }) => [from, to])).toEqual([
      [a, b],
      [a, c],
    ]);
    allowed(pins, "search");
  });

  it("that is again what it was is not changed any more", async () => {
    const pins = await open();
    see(pins, { search: a });
    see(pins, { search: b });
    see(pins, { search: a });
    expect(pins.changed()).toEqual([]);
  });

  it("is another one in another app and on another hub", async () => {
    const pins = await open();
    see(pins, { search: a });
    see(pins, { search: b }, { app: "mail" });
    see(pins, { search: c }, { hub: "i" });
    expect(told).toEqual([]);
  });

  it("is kept for the next run, and so is what has changed", async () => {
    const first = await open();
    see(first, { search: a, add: a });
    see(first, { search: b });
    await first[Symbol.asyncDispose]();
    const second = await open("approve");
    expect(second.changed()).toMatchObject([{ tool: "search", from: a, to: b }]);
    await refused(second, "search");
    see(second, { search: b, add: a });
    expect(told).toHaveLength(1);
  });

  it("is written down by itself, a second later", async () => {
    see(await open(), { search: a });
    await clock.advance(1000);
    see(await open(), { search: b });
    expect(told).toMatchObject([{ from: a, to: b }]);
  });

  it("is forgotten with its hub", async () => {
    const pins = await open();
    see(pins, { search: a });
    await pins[Symbol.asyncDispose]();
    pins.forgetHub("h");
    await pins[Symbol.asyncDispose]();
    expect(await store.list(["tool-pins"])).toEqual([]);
    see(pins, { search: b });
    expect(told).toEqual([]);
  });
});

describe("where changes are to be approved", () => {
  it("refuses a changed and a new tool until each is accepted", async () => {
    const pins = await open("approve");
    allowed(pins, "search");
    see(pins, { search: a, add: a });
    allowed(pins, "search");
    see(pins, { search: b, add: a, remove: a });
    await refused(pins, "search");
    await refused(pins, "remove");
    allowed(pins, "add");
    expect(told.map(({ tool, from }) => [tool, from])).toEqual([
      ["search", a],
      ["remove", undefined],
    ]);
    expect(await pins.accept("h", { app: "notes", tool: "remove" })).toMatchObject([{ tool: "remove", to: a }]);
    allowed(pins, "remove");
    await refused(pins, "search");
    expect(await pins.accept("h", { app: "notes" })).toMatchObject([{ tool: "search", from: a, to: b }]);
    allowed(pins, "search");
    expect(await pins.accept("h", { app: "notes" })).toEqual([]);
    see(pins, { search: b, add: a, remove: a });
    expect(pins.changed()).toEqual([]);
    // Durable before the answer.
    allowed(await open("approve"), "search");
  });

  it("accepts the definition that was looked at and no later one", async () => {
    const pins = await open("approve");
    see(pins, { search: a });
    see(pins, { search: b });
    see(pins, { search: c });
    await expectCode(pins.accept("h", { app: "notes", tool: "search", hash: b }), "TOOL_CHANGED");
    await refused(pins, "search");
    await pins.accept("h", { app: "notes", tool: "search", hash: c });
    allowed(pins, "search");
  });

  it("refuses a tool that nobody has seen in an app that is known", async () => {
    const pins = await open("approve");
    see(pins, { search: a });
    await refused(pins, "unseen");
    allowed(pins, "anything", "unknown-app");
  });

  it("takes the pages of one list for one, until all of it was seen", async () => {
    const pins = await open("approve");
    see(pins, { search: a }, { partial: true });
    see(pins, { add: a }, { partial: true });
    allowed(pins, "add");
    allowed(pins, "on-the-next-page");
    see(pins, { search: b }, { partial: true });
    await refused(pins, "search");
    see(pins, { search: a, add: a, last: a });
    allowed(pins, "last");
    see(pins, { sneaked: a }, { partial: true });
    await refused(pins, "sneaked");
    await refused(pins, "on-the-next-page");
  });
});

describe("a hub that shows very much", () => {
  const many = (count: number, hash: string, prefix = "t") =>
    Object.fromEntries(Array.from({ length: count }, (_, index) => [`${prefix}${index}`, hash]));

  it("has 8,192 apps and tools pinned; of what is beyond nothing is called where that needs approval", async () => {
    const pins = await open("approve");
    see(pins, many(5000, a));
    see(pins, many(5000, a), { app: "more" });
    for (let app = 0; app < 100; app++) see(pins, {}, { app: `app${app}` });
    expect(errors).toMatchObject([{ code: "TOOL_PINS_FULL" }]);
    allowed(pins, "t3189", "more");
    await refused(pins, "t3190", "more");
    await refused(pins, "t0", "app99");
    see(pins, { x: a }, { hub: "i" });
    pins.assertAccepted({ hub: "i", app: "notes", tool: "x" });
    // What is new and waits counts like what is pinned.
    for (let round = 0; round < 5; round++) see(pins, many(5000, a, `r${round}-`), { hub: "i" });
    expect(pins.changed().length).toBe(8190);
  });

  it("fills neither the audit log nor the ears of its operator", async () => {
    const pins = await open();
    see(pins, many(2000, a));
    see(pins, many(2000, b));
    see(pins, many(2000, c));
    expect(told).toHaveLength(256);
    expect(pins.changed()).toHaveLength(2000);
    await clock.advance(60_000);
    see(pins, many(2000, b));
    expect(told).toHaveLength(262);
  });
});

describe("a store", () => {
  it("that cannot be written leaves what is known in memory", async () => {
    const pins = await open();
    await store.close();
    see(pins, { search: a });
    await clock.advance(1000);
    expect(errors).toMatchObject([{ code: "STORE_CLOSED" }]);
    see(pins, { search: b });
    expect(told).toHaveLength(1);
    await expectCode(pins.accept("h", { app: "notes" }), "STORE_CLOSED");
    expect(pins.changed()).toMatchObject([{ tool: "search", from: a, to: b }]);
  });

  it.each(["{", "{}", '{"accepted":[["t","short"]],"changed":[],"partial":false}'])(
    "that holds %s is not trusted",
    async (text) => {
      await store.set(["tool-pins", "h", "notes"], new TextEncoder().encode(text));
      await expectCode(open(), "STATE_CORRUPT");
    },
  );
});
