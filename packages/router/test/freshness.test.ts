/** When hubs are asked for their apps, and when what they said before must do. */
import { encodeUtf8, randomBytes, type Stream } from "@fed/core";
import { createSession } from "@fed/session";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { limits } from "../src/index.js";
import { createFleet, type Fleet, type Hub, identityOf, TestError } from "./fleet.js";

let fleet: Fleet;
beforeEach(() => {
  fleet = createFleet();
});
afterEach(() => fleet.close());

/** Two hubs; `asked` counts how often beta was asked. */
async function twoHubs(): Promise<{ a: Hub; b: Hub; asked: () => number; names: () => Promise<string[]> }> {
  const [a, b] = [fleet.hub("alpha"), fleet.hub("beta")];
  await Promise.all([a.router.start(), b.router.start()]);
  share(b, "notes");
  for (const hub of [a, b]) hub.router.setMembers([a, b].map(({ identity }) => ({ ...identity, addresses: [] })));
  let asked = 0;
  const { decide } = b;
  b.decide = (request) => {
    if (request.action === "list" && request.app === "notes") asked++;
    return decide(request);
  };
  await fleet.until(() => a.events.length > 0 && b.events.length > 0);
  const names = async () => (await a.router.list(a.caller)).map(({ app, stale }) => (stale ? `${app} stale` : app));
  return { a, b, asked: () => asked, names };
}

function share(hub: Hub, app: string): void {
  hub.apps.set(app, () => "ok");
  hub.shared.add(app);
}

/** A peer that answers its streams with `answer`. */
async function roguePeer(a: Hub, answer: (stream: Stream, kind: string) => void | Promise<void>) {
  const transport = fleet.lan.transport({ identity: identityOf("rogue"), address: "rogue", name: "lan" });
  const session = await createSession(await transport.dial(a.identity.hubId), {
    clock: fleet.clock,
    epoch: randomBytes(16),
    handler: { stream: (stream) => void answer(stream, JSON.parse(new TextDecoder().decode(stream.header)).k) },
  });
  await fleet.until(() => a.events.includes("up rogue"));
  return session;
}

const emptyListing = new Uint8Array([2, 0, 0, 0, 0, ...encodeUtf8('{"apps":[]}')]);

describe("what a hub said", () => {
  it("is shown at once while it is fresh, and nobody is asked", async () => {
    const { asked, names } = await twoHubs();
    expect(await names()).toEqual(["notes"]);
    expect(await names()).toEqual(["notes"]);
    expect(asked()).toBe(1);
  });

  it("is shown at once when it is older, and asked for again meanwhile", async () => {
    const { b, asked, names } = await twoHubs();
    await names();
    share(b, "new");
    await fleet.clock.advance(limits.listFreshMs);
    expect(await names()).toEqual(["notes"]);
    await fleet.until(() => asked() === 2);
    await fleet.clock.advance(0);
    expect(await names()).toEqual(["new", "notes"]);
  });

  it("is waited for once it is stale", async () => {
    const { b, asked, names } = await twoHubs();
    await names();
    share(b, "new");
    await fleet.clock.advance(limits.listStaleMs);
    expect(await names()).toEqual(["new", "notes"]);
    expect(asked()).toBe(2);
  });

  it("is asked for again when the hub was out of reach, even by a peer that tells of no changes", async () => {
    const { a, b, names } = await twoHubs();
    await names();
    fleet.lan.drop(a.identity.hubId, b.identity.hubId, new TestError({ code: "PATH_DEAD", message: "Dropped." }));
    await fleet.until(() => a.events.includes("down beta"));
    expect(await names()).toEqual(["notes stale"]);
    share(b, "new");
    await fleet.until(() => a.events.filter((event) => event === "up beta").length === 2, 500);
    await fleet.clock.advance(0);
    expect(await names()).toEqual(["new", "notes"]);
  });
});

