import { type Connection, type FedError, isFedError } from "@fed/core";
import { createTestClock, expectCode, readConnection, type TestClock } from "@fed/core/testing";
import { afterEach, expect, test } from "vitest";
import { verifyUpgrade } from "../src/core/index.js";
import { formatGuestAddress, parseGuestAddress } from "../src/guest-address.js";
import { createRelayGuestDial, encodeFrame, type WebSocketLike } from "../src/index.js";
import type { RekeyLimits } from "../src/key-renewal.js";
import type { RelayLimits } from "../src/relay-limits.js";
import { createMemoryRelay, createTestHubs, type MemoryRelay, type TestHub, testRelayKeys } from "./memory-relay.js";

const relayKeys = testRelayKeys();
const running: TestHub[] = [];
afterEach(async () => {
  for (const hub of running.splice(0)) await hub.transport.close();
});

interface Scene {
  readonly clock: TestClock;
  readonly relay: MemoryRelay;
  readonly hubs: readonly TestHub[];
  /** Connections that `b` accepted. */
  readonly accepted: Connection[];
}

async function createScene(
  options: {
    limits?: Partial<RelayLimits>;
    rekey?: Partial<RekeyLimits>;
    down?: boolean;
    names?: string[];
    startMs?: number;
  } = {},
): Promise<Scene> {
  const clock = createTestClock(options.startMs);
  const relay = createMemoryRelay([relayKeys], { clock, ...(options.limits && { limits: options.limits }) });
  relay.down = options.down ?? false;
  const hubs = createTestHubs(options.names ?? ["a", "b"], {
    relays: [relay.origin],
    relayKeys,
    connect: relay.connect,
    clock,
    ...(options.rekey && { rekey: options.rekey }),
  });
  running.push(...hubs);
  const accepted: Connection[] = [];
  const listening = hubs[1]!.transport.listen({ connection: (connection) => void accepted.push(connection) });
  await clock.advance(0);
  await listening;
  return { clock, relay, hubs, accepted };
}

async function connect({ hubs, accepted }: Scene, from = 0): Promise<[Connection, Connection]> {
  const near = await hubs[from]!.transport.dial(hubs[1]!.identity.hubId);
  return [near, accepted.at(-1)!];
}

const stateOf = (hub: TestHub) => hub.transport.relayStates[0]!;

test("a relay that is down at the start is tried again for ever, ever more slowly", async () => {
  const { clock, relay, hubs } = await createScene({ down: true });
  const hub = hubs[0]!;
  const waits: number[] = [];
  for (let i = 0; i < 12; i++) {
    expect(stateOf(hub)).toMatchObject({ status: "waiting", error: { code: "RELAY_LOST" } });
    const waitMs = stateOf(hub).retryAtMs! - clock.nowMs();
    waits.push(waitMs);
    await clock.advance(waitMs + 1);
  }
  expect(Math.max(...waits)).toBeLessThanOrEqual(30_000);
  expect(waits[0]).toBeLessThanOrEqual(500);
  await expectCode(hub.transport.dial(hubs[1]!.identity.hubId), "UNREACHABLE");
  relay.down = false;
  await clock.advance(30_001);
  expect(stateOf(hub)).toEqual({ url: relay.origin, status: "up" });
});

test("a lost relay ends its connections at both sides, and comes back", async () => {
  const scene = await createScene();
  const [near, far] = await connect(scene);
  const [reader, farReader] = [readConnection(near), readConnection(far)];
  for (const socket of [...scene.relay.sockets]) socket.cut();
  expect(await reader.closed).toMatchObject({ code: "RELAY_LOST", retryable: true });
  expect(await farReader.closed).toMatchObject({ code: "RELAY_LOST" });
  await scene.clock.advance(1_001);
  expect(scene.hubs.map((hub) => stateOf(hub).status)).toEqual(["up", "up"]);
  await connect(scene);
});

test("a hub that was replaced does not come back", async () => {
  const scene = await createScene();
  const { clock, hubs } = scene;
  const [twin] = createTestHubs(["b"], {
    relays: [scene.relay.origin],
    relayKeys,
    connect: scene.relay.connect,
    clock,
  });
  running.push(twin!);
  await clock.advance(1);
  expect(stateOf(hubs[1]!)).toMatchObject({ status: "replaced", error: { code: "RELAY_REPLACED" } });
  await clock.advance(200_000);
  expect(stateOf(hubs[1]!).status).toBe("replaced");
  expect(stateOf(twin!).status).toBe("up");
});

