/** Pages of the list, and what is found in it. */
import { expectCode } from "@fed/core/testing";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { CatalogueEntry, SearchHit } from "../src/index.js";
import { createFleet, type Fleet, type Hub } from "./fleet.js";

let fleet: Fleet;
let hubs: Hub[];
beforeEach(async () => {
  fleet = createFleet();
  hubs = ["alpha", "beta", "gamma"].map((name) => fleet.hub(name));
  await Promise.all(hubs.map(({ router }) => router.start()));
  for (const hub of hubs) hub.router.setMembers(hubs.map(({ identity }) => ({ ...identity, addresses: [] })));
  await fleet.until(() => hubs.every(({ events }) => events.length === 2));
});
afterEach(() => fleet.close());

function share(hub: number, app: string, tools: Readonly<Record<string, string>> = {}): void {
  hubs[hub]!.apps.set(app, () => "ok");
  hubs[hub]!.shared.add(app);
  hubs[hub]!.tools.set(
    app,
    Object.entries(tools).map(([name, description]) => ({ name, description })),
  );
}

const addresses = (apps: readonly CatalogueEntry[]) => apps.map(({ hub, app }) => `${hub.name}/${app}`);
const found = (hits: readonly SearchHit[]) =>
  hits.map(({ hub, app, tool }) => `${hub.name}/${app}${tool ? ` ${tool.name}` : ""}`);

describe("a page", () => {
  it("goes on after the last entry of the one before, whatever has changed since", async () => {
    const [a] = hubs as [Hub];
    for (const hub of [0, 1, 2]) for (const app of ["a", "b", "c"]) share(hub, app);
    const first = await a.router.page(a.caller, { limit: 4 });
    expect(addresses(first.apps)).toEqual(["alpha/a", "alpha/b", "alpha/c", "beta/a"]);
    expect(first.hubs).toEqual({ known: 3, total: 3 });
    // One before and the last itself are gone, one before and one after have come.
    hubs[0]!.apps.delete("b");
    hubs[0]!.apps.set("aa", () => "ok");
    hubs[1]!.apps.delete("a");
    share(1, "bb");
    hubs[1]!.router.announce();
    await fleet.clock.advance(1000);
    const second = await a.router.page(a.caller, { limit: 4, cursor: first.nextCursor });
    expect(addresses(second.apps)).toEqual(["beta/b", "beta/bb", "beta/c", "gamma/a"]);
    const third = await a.router.page(a.caller, { limit: 4, cursor: second.nextCursor });
    expect(addresses(third.apps)).toEqual(["gamma/b", "gamma/c"]);
    expect(third.nextCursor).toBeUndefined();
  });

  it("is of one hub, or of one status, where that is asked for", async () => {
    const [a, b] = hubs as [Hub, Hub];
    for (const hub of [0, 1, 2]) for (const app of ["a", "b"]) share(hub, app);
    b.statuses.set("b", "failed");
    for (const hub of [b.identity.hubId, "beta"]) {
      const { apps, hubs: seen } = await a.router.page(a.caller, { hub });
      expect(addresses(apps)).toEqual(["beta/a", "beta/b"]);
      expect(seen).toEqual({ known: 1, total: 1 });
    }
    expect(addresses((await a.router.page(a.caller, { status: "failed" })).apps)).toEqual(["beta/b"]);
    await expectCode(a.router.page(a.caller, { hub: "nobody" }), "HUB_UNKNOWN");
  });

  it("is narrowed to what the caller may see here", async () => {
    const [a] = hubs as [Hub];
    share(1, "a", { x: "", y: "" });
    share(2, "b", { x: "" });
    const visible = ({ app, tool }: { app: string; tool?: string }) => app === "a" && tool !== "y";
    const { apps } = await a.router.page(a.caller, { visible });
    expect(addresses(apps)).toEqual(["beta/a"]);
    expect(apps[0]!.tools!.map(({ name }) => name)).toEqual(["x"]);
    expect(await a.router.list(a.caller, { visible })).toEqual(apps);
    expect(found((await a.router.search(a.caller, "x", { visible })).hits)).toEqual(["beta/a x"]);
    expect((await a.router.search(a.caller, "y", { visible })).hits).toEqual([]);
  });

  it("is refused for a limit or a cursor that is none", async () => {
    const [a] = hubs as [Hub];
    for (const app of ["a", "b"]) share(0, app);
    for (const limit of [0, 1001, 1.5, Number.NaN]) {
      await expectCode(a.router.page(a.caller, { limit }), "REQUEST_MALFORMED");
    }
    const other = (await a.router.search(a.caller, "the", { limit: 1 })).nextCursor!;
    const cursors = ["", "x", "!", "a".repeat(2000), Buffer.from('["apps",1,2,3]').toString("base64url"), other];
    for (const cursor of cursors) await expectCode(a.router.page(a.caller, { cursor }), "REQUEST_MALFORMED");
  });
});