describe("a change", () => {
  it("is told to whoever has listed, and what they know is asked for again at once", async () => {
    const { b, asked, names } = await twoHubs();
    await names();
    share(b, "new");
    b.router.announce();
    await fleet.until(() => asked() === 2, 10);
    await fleet.clock.advance(0);
    expect(await names()).toEqual(["new", "notes"]);
    expect(asked()).toBe(2);
  });

  it("is not told to those who have not listed, nor asked for by those who did not look lately", async () => {
    const { b, asked, names } = await twoHubs();
    b.router.announce();
    await fleet.clock.advance(1000);
    await names();
    await fleet.clock.advance(limits.listWatchedMs + 1);
    share(b, "new");
    b.router.announce();
    await fleet.clock.advance(1000);
    expect(asked()).toBe(1);
    expect(await names()).toEqual(["new", "notes"]);
  });

  it("of many in a short time is told a few times, and the last of them is seen", async () => {
    const { b, asked, names } = await twoHubs();
    await names();
    for (let i = 0; i < 200; i++) {
      share(b, `app${i}`);
      b.router.announce();
      await fleet.clock.advance(10);
    }
    await fleet.clock.advance(2000);
    expect(asked()).toBeLessThanOrEqual(1 + limits.listRate.burst + 4);
    expect(await names()).toHaveLength(201);
  });

  it("that comes while its hub is asked is not lost", async () => {
    const a = fleet.hub("alpha");
    await a.router.start();
    const listings: Stream[] = [];
    const session = await roguePeer(a, (stream) => void listings.push(stream));
    const listing = a.router.list(a.caller);
    await fleet.until(() => listings.length === 1);
    const told = session.open(encodeUtf8('{"k":"changed","v":1}'));
    told.end();
    await told.receive();
    await listings[0]!.send(emptyListing, { end: true });
    await listing;
    const again = a.router.list(a.caller);
    await fleet.until(() => listings.length === 2);
    await listings[1]!.send(emptyListing, { end: true });
    await again;
  });

  it("that a peer claims without end makes nobody ask more than once a second", async () => {
    const a = fleet.hub("alpha");
    await a.router.start();
    let asked = 0;
    const session = await roguePeer(a, async (stream) => {
      asked++;
      await stream.send(emptyListing, { end: true });
    });
    const seconds = 20;
    for (let turn = 0; turn < seconds * 10; turn++) {
      await a.router.list(a.caller);
      const told = session.open(encodeUtf8('{"k":"changed","v":1}'));
      told.end();
      await told.receive();
      await fleet.clock.advance(100);
    }
    expect(asked).toBeLessThanOrEqual(seconds + limits.listRate.burst);
    expect(asked).toBeGreaterThan(seconds - 2);
  });
});

describe("a hub that takes 25 s", () => {
  it("holds up the first list to its deadline, and none after it", async () => {
    const { a, names } = await twoHubs();
    const waiting: Stream[] = [];
    await roguePeer(a, (stream) => void waiting.push(stream));
    const startMs = fleet.clock.monotonicMs();
    let first: readonly string[] | undefined;
    void names().then((result) => {
      first = result;
    });
    await fleet.until(() => first !== undefined, 50);
    expect(first).toEqual(["notes"]);
    expect(fleet.clock.monotonicMs() - startMs).toBeLessThanOrEqual(limits.listDeadlineMs + 50);

    // Not while it is asked, not when that was given up, not when it is asked again.
    for (let second = 1; second <= 40; second++) {
      expect(await names()).toEqual(["notes"]);
      await fleet.clock.advance(1000);
    }
    expect(waiting.length).toBeGreaterThan(2);

    // Once it answers in time it is like any other.
    await fleet.until(() => waiting.length > 0, 500);
    for (const stream of waiting.splice(0)) await stream.send(emptyListing, { end: true }).catch(() => {});
    await fleet.clock.advance(0);
    expect((await a.router.page(a.caller)).hubs).toEqual({ known: 3, total: 3 });
  });
});

describe("what was asked before", () => {
  it("an operator was cut off is not remembered after", async () => {
    const { a, b, names } = await twoHubs();
    const heal = fleet.lan.cut(a.identity.hubId, b.identity.hubId);
    const listing = a.router.list(a.caller, { deadlineMs: 10 });
    await fleet.clock.advance(20);
    await listing;
    a.router.cutOperator(a.caller.operator, new TestError({ code: "REVOKED", message: "Revoked." }));
    heal();
    await fleet.clock.advance(100);
    fleet.lan.cut(a.identity.hubId, b.identity.hubId);
    let shown: readonly string[] | undefined;
    void names().then((result) => {
      shown = result;
    });
    await fleet.until(() => shown !== undefined, 100);
    expect(shown).toEqual([]);
  });
});
