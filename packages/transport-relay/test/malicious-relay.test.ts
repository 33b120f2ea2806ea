/** A relay that lies: nothing wrong is ever delivered, and what it breaks ends in a typed error. */
import { type Connection, isFedError } from "@fed/core";
import { type ConnectionReader, expectCode, readConnection } from "@fed/core/testing";
import fc from "fast-check";
import { afterEach, expect, test, vi } from "vitest";
import { decodeFrame, encodeFrame } from "../src/frame.js";
import { innerKind } from "../src/record.js";
import { routeOf as relayRouteOf } from "../src/relay-keys.js";
import {
  createMemoryRelay,
  createTestHubs,
  type MemoryRelay,
  type Tamper,
  type TestHub,
  testRelayKeys,
} from "./memory-relay.js";

const relayKeys = testRelayKeys();
const running: TestHub[] = [];
afterEach(async () => {
  for (const hub of running.splice(0)) await hub.transport.close();
});

interface Scene {
  readonly relay: MemoryRelay;
  readonly hubs: readonly TestHub[];
  readonly accepted: Connection[];
  readonly refused: string[];
  nextConnection(): Promise<Connection>;
}

async function createScene(names: readonly string[] = ["a", "b"]): Promise<Scene> {
  const relay = createMemoryRelay([relayKeys]);
  const hubs = createTestHubs(names, { relays: [relay.origin], relayKeys, connect: relay.connect });
  running.push(...hubs);
  const accepted: Connection[] = [];
  const refused: string[] = [];
  const waiting: ((connection: Connection) => void)[] = [];
  await hubs[1]!.transport.listen({
    connection(connection) {
      accepted.push(connection);
      waiting.shift()?.(connection);
    },
    refused: (_address, error) => void refused.push(error.code),
  });
  for (const hub of hubs.slice(2)) {
    await hub.transport.listen({
      connection: (connection) => void accepted.push(connection),
      refused: (_address, error) => void refused.push(error.code),
    });
  }
  const nextConnection = () => new Promise<Connection>((resolve) => waiting.push(resolve));
  return { relay, hubs, accepted, refused, nextConnection };
}

async function connect(scene: Scene): Promise<[Connection, Connection]> {
  const [a, b] = scene.hubs;
  return Promise.all([a!.transport.dial(b!.identity.hubId), scene.nextConnection()]);
}

/** Applies `change` to the inner payload of what the relay delivers. */
function onPayload(change: (payload: Uint8Array, whole: Uint8Array) => readonly Uint8Array[]): Tamper {
  return (bytes, direction) => {
    if (direction === "up") return [bytes];
    const frame = decodeFrame(bytes);
    if (frame.type !== "recv") return [bytes];
    return change(frame.payload, bytes).map((payload) => encodeFrame({ ...frame, payload }));
  };
}

async function read(reader: ConnectionReader, count: number): Promise<number[]> {
  const values: number[] = [];
  for (let i = 0; i < count; i++) values.push((await reader.next())[0]!);
  return values;
}

test("duplicates and reordering change nothing", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.constantFrom("pass", "double", "hold", "release"), { minLength: 5, maxLength: 40 }),
      async (plan) => {
        const scene = await createScene();
        const [near, far] = await connect(scene);
        const reader = readConnection(far);
        readConnection(near);
        const held: Uint8Array[] = [];
        let step = 0;
        scene.relay.tamper = onPayload((payload) => {
          switch (plan[step++]) {
            case "double":
              return [payload, payload];
            case "hold":
              held.push(payload.slice());
              return [];
            case "release":
              return [payload, ...held.splice(0).reverse()];
            default:
              return step >= plan.length ? [payload, ...held.splice(0)] : [payload];
          }
        });
        const sent = Array.from({ length: 60 }, (_, i) => i);
        for (const value of sent) near.send(Uint8Array.of(value));
        expect(await read(reader, sent.length)).toEqual(sent);
        expect(reader.messages.length).toBe(sent.length);
        for (const hub of scene.hubs) await hub.transport.close();
      },
    ),
    { numRuns: 15 },
  );
});

test("old records and whole handshakes replayed later do nothing", async () => {
  const scene = await createScene();
  const seen: Uint8Array[] = [];
  scene.relay.tamper = onPayload((payload) => {
    seen.push(payload.slice());
    return [payload];
  });
  const [near, far] = await connect(scene);
  const reader = readConnection(far);
  const back = readConnection(near);
  near.send(Uint8Array.of(1));
  await reader.next();
  const recorded = seen.splice(0);
  const initiations = recorded.filter((payload) => payload[0] === innerKind.initiate);
  expect(initiations.length).toBe(1);
  let replayed = false;
  scene.relay.tamper = onPayload((payload) => {
    if (replayed) return [payload];
    replayed = true;
    return [...recorded, payload];
  });
  near.send(Uint8Array.of(2));
  expect((await reader.next())[0]).toBe(2);
  far.send(Uint8Array.of(3));
  expect((await back.next())[0]).toBe(3);
  expect(reader.messages.length).toBe(2);
  expect(scene.accepted.length).toBe(1);
  expect(scene.refused).toEqual([]);

  // Its connection is over: now it is recognised as old by its timestamp, and under another index by its MAC.
  near.close();
  await Promise.all([back.closed, reader.closed]);
  const renamed = initiations[0]!.slice();
  new DataView(renamed.buffer).setUint32(1, 12345);
  scene.relay.tamper = undefined;
  const socket = [...scene.relay.sockets].at(-1)!;
  const judged = vi.spyOn(scene.hubs[1]!.authenticator, "authenticate");
  for (const payload of [initiations[0]!, renamed]) {
    socket.send(encodeFrame({ type: "recv", route: routeOfInitiator(scene), payload }));
  }
  await until(() => scene.refused.length > 1);
  expect(scene.refused).toEqual(["HANDSHAKE_REPLAYED", "HANDSHAKE_FAILED"]);
  expect(scene.accepted.length).toBe(1);
  // Whoever keeps the newest leaf of a peer must not be told of an old one.
  expect(judged).not.toHaveBeenCalled();
});

