/** Strangers and members that attack a listening hub below the session: each is let go with a code, and costs little. */
import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import type { Connection } from "@fed/core";
import { createTestClock, readConnection } from "@fed/core/testing";
import { afterEach, beforeAll, expect, it } from "vitest";
import { encodeFrameHeader } from "../src/framing.js";
import { encodeAccept } from "../src/verdict.js";
import { createTestCluster, type TestCluster } from "./fixture/cluster.js";
import { rawTcp, rawTls, type Watched, watch } from "./fixture/raw-client.js";

let cluster: TestCluster;
let watched: Watched;
/** What a client says first, and then nothing. */
let clientHello: Buffer;

beforeAll(async () => {
  cluster = await createTestCluster();
  clientHello = await captureClientHello();
});

afterEach(() => watched.close());

async function captureClientHello(): Promise<Buffer> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  const client = connectTls({ host: "127.0.0.1", port, ALPNProtocols: ["fed/1"], minVersion: "TLSv1.3" });
  client.on("error", () => {});
  const [socket] = (await once(server, "connection")) as [Socket];
  const [hello] = (await once(socket, "data")) as [Buffer];
  client.destroy();
  socket.destroy();
  server.close();
  return hello;
}

/** Closed, by whatever. */
function gone(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    if (socket.closed) resolve();
    else socket.once("close", () => resolve());
  });
}

async function expectHealthy(): Promise<void> {
  const connection = await (await cluster.hub()).transport.dial(watched.address);
  connection.start({ message() {}, closed() {} });
  connection.close();
}

it("a handshake that comes a byte at a time is over when its time is, however busy it looks", async () => {
  watched = await watch((await cluster.hub({ limits: { handshakeTimeoutMs: 1_000 } })).transport);
  const socket = await rawTcp(watched.address);
  let dripped = 0;
  const drip = setInterval(() => {
    if (dripped < clientHello.length - 1) socket.write(clientHello.subarray(dripped, ++dripped));
  }, 5);
  const closed = gone(socket);
  expect(await watched.nextRefusal()).toBe("HANDSHAKE_TIMEOUT");
  await closed;
  clearInterval(drip);
  expect(dripped).toBeGreaterThan(2);
  await expectHealthy();
});

it("handshakes that stop half way keep no more places than there are, and give them back", async () => {
  const clock = createTestClock();
  const limits = { maxPending: 6, handshakeTimeoutMs: 5000 };
  watched = await watch((await cluster.hub({ limits, clock })).transport);
  let left = 30;
  const rest = Promise.withResolvers<void>();
  const flood = await Promise.all(
    Array.from({ length: left }, async () => {
      const socket = await rawTcp(watched.address);
      socket.write(clientHello);
      void gone(socket).then(() => {
        if (--left === 6) rest.resolve();
      });
      return socket;
    }),
  );
  // These did not get as far as TLS; one line speaks for all of them.
  await rest.promise;
  expect(watched.refusals()).toEqual(["TOO_MANY_CONNECTIONS"]);
  await clock.advance(5000);
  await Promise.all(flood.map(gone));
  expect(watched.refusals()).toEqual(["TOO_MANY_CONNECTIONS", ...Array(6).fill("HANDSHAKE_TIMEOUT")]);
  await expectHealthy();
});

it("a verdict that comes a byte at a time does not outlast the handshake either", async () => {
  watched = await watch((await cluster.hub({ limits: { handshakeTimeoutMs: 1_000 } })).transport);
  const socket = rawTls(watched.address, await cluster.enrol());
  await once(socket, "secureConnect");
  const verdict = Buffer.concat([encodeFrameHeader(1024), Buffer.alloc(1024, 1)]);
  let dripped = 0;
  const drip = setInterval(() => socket.write(verdict.subarray(dripped, ++dripped)), 5);
  const closed = gone(socket);
  expect(await watched.nextRefusal()).toBe("HANDSHAKE_TIMEOUT");
  await closed;
  clearInterval(drip);
  await expectHealthy();
});

it("a length announced above the limit takes no memory, and one within it no more than that", async () => {
  const hub = await cluster.hub();
  let accept: (connection: Connection) => void = () => {};
  const listener = await hub.transport.listen({ connection: (connection) => accept(connection) });
  watched = await watch((await cluster.hub()).transport);
  for (const [length, code] of [
    [0xffff_ffff, "FRAME_TOO_LARGE"],
    [65_547, "FRAME_TOO_LARGE"],
    [65_546, "FRAME_TRUNCATED"],
  ] as const) {
    const accepted = new Promise<Connection>((resolve) => {
      accept = resolve;
    });
    const socket = rawTls(listener.addresses[0]!, await cluster.enrol());
    const verdict = encodeAccept(0xffff_ffff);
    socket.write(Buffer.concat([encodeFrameHeader(verdict.length), verdict]));
    const reader = readConnection(await accepted);
    const before = process.memoryUsage().arrayBuffers;
    socket.end(encodeFrameHeader(length));
    expect((await reader.closed)?.code).toBe(code);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(512 * 1024);
  }
  await listener.close();
});