test("a refused admission is reported, and tried again not before the relay says", async () => {
  const clock = createTestClock();
  const relay = createMemoryRelay([testRelayKeys(8)], { clock });
  const [hub] = createTestHubs(["a"], { relays: [relay.origin], relayKeys, connect: relay.connect, clock });
  running.push(hub!);
  await clock.advance(1);
  const state = stateOf(hub!);
  expect(state).toMatchObject({ status: "waiting", error: { code: "TOKEN_KEY_UNKNOWN" } });
  expect(state.retryAtMs! - clock.nowMs()).toBeGreaterThanOrEqual(9_999);
});

test("a relay that goes away says when to come back", async () => {
  const scene = await createScene();
  scene.relay.core.restart(5_000, 60_000);
  await scene.clock.advance(0);
  expect(stateOf(scene.hubs[0]!)).toMatchObject({ status: "waiting", error: { code: "RELAY_RESTARTING" } });
  await scene.clock.advance(5_001);
  expect(stateOf(scene.hubs[0]!).status).toBe("up");
});

test("a hub that is sent elsewhere goes there with the same token, once per dial, and returns when it is not served", async () => {
  const clock = createTestClock();
  const relay = createMemoryRelay([relayKeys], { clock });
  const dialled: string[] = [];
  const offered: string[] = [];
  let misdirecting = false;
  const [hub] = createTestHubs(["a"], {
    relays: [relay.origin],
    relayKeys,
    clock,
    connect(url, protocols) {
      dialled.push(url);
      offered.push(protocols[1]!);
      if (misdirecting) return misdirect;
      return relay.connect(url, protocols);
    },
  });
  running.push(hub!);
  await clock.advance(0);
  expect(stateOf(hub!).status).toBe("up");
  relay.core.redirect(relayKeys.tag, "ws://two.test");
  await clock.advance(0);
  expect(dialled).toEqual(["ws://relay.test", "ws://two.test/"]);
  expect(stateOf(hub!).status).toBe("up");
  expect(verifyUpgrade(offered, { ...check(), atMs: clock.nowMs() }).tag).toBe(relayKeys.tag);
  relay.down = true;
  relay.core.redirect(relayKeys.tag, "ws://three.test");
  await clock.advance(0);
  expect(stateOf(hub!)).toMatchObject({ status: "waiting", error: { code: "RELAY_LOST" } });
  relay.down = false;
  await clock.advance(1_000);
  expect(dialled.slice(2)).toEqual(["ws://three.test/", "ws://relay.test"]);
  expect(stateOf(hub!).status).toBe("up");

  misdirecting = true;
  relay.core.redirect(relayKeys.tag, "ws://four.test");
  await clock.advance(0);
  expect(dialled.at(-1)).toBe("ws://four.test/");
  expect(stateOf(hub!)).toMatchObject({ status: "waiting", error: { code: "RELAY_ELSEWHERE" } });
});

/** A relay that sends everybody to a fifth. */
const misdirect: WebSocketLike = {
  binaryType: "blob",
  readyState: 3,
  bufferedAmount: 0,
  send() {},
  close() {},
  addEventListener(type: string, listener: unknown) {
    const close = listener as (event: { code: number; reason: string }) => void;
    if (type === "close") queueMicrotask(() => close({ code: 4421, reason: "RELAY_ELSEWHERE ws://five.test" }));
  },
};

const check = () => ({ admissionKeys: [relayKeys.admissionPublicKey], origins: ["ws://relay.test"] });

test("a relay that went silent is left", async () => {
  const scene = await createScene();
  const socket = [...scene.relay.sockets][0]!;
  socket.hubSide.send = () => {};
  await scene.clock.advance(75_001);
  expect(scene.relay.sockets.has(socket)).toBe(false);
  await scene.clock.advance(1_000);
  expect(scene.hubs.map((hub) => stateOf(hub).status)).toEqual(["up", "up"]);
});

