/** Random mixtures of everything a relay can do: what arrives is the beginning of what was sent, or it ends with a reason. */
import { type Connection, isFedError } from "@fed/core";
import { seededRandom } from "@fed/core/testing";
import fc from "fast-check";
import { expect, test } from "vitest";
import {
  createHostileScene,
  createLanes,
  type HostileScene,
  type Lane,
  makeHostile,
  mischiefs,
  wrong,
} from "./hostile-relay.js";

const runs = Number(process.env.FED_RUNS ?? 20);

/** Dials `from` → `to`; the two ends, or undefined when a relay prevented it, with a reason. */
async function connect(scene: HostileScene, from: number, to: number): Promise<[Connection, Connection] | undefined> {
  const hub = scene.hubs[to]!;
  const before = scene.accepted[to]!.length;
  const dialled = await scene.settle(
    scene.hubs[from]!.transport.dial(hub.identity.hubId).catch((error: unknown) => {
      if (!isFedError(error) || error.code === "INTERNAL") throw error;
      return undefined;
    }),
  );
  if (dialled === undefined) return undefined;
  expect(dialled.peer?.hubId).toBe(hub.identity.hubId);
  // What lost the race or was not heard of by the dialler was accepted as well; the one meant is the last.
  const candidates = scene.accepted[to]!.slice(before);
  const far = candidates.at(-1)!;
  expect(far.peer?.hubId).toBe(scene.hubs[from]!.identity.hubId);
  return [dialled, far];
}

test("what arrives is the beginning of what was sent, in order; what ends, ends with a typed error", async () => {
  const totals = new Map<string, number>();
  const ends = new Map<string, number>();
  const mixture = fc.record({
    seed: fc.nat(2 ** 31),
    kinds: fc.uniqueArray(fc.constantFrom(...mischiefs), { minLength: 1 }),
    intensity: fc.double({ min: 0.02, max: 0.5, noNaN: true }),
  });
  await fc.assert(
    fc.asyncProperty(mixture, async ({ seed, kinds, intensity }) => {
      const random = seededRandom(seed);
      const scene = await createHostileScene({
        names: ["a", "b", "c"],
        rekey: { afterMs: 4_000, afterBytes: 400_000 },
      });
      const { clock } = scene;
      const wire = makeHostile(scene.relays[0]!, { clock, random, kinds, intensity });
      const lanes: Lane[] = [];
      for (const [from, to] of [
        [0, 1],
        [2, 1],
        [0, 1],
      ] as const) {
        const pair = await connect(scene, from, to);
        if (pair !== undefined) lanes.push(...createLanes(...pair, lanes.length));
      }
      for (let step = 0; step < 20; step++) {
        for (const lane of lanes) lane.send();
        await clock.advance(random() * 600);
      }
      wire.stop();
      for (let i = 0; i < 12; i++) await clock.advance(5_000);

      expect(wrong.splice(0)).toEqual([]);
      lanes.forEach((lane, i) => {
        const other = lanes[i ^ 1]!;
        expect(other.received).toBeLessThanOrEqual(lane.sent);
        // Without an end on either side everything has arrived; and nobody closed, so no end is a clean one.
        if (lane.end === undefined && other.end === undefined) expect(other.received).toBe(lane.sent);
        else if (lane.end !== undefined) expect(lane.end.error).toBeDefined();
        const code = lane.end === undefined ? "none" : lane.end.error!.code;
        ends.set(code, (ends.get(code) ?? 0) + 1);
      });
      for (const [kind, count] of wire.done) totals.set(kind, (totals.get(kind) ?? 0) + count);

      // A relay that is honest again is as good as new.
      const again = await connect(scene, 2, 1);
      const fresh = createLanes(...again!, 99);
      expect(fresh[0].send()).toBe(true);
      await clock.advance(1_000);
      expect([fresh[1].received, wrong.splice(0)]).toEqual([1, []]);
      await scene.close();
    }),
    // A run is its seed: nothing to shrink.
    { numRuns: runs, endOnFailure: true },
  );
  console.info(`hostile relay, ${runs} runs: ${JSON.stringify(Object.fromEntries(totals))}`);
  console.info(`ends: ${JSON.stringify(Object.fromEntries(ends))}`);
}, 1_200_000);
