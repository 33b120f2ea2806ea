/** Two relays, one of them hostile: the other one takes over. */
import { type Connection, CoreError, PeerError } from "@fed/core";
import { expectCode } from "@fed/core/testing";
import { afterEach, expect, test } from "vitest";
import { RelayError } from "../src/errors.js";
import { decodeFrame, encodeFrame } from "../src/frame.js";
import { raceRelays } from "../src/relay-race.js";
import { createHostileScene, createLanes, type HostileScene, wrong } from "./hostile-relay.js";
import type { MemoryRelay, Tamper } from "./memory-relay.js";

let scene: HostileScene;
afterEach(async () => {
  await scene?.close();
  expect(wrong.splice(0)).toEqual([]);
});

const dial = () => scene.hubs[0]!.transport.dial(scene.hubs[1]!.identity.hubId);
const relayOf = (connection: Connection) => connection.remoteAddress.split("#")[0];

/** Does `change` to what the relay hands to hubs of other hubs' payloads. */
function onPayload(relay: MemoryRelay, change: (payload: Uint8Array) => readonly Uint8Array[]): void {
  const tamper: Tamper = (bytes, direction) => {
    const frame = decodeFrame(bytes);
    if (direction === "up" || frame.type !== "recv") return [bytes];
    return change(frame.payload).map((payload) => encodeFrame({ ...frame, payload }));
  };
  relay.tamper = tamper;
}

const flipped = (payload: Uint8Array) => {
  const changed = payload.slice();
  changed[changed.length - 1]! ^= 1;
  return [changed];
};
/** Passes only these kinds. */
const only =
  (...kinds: number[]) =>
  (payload: Uint8Array) =>
    kinds.includes(payload[0]!) ? [payload] : [];

test.each<[string, (payload: Uint8Array) => readonly Uint8Array[]]>([
  ["swallows everything", () => []],
  ["damages every handshake", flipped],
  ["swallows every answer", only(1, 3, 4)],
  ["swallows every record", only(1, 2, 4)],
  ["says that it is busy, instead of carrying", (payload) => [Uint8Array.of(4, ...payload.subarray(1, 5), 3)]],
  ["says that nobody listens", (payload) => [Uint8Array.of(4, ...payload.subarray(1, 5), 1)]],
])("a relay that %s costs a dial a second", async (_what, change) => {
  scene = await createHostileScene({ relays: 2 });
  onPayload(scene.relays[0]!, change);
  const startMs = scene.clock.monotonicMs();
  const near = await scene.settle(dial());
  expect(scene.clock.monotonicMs() - startMs).toBeLessThan(1_500);
  expect(relayOf(near)).toBe(scene.relays[1]!.origin);
  const far = scene.accepted[1]!.find((connection) => relayOf(connection) === scene.relays[1]!.origin)!;
  const lanes = createLanes(near, far, 1);
  for (let i = 0; i < 20; i++) for (const lane of lanes) lane.send();
  await scene.clock.advance(1_000);
  expect(lanes.map(({ received }) => received)).toEqual([20, 20]);
});

test("a relay that hides a hub, or says it has none, is passed over at once", async () => {
  scene = await createHostileScene({ relays: 2 });
  const [first] = scene.relays as [MemoryRelay];
  first.tamper = (bytes, direction) => {
    const frame = decodeFrame(bytes);
    if (direction === "up" || frame.type !== "recv") return [bytes];
    return [];
  };
  for (const socket of first.sockets) {
    for (const hub of first.sockets) socket.inject(encodeFrame({ type: "peer", route: hub.route, present: false }));
  }
  const startMs = scene.clock.monotonicMs();
  expect(relayOf(await scene.settle(dial()))).toBe(scene.relays[1]!.origin);
  expect(scene.clock.monotonicMs() - startMs).toBeLessThan(50);
});

test("a relay that asks for silence without end is not waited for", async () => {
  scene = await createHostileScene({ relays: 2 });
  const [first] = scene.relays as [MemoryRelay];
  for (const socket of first.sockets) socket.inject(encodeFrame({ type: "rate", waitMs: 2 ** 32 - 1 }));
  expect(relayOf(await scene.settle(dial()))).toBe(scene.relays[1]!.origin);
});

test("a relay that carries handshakes and then nothing is not the first choice again", async () => {
  scene = await createHostileScene({ relays: 2 });
  const near = await scene.settle(dial());
  const first = scene.relays.find(({ origin }) => origin === relayOf(near))!;
  const [lane, other] = createLanes(near, scene.accepted[1]!.at(-1)!, 1);
  lane.send();
  await scene.clock.advance(100);
  first.tamper = (bytes, direction) => (direction === "down" && decodeFrame(bytes).type === "recv" ? [] : [bytes]);
  lane.send();
  await scene.clock.advance(25_000);
  expect(lane.end?.error?.code).toBe("RELAY_STALLED");
  expect(other.received).toBe(1);
  // The relay carries again, as if nothing had been.
  first.tamper = undefined;
  const again = await scene.settle(dial());
  expect(relayOf(again)).not.toBe(first.origin);
});

test("a relay is not blamed for what a hub ends by itself", async () => {
  scene = await createHostileScene({ relays: 2 });
  const ends = [
    undefined,
    new CoreError({ code: "ABORTED", message: "Enough." }),
    new RelayError({ code: "RELAY_CLOSED", message: "The relay transport was closed." }),
  ];
  const first = relayOf(await scene.settle(dial()));
  for (const end of ends) {
    const near = await scene.settle(dial());
    expect(relayOf(near)).toBe(first);
    const [lane] = createLanes(near, scene.accepted[1]!.at(-1)!, 1);
    lane.send();
    near.close(end);
    await scene.clock.advance(100);
    expect(lane.end).toBeDefined();
  }
  expect(relayOf(await scene.settle(dial()))).toBe(first);
});

test("what the other hub says ends a race, what a relay may have done does not", async () => {
  scene = await createHostileScene();
  const { clock } = scene;
  const refusal = new PeerError({ code: "CERTIFICATE_EXPIRED", message: "Refused." });
  const replayed = new PeerError({ code: "HANDSHAKE_REPLAYED", message: "Refused." });
  const damaged = new RelayError({ code: "HANDSHAKE_FAILED", message: "Damaged." });
  const failing = (error: Error) => () => Promise.reject(error);
  const never = (signal: AbortSignal) =>
    new Promise<Connection>((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
  await expectCode(raceRelays([failing(damaged), failing(refusal), never], { clock }), "CERTIFICATE_EXPIRED");
  await expectCode(raceRelays([failing(damaged), failing(replayed)], { clock }), "HANDSHAKE_FAILED");
  await expectCode(raceRelays([], { clock }), "UNREACHABLE");
  const stop = new AbortController();
  const race = raceRelays([never, never], { clock, signal: stop.signal });
  stop.abort();
  await expectCode(race, "ABORTED");
});

test("a relay that answers after it has lost is not left with a connection", async () => {
  scene = await createHostileScene();
  const slow = Promise.withResolvers<Connection>();
  const closed: string[] = [];
  const connection = (name: string) => ({ close: () => void closed.push(name) }) as unknown as Connection;
  const quick = connection("quick");
  const race = raceRelays([() => slow.promise, async () => quick], { clock: scene.clock });
  await scene.clock.advance(1_001);
  expect(await race).toBe(quick);
  slow.resolve(connection("slow"));
  await scene.clock.advance(0);
  expect(closed).toEqual(["slow"]);
});