test("a hub takes the new day's route, and is found under the old one until then", async () => {
  const scene = await createScene({ startMs: Date.UTC(2027, 0, 15, 23, 55) });
  const [near] = await connect(scene);
  const reader = readConnection(near);
  await scene.clock.advance(1_200_000);
  // Past midnight a connection is not interrupted, and its hubs are still found under yesterday's routes.
  expect(reader.closedCount()).toBe(0);
  await connect(scene);
  for (const connection of scene.accepted) readConnection(connection);
  for (const connection of scene.accepted) connection.close();
  await scene.clock.advance(10_000);
  const before = [...scene.relay.sockets];
  await scene.clock.advance(1_200_000);
  // Idle, both moved to today's.
  expect([...scene.relay.sockets].some((socket) => before.includes(socket))).toBe(false);
  await connect(scene);
});

test("what the relay drops for want of room is sent again", async () => {
  const scene = await createScene({ limits: { creditBytes: 200_000 } });
  const [near, far] = await connect(scene);
  const reader = readConnection(far);
  readConnection(near);
  for (let i = 0; i < 30; i++) near.send(new Uint8Array(40_000).fill(i));
  for (let i = 0; i < 200 && reader.messages.length < 30; i++) await scene.clock.advance(100);
  expect(reader.messages.map((message) => message[0])).toEqual(Array.from({ length: 30 }, (_, i) => i));
  expect(scene.relay.core.stats().droppedFrames).toBeGreaterThan(0);
});

test("many senders to one hub all get through", async () => {
  const names = ["a", "b", "c", "d", "e"];
  const scene = await createScene({ names });
  const readers = [];
  for (let from = 0; from < names.length; from++) {
    if (from === 1) continue;
    const [near, far] = await connect(scene, from);
    readConnection(near);
    readers.push(readConnection(far));
    for (let i = 0; i < 20; i++) near.send(new Uint8Array(60_000).fill(i));
  }
  for (let i = 0; i < 300 && readers.some((reader) => reader.messages.length < 20); i++) await scene.clock.advance(50);
  for (const reader of readers)
    expect(reader.messages.map((message) => message[0])).toEqual(Array.from({ length: 20 }, (_, i) => i));
});

test("a reader that stops holds its sender, not the relay", async () => {
  const scene = await createScene();
  const [near, far] = await connect(scene);
  readConnection(near);
  far.pause();
  let sent = 0;
  while (near.send(new Uint8Array(65_536)) && sent < 1_000) sent++;
  expect(sent).toBeLessThan(40);
  for (let i = 0; i < 100; i++) {
    await scene.clock.advance(50);
    expect(scene.relay.core.stats().outstandingBytes).toBeLessThanOrEqual(1_048_576);
  }
  const reader = readConnection(far);
  far.resume();
  const drained = near.drained();
  for (let i = 0; i < 100 && reader.messages.length <= sent; i++) await scene.clock.advance(50);
  await drained;
  expect(reader.messages.length).toBe(sent + 1);
});

test("a sender that ignores backpressure is cut off", async () => {
  const scene = await createScene();
  const [near, far] = await connect(scene);
  const reader = readConnection(near);
  far.pause();
  let error: unknown;
  try {
    for (let i = 0; i < 20; i++) near.send(new Uint8Array(1_048_576));
  } catch (caught) {
    error = caught;
  }
  expect(isFedError(error) && error.code).toBe("CLOSED");
  expect(await reader.closed).toMatchObject({ code: "SEND_QUEUE_FULL" });
});

test("a peer that acknowledges nothing is given up", async () => {
  const scene = await createScene();
  const [near] = await connect(scene);
  const reader = readConnection(near);
  scene.relay.tamper = (bytes, direction) => (direction === "up" ? [bytes] : []);
  near.send(Uint8Array.of(1));
  await scene.clock.advance(30_000);
  expect(await reader.closed).toMatchObject({ code: "RELAY_STALLED" });
});

test("a dial nobody answers ends in time", async () => {
  const scene = await createScene();
  scene.relay.tamper = (bytes, direction) => (direction === "up" ? [bytes] : []);
  const dial = expectCode(scene.hubs[0]!.transport.dial(scene.hubs[1]!.identity.hubId), "HANDSHAKE_TIMEOUT");
  await scene.clock.advance(10_001);
  for (let i = 0; i < 4; i++) await scene.clock.advance(10_001);
  await dial;
});

