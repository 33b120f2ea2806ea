/** What a relay can do, one thing after the other, to every record of a connection's whole life. */
import { type Connection, concatBytes, encodeUtf8, equalBytes, type FedError, randomBytes } from "@fed/core";
import { expectCode, readConnection } from "@fed/core/testing";
import { afterEach, expect, test, vi } from "vitest";
import { decodeFrame, encodeFrame, type Frame } from "../src/frame.js";
import { createHandshakeMac } from "../src/handshake-mac.js";
import { encodeInitiatorHello } from "../src/handshake-payload.js";
import { generateNoiseKeyPair, noiseIk } from "../src/noise.js";
import { encodeInner, innerKind } from "../src/record.js";
import {
  createHostileScene,
  createLanes,
  type HostileScene,
  type HostileSceneOptions,
  wrong,
} from "./hostile-relay.js";
import { type MemoryRelay, testRelayKeys } from "./memory-relay.js";

let scene: HostileScene;
let relay: MemoryRelay;
afterEach(async () => {
  await scene?.close();
  expect(wrong.splice(0)).toEqual([]);
});

async function start(options?: HostileSceneOptions): Promise<void> {
  scene = await createHostileScene(options);
  relay = scene.relays[0]!;
}

async function connect(): Promise<[Connection, Connection]> {
  const near = await scene.settle(scene.hubs[0]!.transport.dial(scene.hubs[1]!.identity.hubId));
  return [near, scene.accepted[1]!.at(-1)!];
}

/** What the relay makes of a payload for the hub at `target`. */
function onPayload(change: (payload: Uint8Array, target: Uint8Array) => readonly Uint8Array[]): void {
  relay.tamper = (bytes, direction, target) => {
    const frame = decodeFrame(bytes);
    if (direction === "up") return frame.type === "ack" ? [] : [bytes];
    if (frame.type !== "recv") return [bytes];
    return change(frame.payload.slice(), target).map((payload) => encodeFrame({ ...frame, payload }));
  };
}

/** Says something to a hub that was never sent to it. */
function tell(hub: number, frame: Frame): void {
  for (const socket of relay.sockets) {
    if (equalBytes(socket.route, scene.routeOf(hub))) socket.inject(encodeFrame(frame));
  }
}

const isSmallRecord = (payload: Uint8Array) => payload[0] === innerKind.record && payload.length < 400;

/** A whole life under `change`: two ways, keys renewed twice, closed cleanly. All of it comes as if nothing had been. */
async function live(change: (payload: Uint8Array, target: Uint8Array) => readonly Uint8Array[]): Promise<void> {
  await start({ rekey: { afterMs: 2_000 } });
  onPayload(change);
  const [near, far] = await connect();
  const lanes = createLanes(near, far, 3);
  for (let i = 0; i < 6; i++) {
    for (const lane of lanes) lane.send();
    await scene.clock.advance(900);
  }
  near.close();
  await scene.clock.advance(1_000);
  expect(lanes.map(({ received }) => received)).toEqual([6, 6]);
  expect(lanes.map(({ end }) => end)).toEqual([{ error: undefined }, { error: undefined }]);
}

test("every record with every byte changed, and cut and lengthened everywhere, before the true one", async () => {
  let forged = 0;
  await live((payload) => {
    if (!isSmallRecord(payload)) return [payload];
    const copies: Uint8Array[] = [concatBytes(payload, Uint8Array.of(0))];
    for (let at = 0; at < payload.length; at++) {
      const changed = payload.slice();
      changed[at]! ^= 1 << (at % 8);
      // A record that became an UNKNOWN is a lie that may end a connection; it is no record any more.
      if (changed[0] !== innerKind.unknown) copies.push(changed);
      if (at > 0) copies.push(payload.subarray(0, at));
    }
    forged += copies.length;
    return [...copies, payload];
  });
  console.info(`changed and cut records: ${forged}`);
  expect(forged).toBeGreaterThan(2_000);
});

test("every record spliced with the one before, of either direction, at every byte", async () => {
  const before: Uint8Array[] = [];
  let spliced = 0;
  await live((payload) => {
    if (!isSmallRecord(payload)) return [payload];
    const copies: Uint8Array[] = [];
    for (const other of before.slice(-3)) {
      for (let at = 1; at < Math.min(payload.length, other.length); at++) {
        copies.push(concatBytes(payload.subarray(0, at), other.subarray(at)));
        copies.push(concatBytes(other.subarray(0, at), payload.subarray(at)));
      }
    }
    before.push(payload);
    spliced += copies.length;
    return [...copies, payload];
  });
  expect(spliced).toBeGreaterThan(2_000);
});

test("every record twice, and again after each other one", async () => {
  const before: Uint8Array[] = [];
  await live((payload) => {
    if (payload[0] !== innerKind.record) return [payload];
    before.push(payload);
    return [payload, payload, ...before];
  });
});

