import { connect as connectTcp } from "node:net";
import type { Connection } from "@fed/core";
import { expectCode, readConnection, testTransport } from "@fed/core/testing";
import {
  createRelayGuestDial,
  encodeFrame,
  formatAdmissionKey,
  relaySubprotocol,
  routeOf,
  type WebSocketConnect,
} from "@fed/transport-relay";
import { expect, test, vi } from "vitest";
import { WebSocket } from "ws";
import { absentHub, createTestHubs, testRelayKeys } from "../../../packages/transport-relay/test/memory-relay.js";
import { startRelay } from "../src/index.js";

const relayKeys = testRelayKeys();
const admissionKeys = [formatAdmissionKey(relayKeys.admissionPublicKey)];
const connect: WebSocketConnect = (url, protocols) => new WebSocket(url, protocols);

testTransport("relay over a Node relay", async () => {
  const relay = await startRelay({ admissionKeys });
  const [a, b] = createTestHubs(["a", "b"], { relays: [relay.url], relayKeys, connect });
  return {
    a: a!,
    b: b!,
    unreachable: absentHub,
    guestDial: createRelayGuestDial({ connect }),
    async close() {
      await a!.transport.close();
      await b!.transport.close();
      await relay.close();
    },
  };
});

/** Two connected hubs over a relay; `log` and `captured` fill as they talk. */
async function createScene() {
  const log: string[] = [];
  const captured: Uint8Array[] = [];
  const relay = await startRelay({
    admissionKeys,
    log: (line) => void log.push(line),
    capture: (_direction, bytes) => void captured.push(bytes.slice()),
  });
  const hubs = createTestHubs(["a", "b"], { relays: [relay.url], relayKeys, connect });
  const accepted = Promise.withResolvers<Connection>();
  await hubs[1]!.transport.listen({ connection: accepted.resolve });
  const near = await hubs[0]!.transport.dial(hubs[1]!.identity.hubId);
  const far = await accepted.promise;
  return {
    relay,
    hubs,
    log,
    captured,
    near,
    far,
    async [Symbol.asyncDispose]() {
      for (const hub of hubs) await hub.transport.close();
      await relay.close();
    },
  };
}

/** A WebSocket that says `messages` and resolves to the code it is closed with. */
function closeCodeAfter(url: string, messages: readonly (string | Uint8Array)[]): Promise<number> {
  const socket = new WebSocket(url, relaySubprotocol);
  return new Promise((resolve) => {
    socket.on("open", () => {
      for (const message of messages) socket.send(message);
    });
    socket.on("close", resolve);
    socket.on("error", () => {});
  });
}

test("nothing readable crosses the relay, and nothing secret is logged", async () => {
  await using scene = await createScene();
  const reader = readConnection(scene.far);
  readConnection(scene.near);
  const secret = "the launch code is four eight fifteen";
  scene.near.send(new TextEncoder().encode(secret));
  expect(new TextDecoder().decode(await reader.next())).toBe(secret);
  const crossed = Buffer.concat(scene.captured).toString("latin1");
  expect(crossed.length).toBeGreaterThan(1_000);
  for (const hub of scene.hubs) {
    for (const clear of [secret, hub.identity.hubId, hub.identity.thumbprint, '"serial"']) {
      expect(crossed).not.toContain(clear);
    }
  }
  expect(scene.log.filter((line) => line === "admitted a hub").length).toBe(2);
  expect(scene.log.join()).not.toContain(relayKeys.tag);
});

test("a hub that leaves tells its peers at once", async () => {
  await using scene = await createScene();
  const [near, far] = [readConnection(scene.near), readConnection(scene.far)];
  await scene.hubs[0]!.transport.close();
  expect(await near.closed).toMatchObject({ code: "RELAY_CLOSED" });
  expect(await far.closed).toMatchObject({ code: "RELAY_CLOSED" });
  await expectCode(scene.hubs[0]!.transport.dial(scene.hubs[1]!.identity.hubId), "RELAY_CLOSED");
});

test("a restart of the relay is survived by dialling again", async () => {
  const scene = await createScene();
  const reader = readConnection(scene.near);
  readConnection(scene.far);
  await scene.relay.close();
  expect(await reader.closed).toMatchObject({ code: "RELAY_RESTARTING" });
  await using relay = await startRelay({ admissionKeys, port: scene.relay.port });
  // Each hub comes back at a random time within five seconds.
  await vi.waitFor(() => expect(relay.stats().hubs).toBe(2), { timeout: 12_000 });
  const again = await scene.hubs[0]!.transport.dial(scene.hubs[1]!.identity.hubId);
  expect(again.peer?.hubId).toBe(scene.hubs[1]!.identity.hubId);
  for (const hub of scene.hubs) await hub.transport.close();
});