test("keys are replaced while messages flow, and idle connections cost nothing", async () => {
  const scene = await createScene({ rekey: { afterMs: 1_000, afterBytes: 50_000 } });
  const [near, far] = await connect(scene);
  const [back, reader] = [readConnection(near), readConnection(far)];
  for (let i = 0; i < 200; i++) {
    near.send(new Uint8Array(2_000).fill(i));
    far.send(new Uint8Array(1_000).fill(i));
    if (i % 20 === 0) await scene.clock.advance(300);
  }
  await scene.clock.advance(1_000);
  const expected = Array.from({ length: 200 }, (_, i) => i);
  expect(reader.messages.map((message) => message[0])).toEqual(expected);
  expect(back.messages.map((message) => message[0])).toEqual(expected);
  const before = scene.relay.core.stats().forwardedFrames;
  await scene.clock.advance(600_000);
  expect(scene.relay.core.stats().forwardedFrames).toBe(before);
  near.send(Uint8Array.of(7));
  await scene.clock.advance(100);
  expect(reader.messages.at(-1)).toEqual(Uint8Array.of(7));
});

test("worn keys that cannot be replaced end the connection", async () => {
  const scene = await createScene({ rekey: { afterMs: 1_000, graceMs: 5_000 } });
  const [near, far] = await connect(scene);
  const ended = Promise.withResolvers<FedError | undefined>();
  near.start({ message() {}, closed: ended.resolve });
  readConnection(far);
  // Long records carry the new handshake; without them the keys stay.
  scene.relay.tamper = (bytes, direction) => (direction === "up" && bytes.length > 120 ? [] : [bytes]);
  for (let i = 0; i < 10; i++) {
    await scene.clock.advance(1_000);
    try {
      near.send(Uint8Array.of(i));
    } catch {
      break;
    }
  }
  expect(await ended.promise).toMatchObject({ code: "REKEY_REQUIRED" });
});

test("a hub that was started again ends what it had before", async () => {
  const scene = await createScene();
  const [near, far] = await connect(scene);
  const [nearReader, farReader] = [readConnection(near), readConnection(far)];
  const again = scene.hubs[0]!.startAgain();
  running.push(again);
  await scene.clock.advance(1);
  expect(await nearReader.closed).toMatchObject({ code: "RELAY_REPLACED" });
  expect(farReader.closedCount()).toBe(0);
  await again.transport.dial(scene.hubs[1]!.identity.hubId);
  expect(await farReader.closed).toMatchObject({ code: "SESSION_LOST", retryable: true });
});

test("records for a connection that the other side forgot end it", async () => {
  const scene = await createScene();
  const [near, far] = await connect(scene);
  const reader = readConnection(near);
  readConnection(far);
  // The responder starts again on the same route: it knows no connections.
  const again = scene.hubs[1]!.startAgain();
  running.push(again);
  await scene.clock.advance(1);
  near.send(Uint8Array.of(1));
  expect(await reader.closed).toMatchObject({ code: "SESSION_LOST" });
});

test("a guest address survives its text form, and nothing else is one", async () => {
  const { relay, hubs, clock } = await createScene();
  expect(hubs[0]!.transport.guestAddresses(clock.nowMs() + 600_000)).toEqual([]);
  await hubs[0]!.transport.listen({ connection() {}, guest() {} });
  const [text] = hubs[0]!.transport.guestAddresses(clock.nowMs() + 600_000);
  expect(formatGuestAddress(parseGuestAddress(text!))).toBe(text);
  expect(hubs[0]!.transport.guestAddresses(clock.nowMs() - 1)).toEqual([]);
  for (const bad of ["", "relay:", "lan:x", `${text}A`, text!.slice(0, -4), `relay:${"A".repeat(5_000)}`]) {
    await expectCode(() => parseGuestAddress(bad), "GUEST_ADDRESS_INVALID");
  }
  const guestDial = createRelayGuestDial({ connect: relay.connect, clock });
  await clock.advance(601_000);
  await expectCode(guestDial(text!, { authenticateResponder() {} }), "TOKEN_EXPIRED");
});

test("a relay that speaks nonsense before admission is left", async () => {
  const scene = await createScene({ down: true });
  scene.relay.down = false;
  scene.relay.tamper = () => [];
  for (let i = 0; i < 40 && stateOf(scene.hubs[0]!).status !== "connecting"; i++) await scene.clock.advance(250);
  await scene.clock.advance(1);
  for (const socket of scene.relay.sockets) {
    scene.relay.tamper = undefined;
    socket.send(encodeFrame({ type: "peer", route: new Uint8Array(16), present: true }));
  }
  await scene.clock.advance(0);
  expect(stateOf(scene.hubs[0]!)).toMatchObject({ status: "waiting", error: { code: "PROTOCOL_ERROR" } });
});