test("a byte of the answer to a handshake changed: refused, or not heard", async () => {
  await start();
  const codes = new Map<string, number>();
  let length = 400;
  for (let at = 0; at < length; at += at < 5 ? 1 : 13) {
    onPayload((payload) => {
      if (payload[0] !== innerKind.respond) return [payload];
      length = payload.length;
      payload[at]! ^= 0x20;
      return [payload];
    });
    const dialled = scene.settle(scene.hubs[0]!.transport.dial(scene.hubs[1]!.identity.hubId));
    const error = (await dialled.catch((cause: unknown) => cause)) as FedError;
    codes.set(error.code, (codes.get(error.code) ?? 0) + 1);
    await scene.clock.advance(10_001);
  }
  // Kind and index are not heard; all else does not verify.
  expect(codes.get("HANDSHAKE_TIMEOUT")).toBe(5);
  expect([...codes.keys()].sort()).toEqual(["HANDSHAKE_FAILED", "HANDSHAKE_TIMEOUT"]);
  expect(codes.get("HANDSHAKE_FAILED")).toBeGreaterThan(10);
  expect(scene.accepted[1]).toEqual([]);
});

test("records of two connections and two peers, swapped, say nothing to either", async () => {
  await start({ names: ["a", "b", "c"] });
  const pairs = [await connect(), await connect()];
  const near = await scene.settle(scene.hubs[2]!.transport.dial(scene.hubs[1]!.identity.hubId));
  pairs.push([near, scene.accepted[1]!.at(-1)!]);
  const lanes = pairs.flatMap(([one, other], i) => createLanes(one, other, i));
  const last: { payload: Uint8Array; source: Uint8Array }[] = [];
  relay.tamper = (bytes, direction) => {
    const frame = decodeFrame(bytes);
    if (direction === "up") return frame.type === "ack" ? [] : [bytes];
    if (frame.type !== "recv") return [bytes];
    last.push({ payload: frame.payload.slice(), source: frame.route.slice() });
    // Under the true and under another's source, under its own and under another's index.
    const swapped = last.slice(-6).flatMap(({ payload, source }) => {
      const renamed = payload.slice();
      renamed.set(frame.payload.subarray(1, 5), 1);
      return [payload, renamed].flatMap((one) => [
        encodeFrame({ type: "recv", route: source, payload: one }),
        encodeFrame({ ...frame, payload: one }),
      ]);
    });
    return [...swapped.filter((one) => one[18] === innerKind.record), bytes];
  };
  for (let i = 0; i < 10; i++) {
    for (const lane of lanes) lane.send();
    await scene.clock.advance(50);
  }
  await scene.clock.advance(4_000);
  // A record may name a connection that its supposed source never had; nobody else's ends by that.
  expect(lanes.map(({ received, end }) => [received, end])).toEqual(lanes.map(() => [10, undefined]));
});

test("a record that comes after the window has passed, or after its keys, is not heard; it came again before", async () => {
  await start({ rekey: { afterMs: 20_000 } });
  const [near, far] = await connect();
  const reader = readConnection(far);
  const back = readConnection(near);
  let kept: Uint8Array | undefined;
  onPayload((payload) => {
    if (payload[0] !== innerKind.record || kept !== undefined) return [payload];
    kept = payload;
    return [];
  });
  const release = () => tell(1, { type: "recv", route: scene.routeOf(0), payload: kept! });
  // More small messages than a receiver holds behind one that is missing.
  for (let i = 0; i < 9_000; i++) near.send(Uint8Array.of(i, i >> 8));
  await scene.clock.advance(10_000);
  expect(reader.messages.map((message) => message[0]! + 256 * message[1]!)).toEqual(
    Array.from({ length: 9_000 }, (_, i) => i),
  );
  release();
  kept = undefined;
  near.send(Uint8Array.of(1));
  await scene.clock.advance(20_000);
  expect(reader.messages.length).toBe(9_001);
  const renewed = vi.spyOn(noiseIk, "createInitiator");
  near.send(Uint8Array.of(2));
  await scene.clock.advance(1_000);
  expect(renewed).toHaveBeenCalledOnce();
  renewed.mockRestore();
  release();
  await scene.clock.advance(1_000);
  expect(reader.messages.length).toBe(9_002);
  expect([reader.closedCount(), back.closedCount()]).toEqual([0, 0]);
});

test.each([
  ["says that the hub is gone", "UNREACHABLE"],
  ["says that the hub forgot the connection", "SESSION_LOST"],
  ["cuts the socket", "RELAY_LOST"],
])("a relay that swallows the end and %s makes no clean end", async (_what, code) => {
  await start();
  const [near, far] = await connect();
  const lanes = createLanes(near, far, 1);
  lanes[0].send();
  await scene.clock.advance(100);
  let last: Uint8Array = new Uint8Array(0);
  onPayload((payload) => {
    last = payload;
    return [];
  });
  lanes[0].send();
  near.close();
  await scene.clock.advance(6_000);
  expect([lanes[0].end, lanes[1].end, lanes[1].received]).toEqual([{ error: undefined }, undefined, 1]);
  const route = scene.routeOf(0);
  const forgotten = concatBytes(Uint8Array.of(innerKind.unknown), last.subarray(1, 5), Uint8Array.of(0));
  if (code === "UNREACHABLE") tell(1, { type: "noRoute", route });
  else if (code === "SESSION_LOST") tell(1, { type: "recv", route, payload: forgotten });
  else for (const socket of [...relay.sockets]) socket.cut();
  await scene.clock.advance(10);
  expect([lanes[1].end?.error?.code, lanes[1].received]).toEqual([code, 1]);
});

