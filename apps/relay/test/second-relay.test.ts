/** Two relays, of which the one in use turns hostile in the middle of calls: the other takes over, and no call is lost or done twice. */
import { createVirtualClock, seededRandom } from "@fed/core/testing";
import { expect, test } from "vitest";
import { createFleet, type Hub } from "../../../packages/router/test/fleet.js";
import { makeHostile, mischiefs } from "../../../packages/transport-relay/test/hostile-relay.js";
import {
  createMemoryRelay,
  createTestHubs,
  testRelayKeys,
} from "../../../packages/transport-relay/test/memory-relay.js";

/** Alpha and beta with routers and sessions, joined by two relays only. */
async function createScene() {
  const clock = createVirtualClock();
  const relayKeys = testRelayKeys();
  const relays = [0, 1].map((i) => createMemoryRelay([relayKeys], { clock, origin: `ws://relay${i}.test` }));
  const ends = createTestHubs(["alpha", "beta"], {
    relays: relays.map(({ origin }) => origin),
    relayKeys,
    clock,
    connect: (url, protocols) => relays.find(({ origin }) => origin === url)!.connect(url, protocols),
  });
  const fleet = createFleet(clock);
  const hubs = ends.map(({ identity, transport }) => fleet.hub(identity.name, { transports: [transport] }));
  const [a, b] = hubs as [Hub, Hub];
  const starting = Promise.all(hubs.map(({ router }) => router.start()));
  await clock.advance(1_000);
  await starting;
  for (const { router } of hubs) {
    router.setMembers(
      hubs.map(({ identity }) => ({ ...identity, addresses: [{ transport: "relay", address: identity.hubId }] })),
    );
  }
  await fleet.until(() => a.router.paths("beta")[0]?.state === "confirmed", 250);
  return {
    clock,
    fleet,
    a,
    b,
    relays,
    /** The relay that carries now. */
    inUse: () => relays.reduce((one, other) => (carried(one) >= carried(other) ? one : other)),
    async close() {
      await fleet.close();
      for (const { transport } of ends) await transport.close();
    },
  };
}

const carried = ({ core }: ReturnType<typeof createMemoryRelay>) => core.stats().forwardedBytes;

test.each([
  ["swallows everything", ["swallow"], 1],
  ["drops half", ["drop"], 0.5],
  ["damages everything", ["flip"], 1],
  ["does whatever a relay can do", mischiefs, 0.7],
] as const)("a relay that %s", async (_what, kinds, intensity) => {
  const { clock, fleet, a, b, inUse, relays, close } = await createScene();
  const done: number[] = [];
  b.shared.add("count");
  b.apps.set("count", ({ params }) => {
    done.push(params as number);
    return params;
  });
  const answered: unknown[] = [];
  const failed: string[] = [];
  let asked = 0;
  const ask = () =>
    void a.router.call({ hub: "beta", app: "count", method: "x", params: asked++ }, { caller: a.caller }).then(
      (result) => answered.push(result),
      (error: { code: string }) => failed.push(error.code),
    );
  for (let i = 0; i < 10; i++) ask();
  await fleet.until(() => answered.length === 10, 50);

  const bad = inUse();
  const other = relays.find((relay) => relay !== bad)!;
  const before = carried(other);
  const wire = makeHostile(bad, { clock, random: seededRandom(7), kinds, intensity });
  for (let i = 0; i < 50; i++) {
    ask();
    await clock.advance(100);
  }
  await fleet.until(() => answered.length + failed.length === asked, 500);
  expect(wire.done.size).toBeGreaterThan(0);
  expect(failed).toEqual([]);
  expect(answered.toSorted()).toEqual(Array.from({ length: 60 }, (_, i) => i).toSorted());
  expect(done.length).toBe(60);
  expect(carried(other)).toBeGreaterThan(before);
  await close();
});