test("every flipped byte of a handshake ends in a typed error, and nobody is accepted", async () => {
  const scene = await createScene();
  const codes = new Set<string>();
  for (const kind of [innerKind.initiate, innerKind.respond]) {
    for (const at of [5, 20, 40, 60, 90, 120, -1]) {
      scene.relay.tamper = onPayload((payload) => {
        if (payload[0] !== kind) return [payload];
        const changed = payload.slice();
        changed[at < 0 ? changed.length + at : Math.min(at, changed.length - 1)]! ^= 1;
        return [changed];
      });
      const error: unknown = await scene.hubs[0]!.transport.dial(scene.hubs[1]!.identity.hubId).catch(
        (e: unknown) => e,
      );
      expect(isFedError(error)).toBe(true);
      codes.add((error as { code: string }).code);
    }
  }
  expect([...codes]).toEqual(["HANDSHAKE_FAILED"]);
  expect(scene.accepted).toEqual([]);
});

test("flipped and truncated records are dropped, sent again, and never delivered wrong", async () => {
  const scene = await createScene();
  const [near, far] = await connect(scene);
  const reader = readConnection(far);
  readConnection(near);
  let count = 0;
  scene.relay.tamper = onPayload((payload) => {
    if (payload[0] !== innerKind.record) return [payload];
    const changed = payload.slice();
    changed[5 + (count++ % (payload.length - 5))]! ^= 0x40;
    // Damaged copies arrive before the true one.
    return [changed, payload.subarray(0, payload.length - 1), payload];
  });
  for (let i = 0; i < 100; i++) near.send(Uint8Array.of(i));
  expect(await read(reader, 100)).toEqual(Array.from({ length: 100 }, (_, i) => i));
  expect(reader.messages.length).toBe(100);
});

test("a message sent to another hub than its own is not accepted there", async () => {
  const scene = await createScene(["a", "b", "c"]);
  const [a, b, c] = scene.hubs;
  const diverted = { to: routeOf(scene, c!) };
  const away = routeOf(scene, b!);
  scene.relay.tamper = (bytes, direction) => {
    const frame = direction === "up" ? decodeFrame(bytes) : undefined;
    if (frame?.type !== "send" || frame.route.join() !== away.join()) return [bytes];
    return [encodeFrame({ ...frame, route: diverted.to })];
  };
  const controller = new AbortController();
  const dial = a!.transport.dial(b!.identity.hubId, { signal: controller.signal });
  await until(() => scene.refused.length > 0);
  expect(scene.refused).toEqual(["HANDSHAKE_FAILED"]);
  controller.abort();
  await expectCode(dial, "ABORTED");
  expect(scene.accepted).toEqual([]);
});

test("lies about presence and routes change no running connection's data", async () => {
  const scene = await createScene();
  const [near, far] = await connect(scene);
  const reader = readConnection(far);
  const back = readConnection(near);
  for (const socket of scene.relay.sockets) {
    for (const hub of scene.hubs)
      socket.send(encodeFrame({ type: "peer", route: routeOf(scene, hub), present: false }));
    socket.send(encodeFrame({ type: "reset", route: routeOf(scene, scene.hubs[1]!), reason: 1 }));
    socket.send(encodeFrame({ type: "rate", waitMs: 20 }));
  }
  near.send(Uint8Array.of(8));
  expect((await reader.next())[0]).toBe(8);
  for (const socket of scene.relay.sockets) {
    for (const hub of scene.hubs) socket.send(encodeFrame({ type: "noRoute", route: routeOf(scene, hub) }));
  }
  expect(await back.closed).toMatchObject({ code: "UNREACHABLE" });
});

test("random frames to a hub end the link, not the hub", async () => {
  const scene = await createScene();
  await connect(scene);
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 80 }), async (bytes) => {
      const [socket] = scene.relay.sockets;
      socket?.send(bytes);
      await Promise.resolve();
    }),
    { numRuns: 100 },
  );
  for (const hub of scene.hubs) expect(["up", "waiting", "connecting"]).toContain(hub.transport.relayStates[0]!.status);
});

function routeOf(scene: Scene, hub: TestHub): Uint8Array {
  expect(scene.hubs).toContain(hub);
  return relayRouteOf(relayKeys.routeKey, hub.identity.hubId, Date.now());
}

function routeOfInitiator(scene: Scene): Uint8Array {
  return routeOf(scene, scene.hubs[0]!);
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 1));
}