describe("a search", () => {
  const query = async (words: string, options = {}) =>
    (await hubs[0]!.router.search(hubs[0]!.caller, words, options)).hits;

  it("puts a whole name before its beginning, that before a part, that before titles and descriptions", async () => {
    share(1, "a", { xfindx: "", find: "", finder: "", other: "can Find", none: "" });
    hubs[1]!.tools.set("a", [...hubs[1]!.tools.get("a")!, { name: "titled", title: "Find it" }]);
    expect(found(await query("FIND"))).toEqual([
      "beta/a find",
      "beta/a finder",
      "beta/a xfindx",
      "beta/a titled",
      "beta/a other",
    ]);
  });

  it("finds what has all the words, some of them in the app or the hub around a tool", async () => {
    share(1, "notes", { search: "Looks in notes.", add: "" });
    share(2, "mail", { search: "Looks in mail." });
    expect(found(await query("notes search"))).toEqual(["beta/notes search"]);
    expect(found(await query("beta search"))).toEqual(["beta/notes search"]);
    expect(found(await query("search"))).toEqual(["beta/notes search", "gamma/mail search"]);
    // The app alone, not everything in it.
    expect(found(await query("mail"))).toEqual(["gamma/mail", "gamma/mail search"]);
    expect(found(await query("notes"))).toEqual(["beta/notes", "beta/notes search"]);
    expect(found(await query("search nothing"))).toEqual([]);
  });

  it("comes in pages that go on after the last hit", async () => {
    for (const hub of [0, 1, 2]) share(hub, "a", { find: "", finder: "", found: "find" });
    const all = found(await query("find"));
    expect(all).toHaveLength(9);
    const paged: string[] = [];
    let cursor: string | undefined;
    do {
      const page = await hubs[0]!.router.search(hubs[0]!.caller, "find", { limit: 2, cursor });
      paged.push(...found(page.hits));
      cursor = page.nextCursor;
    } while (cursor !== undefined);
    expect(paged).toEqual(all);
    const { nextCursor } = await hubs[0]!.router.search(hubs[0]!.caller, "find", { limit: 2 });
    await expectCode(query("found", { cursor: nextCursor }), "REQUEST_MALFORMED");
  });

  it("says how many hubs it speaks for, and asks none a second time", async () => {
    const [a, b, c] = hubs as [Hub, Hub, Hub];
    share(1, "notes", { find: "" });
    let asked = 0;
    const { decide } = b;
    b.decide = (request) => {
      asked++;
      return decide(request);
    };
    await c.router.close();
    await fleet.until(() => a.events.includes("down gamma"));
    const { hits, hubs: seen } = await a.router.search(a.caller, "find");
    expect(found(hits)).toEqual(["beta/notes find"]);
    expect(hits[0]).toMatchObject({ path: "lan", status: "ready", stale: false, tool: { name: "find" } });
    expect(hits[0]).not.toHaveProperty("tools");
    expect(seen).toEqual({ known: 2, total: 3 });
    const before = asked;
    await query("notes");
    await query("find");
    expect(asked).toBe(before);
  });

  it.each(["", " \t", "x".repeat(257), Array.from({ length: 17 }, (_, i) => `w${i}`).join(" ")])(
    "is refused for %j",
    async (words) => {
      await expectCode(query(words), "REQUEST_MALFORMED");
    },
  );

  it("is refused for a caller that was cut off", async () => {
    hubs[0]!.revoked.add("op@alpha");
    await expectCode(query("x"), "REVOKED");
    await expectCode(hubs[0]!.router.page(hubs[0]!.caller), "REVOKED");
  });
});
