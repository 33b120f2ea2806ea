import { encodeUtf8, randomBytes } from "@fed/core";
import { expectCode } from "@fed/core/testing";
import { createSession } from "@fed/session";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { limits } from "../src/index.js";
import { createFleet, type Fleet, type Hub, TestError } from "./fleet.js";

let fleet: Fleet;
beforeEach(() => {
  fleet = createFleet();
});
afterEach(() => fleet.close());

async function threeHubs(): Promise<[Hub, Hub, Hub]> {
  const hubs: [Hub, Hub, Hub] = [fleet.hub("alpha"), fleet.hub("beta"), fleet.hub("gamma")];
  await Promise.all(hubs.map(({ router }) => router.start()));
  for (const hub of hubs) {
    hub.apps.set(`notes-${hub.identity.name}`, () => "ok");
    hub.shared.add(`notes-${hub.identity.name}`);
    hub.router.setMembers(hubs.map(({ identity }) => ({ ...identity, addresses: [] })));
  }
  await fleet.until(() => hubs.every(({ events }) => events.length === 2));
  await fleet.clock.advance(2000);
  return hubs;
}

const short = (
  entries: readonly { hub: { name: string }; app: string; path: string; status: string; stale: boolean }[],
) => entries.map(({ hub, app, path, status, stale }) => `${hub.name}/${app} ${path} ${status}${stale ? " stale" : ""}`);

describe("list", () => {
  it("shows every hub's apps, as their owners decide", async () => {
    const [a, b, c] = await threeHubs();
    b.apps.set("secret", () => "no");
    b.statuses.set("notes-beta", "starting");
    const entries = await a.router.list(a.caller);
    expect(short(entries)).toEqual([
      "alpha/notes-alpha local ready",
      "beta/notes-beta lan starting",
      "gamma/notes-gamma lan ready",
    ]);
    expect(entries[1]).toMatchObject({
      hub: { id: b.identity.hubId },
      title: "The notes-beta",
      asOfMs: fleet.clock.nowMs(),
    });
    expect([b.records, c.records]).toEqual([[], []]);
  });

  it("uses the very same decision for list and call", async () => {
    const [a, b] = await threeHubs();
    const asked: string[] = [];
    b.decide = ({ action, app, caller }) => {
      asked.push(`${action} ${app} ${caller.operator} ${caller.local}`);
      return { allow: false, rule: "default-deny", reason: "no" };
    };
    expect(short(await a.router.list(a.caller))).not.toContain("beta/notes-beta lan ready");
    const call = a.router.call({ hub: "beta", app: "notes-beta", method: "x" }, { caller: a.caller });
    await expectCode(call, "SHARING_DENIED");
    expect(asked).toEqual(["list notes-beta op@alpha false", "call notes-beta op@alpha false"]);
  });

  it("returns by the deadline when one hub is silent, with its last known apps marked stale", async () => {
    const [a, b, c] = await threeHubs();
    await a.router.list(a.caller);
    await fleet.clock.advance(limits.listStaleMs);
    const heal = fleet.lan.cut(a.identity.hubId, b.identity.hubId);
    const startMs = fleet.clock.monotonicMs();
    let entries: readonly string[] | undefined;
    void a.router.list(a.caller, { deadlineMs: 300 }).then((result) => {
      entries = short(result);
    });
    await fleet.until(() => entries !== undefined, 50);
    expect(fleet.clock.monotonicMs() - startMs).toBeLessThanOrEqual(350);
    expect(entries).toEqual([
      "alpha/notes-alpha local ready",
      "beta/notes-beta lan ready stale",
      "gamma/notes-gamma lan ready",
    ]);
    b.apps.set("fresh", () => "ok");
    b.shared.add("fresh");
    heal();
    await fleet.clock.advance(100);
    expect(short(await a.router.list(a.caller))).toContain("beta/fresh lan ready");
    await c.router.close();
    await fleet.until(() => a.events.includes("down gamma"));
    expect(short(await a.router.list(a.caller))).toContain("gamma/notes-gamma none offline stale");
  });

  it("forgets a hub's apps when it is cut off, and an operator's when it is", async () => {
    const [a, b] = await threeHubs();
    const error = new TestError({ code: "REVOKED", message: "Revoked." });
    await a.router.list(a.caller);
    a.router.cut(b.identity.hubId, error);
    expect(short(await a.router.list(a.caller)).join()).not.toContain("beta");
    const heal = fleet.lan.cut(a.identity.hubId, fleet.hub("gamma").identity.hubId);
    a.router.cutOperator(a.caller.operator, error);
    let entries: string[] = ["not yet"];
    void a.router.list(a.caller).then((result) => {
      entries = short(result);
    });
    await fleet.until(() => entries[0] !== "not yet", 100);
    expect(entries).toEqual(["alpha/notes-alpha local ready"]);
    heal();
  });

  it("keeps operators and roles apart", async () => {
    const [a, b] = await threeHubs();
    b.decide = ({ caller }) => ({ allow: caller.roles.includes("admin"), rule: "r", reason: "" });
    const admin = { ...a.caller, roles: ["admin"] };
    const [asAdmin, asMember] = await Promise.all([a.router.list(admin), a.router.list(a.caller)]);
    expect(short(asAdmin)).toContain("beta/notes-beta lan ready");
    expect(short(asMember).join()).not.toContain("beta");
    await b.router.close();
    await fleet.until(() => a.events.includes("down beta"));
    expect(short(await a.router.list(a.caller)).join()).not.toContain("beta");
    expect(short(await a.router.list(admin))).toContain("beta/notes-beta none offline stale");
  });

  it("drops what a hub showed once it refuses", async () => {
    const [a, b] = await threeHubs();
    await a.router.list(a.caller);
    b.revoked.add("op@alpha");
    await fleet.clock.advance(limits.listStaleMs);
    expect(short(await a.router.list(a.caller)).join()).not.toContain("beta");
  });

  it("ends with the caller's signal", async () => {
    const [a, b] = await threeHubs();
    fleet.lan.cut(a.identity.hubId, b.identity.hubId);
    const cancel = new AbortController();
    const listing = a.router.list(a.caller, { signal: cancel.signal });
    cancel.abort();
    await expectCode(listing, "ABORTED");
  });

  it("takes nothing from a hub that answers nonsense", async () => {
    const a = fleet.hub("alpha");
    const answers = [
      '{"apps":[{"app":"../etc","status":"ready"}]}',
      '{"apps":[{"app":"x","status":"on fire"}]}',
      '{"apps":[{"app":"x","status":"ready"},{"app":"x","status":"ready"}]}',
      '{"apps":{}}',
      "[]",
      "{",
    ];
    await a.router.start();
    const { identityOf } = await import("./fleet.js");
    const rogue = fleet.lan.transport({ identity: identityOf("rogue"), address: "rogue", name: "lan" });
    const connection = await rogue.dial(a.identity.hubId);
    await createSession(connection, {
      clock: fleet.clock,
      epoch: randomBytes(16),
      handler: {
        stream(stream) {
          const json = encodeUtf8(answers.shift()!);
          void stream.send(new Uint8Array([2, 0, 0, 0, 0, ...json]), { end: true });
        },
      },
    });
    await fleet.until(() => a.events.includes("up rogue"));
    while (answers.length > 0) {
      expect(await a.router.list(a.caller)).toEqual([]);
      await fleet.clock.advance(1000);
    }
  });
});