test("a hub that stops reading costs the relay at most its credit, and is thrown out", async () => {
  await using relay = await startRelay({ admissionKeys, limits: { slowReaderMs: 2_000 } });
  const raw: WebSocket[] = [];
  const [stuck] = createTestHubs(["b"], {
    relays: [relay.url],
    relayKeys,
    connect(url, protocols) {
      const socket = new WebSocket(url, protocols);
      raw.push(socket);
      return socket;
    },
  });
  await stuck!.transport.listen({ connection() {} });
  raw[0]!.pause();
  const route = routeOf(relayKeys.routeKey, stuck!.identity.hubId, Date.now());
  const flood = await admittedSocket(relay.url);
  const before = process.memoryUsage().rss;
  const frame = encodeFrame({ type: "send", route, payload: new Uint8Array(500_000) });
  let refused = 0;
  flood.on("message", (data: ArrayBuffer) => {
    // RESET, or on a slow machine NOROUTE: it was thrown out by then.
    if ([0x15, 0x14].includes(new Uint8Array(data)[0]!)) refused++;
  });
  for (let i = 0; i < 100; i++) flood.send(frame);
  await expect.poll(() => refused).toBeGreaterThan(90);
  expect(relay.stats().outstandingBytes).toBeLessThanOrEqual(1_048_576);
  expect(process.memoryUsage().rss - before).toBeLessThan(200 * 1_048_576);
  await vi.waitFor(
    () => {
      flood.send(frame);
      expect(relay.stats().outstandingBytes).toBe(0);
    },
    { timeout: 10_000 },
  );
  flood.close();
  await stuck!.transport.close();
});

/** A hub's socket without a hub: admitted, and then ours to misuse. */
function admittedSocket(url: string): Promise<WebSocket> {
  const [hub] = createTestHubs(["flood"], {
    relays: [url],
    relayKeys,
    connect(to, protocols) {
      socket = new WebSocket(to, protocols);
      return socket;
    },
  });
  let socket: WebSocket;
  return hub!.transport.listen({ connection() {} }).then(() => socket);
}

test("garbage on a socket ends that socket alone", async () => {
  await using scene = await createScene();
  const { url } = scene.relay;
  expect(await closeCodeAfter(url, [Uint8Array.of(0xff, 0xff)])).toBe(4400);
  expect(await closeCodeAfter(url, ["hello"])).toBe(4400);
  expect(await closeCodeAfter(url, [Uint8Array.of(1, 0, 65, 46, 66)])).toBe(4401);
  expect(
    await closeCodeAfter(
      url,
      Array.from({ length: 11 }, () => "p"),
    ),
  ).toBe(4429);
  const admitted = await admittedSocket(url);
  const ended = new Promise((resolve) => admitted.on("close", resolve));
  admitted.send(new Uint8Array(1_048_577));
  expect(await ended).toBe(1009);
  const reader = readConnection(scene.far);
  readConnection(scene.near);
  scene.near.send(Uint8Array.of(1));
  expect(await reader.next()).toEqual(Uint8Array.of(1));
});

test("whoever is not admitted has no message of more than 16 KiB collected", async () => {
  await using relay = await startRelay({ admissionKeys });
  const socket = connectTcp(relay.port, "127.0.0.1");
  socket.on("error", () => {});
  socket.write(
    [
      "GET / HTTP/1.1",
      "Host: relay",
      "Upgrade: websocket",
      "Connection: Upgrade",
      "Sec-WebSocket-Version: 13",
      `Sec-WebSocket-Protocol: ${relaySubprotocol}`,
      `Sec-WebSocket-Key: ${Buffer.alloc(16).toString("base64")}`,
      "\r\n",
    ].join("\r\n"),
  );
  await expect.poll(() => relay.stats().awaiting).toBe(1);
  // A masked binary message of 1 MiB that never ends.
  socket.write(Buffer.concat([Buffer.from("82ff000000000010000000000000", "hex"), Buffer.alloc(64 * 1024)]));
  const answer: Buffer[] = [];
  for await (const chunk of socket) {
    answer.push(chunk);
    if (Buffer.concat(answer).includes("FRAME_TOO_LARGE")) break;
  }
  expect(Buffer.concat(answer).includes("FRAME_TOO_LARGE")).toBe(true);
  expect(relay.stats().awaiting).toBe(0);
});

test("an admission key can be added while running, and a bad one is refused", async () => {
  await using relay = await startRelay({ admissionKeys: [] });
  const [hub] = createTestHubs(["a"], { relays: [relay.url], relayKeys, connect });
  await expect.poll(() => hub!.transport.relayStates[0]!.error?.code).toBe("TOKEN_KEY_UNKNOWN");
  await hub!.transport.close();
  await expectCode(() => relay.addAdmissionKey("fedrelay1.x"), "KEY_INVALID");
  await expectCode(startRelay({ admissionKeys: ["nonsense"] }), "KEY_INVALID");
  relay.addAdmissionKey(admissionKeys[0]!);
  const [again] = createTestHubs(["a"], { relays: [relay.url], relayKeys, connect });
  await expect.poll(() => relay.stats().hubs).toBe(1);
  await again!.transport.close();
});

test("a port in use is said so", async () => {
  await using relay = await startRelay({ admissionKeys });
  await expectCode(startRelay({ admissionKeys, port: relay.port }), "RELAY_PORT_IN_USE");
  expect((await fetch(`http://127.0.0.1:${relay.port}/healthz`)).status).toBe(200);
});
