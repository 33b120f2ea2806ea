import { memoryAuthenticator } from "@fed/core/memory";
import {
  createEmulator,
  createVirtualClock,
  type EmulatorOptions,
  refusableAuthenticator,
  type TransportSide,
  testTransport,
} from "@fed/core/testing";
import { describe, expect, it } from "vitest";
import { type Connection, systemClock } from "../../src/index.js";
import { identityOf } from "../identity.js";

const [a, b] = [identityOf("a"), identityOf("b")];

testTransport("emulated", async () => {
  const emulator = createEmulator({ clock: systemClock, random: Math.random, conditions: { jitterMs: 1 } });
  function side(name: string): TransportSide {
    const identity = identityOf(name);
    const authenticator = refusableAuthenticator(memoryAuthenticator);
    return { identity, authenticator, transport: emulator.transport({ identity, authenticator }) };
  }
  return { a: side("a"), b: side("b"), unreachable: "nobody", async close() {} };
});

/** Two connected hubs on a virtual clock, and what each was told. */
async function connected(conditions: EmulatorOptions["conditions"] = {}) {
  const clock = createVirtualClock();
  let dice = 0;
  const emulator = createEmulator({ clock, random: () => (dice = (dice + 0.37) % 1), conditions });
  const accepted = Promise.withResolvers<Connection>();
  await emulator.transport({ identity: b }).listen({ connection: accepted.resolve });
  const dialling = emulator.transport({ identity: a }).dial(b.hubId);
  await clock.advance(1000);
  const ends = [await dialling, await accepted.promise] as const;
  const told = ends.map((end) => {
    const heard: { bytes: number; atMs: number }[] = [];
    const state = { heard, closed: undefined as { code: string | undefined } | undefined };
    end.start({
      message: (message) => heard.push({ bytes: message.length, atMs: clock.monotonicMs() }),
      closed: (error) => {
        state.closed = { code: error?.code };
      },
    });
    return state;
  });
  return { clock, emulator, near: ends[0], far: ends[1], atNear: told[0]!, atFar: told[1]! };
}

describe("an emulated connection", () => {
  it("takes its time: latency, and the rate for what is behind each other", async () => {
    const { clock, near, atFar } = await connected({ latencyMs: 50, rate: 10_000 });
    const sentAtMs = clock.monotonicMs();
    for (let i = 0; i < 3; i++) near.send(new Uint8Array(1000));
    await clock.advance(1000);
    expect(atFar.heard.map(({ atMs }) => atMs - sentAtMs)).toEqual([150, 250, 350]);
  });

  it("keeps the order under jitter and loss, and loses nothing", async () => {
    const { clock, near, atFar } = await connected({ latencyMs: 10, jitterMs: 100, loss: 0.3 });
    for (let i = 1; i <= 100; i++) near.send(new Uint8Array(i));
    await clock.advance(60_000);
    expect(atFar.heard.map(({ bytes }) => bytes)).toEqual(Array.from({ length: 100 }, (_, i) => i + 1));
  });

  it("in a blackhole delivers nothing one way, tells nobody, and goes on afterwards", async () => {
    const { clock, emulator, near, far, atNear, atFar } = await connected();
    const heal = emulator.blackhole(a.hubId, b.hubId);
    near.send(new Uint8Array(1));
    far.send(new Uint8Array(2));
    const dial = emulator.transport({ identity: a, address: "other" }).dial(b.hubId);
    const failed = expect(dial).rejects.toMatchObject({ code: "UNREACHABLE" });
    await clock.advance(10_000);
    await failed;
    expect([atNear.heard.length, atFar.heard.length, atNear.closed]).toEqual([1, 0, undefined]);
    heal();
    heal();
    await clock.advance(0);
    expect(atFar.heard.length).toBe(1);
  });

  it("that is reset ends on both sides; half open, on one, and the other sends into nothing", async () => {
    const reset = await connected();
    expect(reset.emulator.reset(a.hubId, b.hubId)).toBe(1);
    await reset.clock.advance(0);
    expect([reset.atNear.closed, reset.atFar.closed]).toEqual([{ code: "CLOSED" }, { code: "CLOSED" }]);
    const half = await connected();
    expect(half.emulator.halfOpen(a.hubId, b.hubId)).toBe(1);
    half.far.send(new Uint8Array(1));
    await half.clock.advance(100);
    expect([half.atNear.closed, half.atFar.closed]).toEqual([{ code: "CLOSED" }, undefined]);
    expect(half.atNear.heard).toEqual([]);
  });
});

describe("a virtual clock", () => {
  it("fires in order of time, then of setting, timers set on the way included; a cancelled one never", async () => {
    const clock = createVirtualClock();
    const fired: string[] = [];
    const note = (name: string) => () => void fired.push(`${name} ${clock.monotonicMs()}`);
    for (const delay of [50, 10, 30, 10, 90]) clock.setTimer(delay, note(`${delay}`));
    clock.setTimer(20, note("never")).cancel();
    clock.setTimer(10, () => void clock.setTimer(5, note("nested")));
    await clock.advance(60);
    expect(fired).toEqual(["10 10", "10 10", "nested 15", "30 30", "50 50"]);
    expect(clock.monotonicMs()).toBe(60);
    await clock.advance(30);
    expect(fired.at(-1)).toBe("90 90");
  });
});