test("a close is not heard before all that was sent before it", async () => {
  await start();
  const [near, far] = await connect();
  const lanes = createLanes(near, far, 1);
  let dropped = 0;
  onPayload((payload) => (payload[0] === innerKind.record && dropped++ < 2 ? [] : [payload]));
  lanes[0].send();
  lanes[0].send();
  near.close();
  await scene.clock.advance(500);
  expect([lanes[1].received, lanes[1].end]).toEqual([0, undefined]);
  await scene.clock.advance(4_500);
  expect([lanes[1].received, lanes[1].end]).toEqual([2, { error: undefined }]);
});

test("without a confirmation the responder says nothing and hands nothing out", async () => {
  await start();
  const answered: number[] = [];
  onPayload((payload, target) => {
    if (equalBytes(target, scene.routeOf(0))) answered.push(payload[0]!);
    return payload[0] === innerKind.record ? [] : [payload];
  });
  const dialled = expectCode(scene.hubs[0]!.transport.dial(scene.hubs[1]!.identity.hubId), "HANDSHAKE_TIMEOUT");
  await scene.clock.advance(35_000);
  await dialled;
  expect(scene.accepted[1]).toEqual([]);
  expect(answered).toEqual([innerKind.respond]);
  expect(scene.refused.map(({ code }) => code)).toEqual(["HANDSHAKE_TIMEOUT"]);
});

test("a hub that was started again is heard, one whose clock was set back is told so until it has caught up", async () => {
  await start();
  await connect();
  const { clock, hubs } = scene;
  const again = hubs[0]!.startAgain();
  await scene.clock.advance(10);
  const to = hubs[1]!.identity.hubId;
  expect((await scene.settle(again.transport.dial(to))).peer?.hubId).toBe(to);
  await again.transport.close();

  const behindMs = 60_000;
  const late = hubs[0]!.startAgain({ ...clock, nowMs: () => clock.nowMs() - behindMs });
  await clock.advance(10);
  await scene.settle(expectCode(late.transport.dial(to), "HANDSHAKE_REPLAYED"));
  await clock.advance(behindMs);
  expect((await scene.settle(late.transport.dial(to))).peer?.hubId).toBe(to);
  await late.transport.close();
});

test.each([
  ["strangers", false],
  ["who knows the hub's key", true],
])("a flood of handshakes by %s, from ever new routes, keeps no peer out", async (_whom, knowsKey) => {
  await start({ names: ["a", "b", "c"] });
  onPayload((payload) => [payload]);
  const { noiseKey, identity } = scene.hubs[1]!;
  const responderRoute = scene.routeOf(1);
  const mac = createHandshakeMac(noiseKey.publicKey);
  const answered = vi.spyOn(noiseIk, "createResponder");
  const hello = { role: "guest" as const, timestamp: 1, bootId: randomBytes(16), chain: [] };
  const message1s = new Map<string, Uint8Array>();
  const flood = (count: number) => {
    for (let i = 0; i < count; i++) {
      // As many routes as a relay lets into one cluster.
      const route = new Uint8Array(16).fill(i % 126);
      const prologue = concatBytes(encodeUtf8(`fed-relay/1 ${testRelayKeys().tag} `), route, responderRoute);
      const initiator = () =>
        noiseIk.createInitiator({ keyPair: generateNoiseKeyPair(), responderKey: noiseKey.publicKey, prologue });
      const message1 = message1s.get(`${route}`) ?? initiator().writeMessage1(encodeInitiatorHello(hello));
      message1s.set(`${route}`, message1);
      const index = floods++;
      const body = knowsKey
        ? mac.prepend({ initiatorRoute: route, responderRoute, index }, message1)
        : concatBytes(randomBytes(16), message1);
      tell(1, { type: "recv", route, payload: encodeInner(innerKind.initiate, index, body) });
    }
  };
  let floods = 0;
  const connected: string[] = [];
  for (const hub of [scene.hubs[0]!, scene.hubs[2]!]) {
    const dialled = hub.transport.dial(identity.hubId).then((connection) => connected.push(connection.id));
    for (let i = 0; i < 100 && connected.length === 0; i++) {
      flood(10);
      await scene.clock.advance(20);
    }
    await dialled;
    expect(connected.length).toBe(1);
    connected.length = 0;
    for (let i = 0; i < 50; i++) {
      flood(10);
      await scene.clock.advance(20);
    }
  }
  const seconds = scene.clock.monotonicMs() / 1_000;
  expect(floods).toBeGreaterThan(1_000);
  if (knowsKey) expect(answered.mock.calls.length).toBeLessThan(200 + 100 * seconds + 2);
  else expect(answered).toHaveBeenCalledTimes(2);
  answered.mockRestore();
});
