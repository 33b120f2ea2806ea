import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { setImmediate } from "node:timers/promises";
import { createTcpLine, type LineConditions, type TcpLine } from "@fed/core/testing-node";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { resetSocket } from "../../src/testing-node/one-way.js";

let opened: AsyncDisposableStack;

beforeEach(() => {
  opened = new AsyncDisposableStack();
});
afterEach(() => opened.disposeAsync());

interface Ends {
  readonly line: TcpLine;
  dial(): Socket;
  /** The far end of the next connection that arrives. */
  accepted(): Promise<Socket>;
  /** Both ends of one more connection. */
  open(): Promise<[near: Socket, far: Socket]>;
}

async function ends(conditions: Partial<LineConditions> = {}): Promise<Ends> {
  const waiting: ((socket: Socket) => void)[] = [];
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on("error", () => {});
    opened.defer(() => void socket.destroy());
    waiting.shift()?.(socket);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  opened.defer(() => void server.close());
  const { port } = server.address() as AddressInfo;
  const line = opened.use(await createTcpLine({ host: "127.0.0.1", port, conditions, random: () => 0.5 }));
  const dial = () => {
    const socket = connect({ host: line.host, port: line.port, allowHalfOpen: true });
    socket.on("error", () => {});
    opened.defer(() => void socket.destroy());
    return socket;
  };
  const accepted = () => new Promise<Socket>((resolve) => waiting.push(resolve));
  return {
    line,
    dial,
    accepted,
    async open() {
      const far = accepted();
      return [dial(), await far];
    },
  };
}

/** How long until so many bytes are there, ms. */
async function arrival(socket: Socket, bytes: number): Promise<number> {
  const startMs = performance.now();
  for (let seen = 0; seen < bytes; ) seen += ((await once(socket, "data")) as [Uint8Array])[0].length;
  return performance.now() - startMs;
}

function closed(socket: Socket): Promise<unknown> {
  return new Promise((resolve) => socket.once("close", resolve));
}

describe("a TCP line", () => {
  it("carries bytes both ways, in order, and the end of each direction", async () => {
    const { open } = await ends({ jitterMs: 5 });
    const [near, far] = await open();
    const sent = Uint8Array.from({ length: 300_000 }, (_, i) => (i * i) % 251);
    near.end(sent);
    const seen: Uint8Array[] = [];
    for await (const bytes of far.iterator({ destroyOnReturn: false })) seen.push(bytes);
    expect(Buffer.concat(seen).equals(sent)).toBe(true);
    far.end("back");
    await arrival(near, 4);
    await once(near, "end");
  });

  it("takes its time: latency and jitter each way, and a rate that connections share", async () => {
    const { line, open } = await ends({ latencyMs: 40, jitterMs: 20 });
    const [near, far] = await open();
    const there = arrival(far, 1);
    near.write("x");
    expect(await there).toBeGreaterThan(48);
    const back = arrival(near, 1);
    far.write("x");
    expect(await back).toBeGreaterThan(48);
    line.change({ latencyMs: 0, jitterMs: 0, rate: 1_000_000 });
    const [other, beyond] = await open();
    const both = Promise.all([arrival(far, 100_000), arrival(beyond, 100_000)]);
    near.write(new Uint8Array(100_000));
    other.write(new Uint8Array(100_000));
    expect(Math.max(...(await both))).toBeGreaterThan(150);
  });

  it("blackholed one way holds bytes and ends in it until TCP would send them again, and lets the other way pass", async () => {
    const { line, open } = await ends();
    const [near, far] = await open();
    const startMs = performance.now();
    const heal = line.blackhole("there");
    let isOver = false;
    far.on("end", () => {
      isOver = true;
    });
    near.end("lost");
    far.write("seen");
    await arrival(near, 4);
    expect([far.bytesRead, isOver]).toEqual([0, false]);
    heal();
    heal();
    const there = arrival(far, 4);
    const [other, beyond] = await open();
    other.write("new");
    await arrival(beyond, 3);
    await there;
    // TCP sends again 0.2 s after it began to.
    expect(performance.now() - startMs).toBeGreaterThan(195);
    if (!isOver) await once(far, "end");
  });

  it("blackholed makes no connection until a second after it was asked for", async () => {
    const { line, accepted, dial } = await ends();
    const heal = line.blackhole("back");
    const startMs = performance.now();
    const far = accepted();
    const near = dial();
    await once(near, "connect");
    expect(line.connections).toBe(0);
    heal();
    await far;
    expect(performance.now() - startMs).toBeGreaterThan(900);
  });

  it("resets an end that has just been ended without keeping it", async () => {
    const { open } = await ends();
    const [near] = await open();
    const errors: Error[] = [];
    near.on("error", (error) => errors.push(error));
    const gone = closed(near);
    near.end("bye");
    resetSocket(near);
    await gone;
    expect(errors).toEqual([]);
  });

  it("is closed while a blackhole holds connections up, and whoever waits in it is let go", async () => {
    const { line, dial } = await ends();
    line.blackhole();
    const near = dial();
    await once(near, "connect");
    // By the second turn of the event loop the line has it, too.
    for (let turn = 0; turn < 2; turn++) await setImmediate();
    const gone = closed(near);
    await line[Symbol.asyncDispose]();
    await gone;
  });

  it("stalled makes the sender wait once its buffer is full, and goes on at once", async () => {
    const { line, open } = await ends({ bufferBytes: 32 * 1024 });
    const [near, far] = await open();
    const heal = line.stall("there");
    const bytes = 32 * 1024 * 1024;
    expect(near.write(new Uint8Array(bytes))).toBe(false);
    const [other] = await open();
    other.write("x");
    expect(far.bytesRead).toBe(0);
    const all = arrival(far, bytes);
    heal();
    await all;
  });

  it("flaps: what is sent meanwhile arrives, in order", async () => {
    const { line, open } = await ends();
    const [near, far] = await open();
    const flapping = line.flap(3, 30, 30);
    for (let i = 0; i < 10; i++) near.write(`${i}`);
    await flapping;
    near.end();
    let text = "";
    for await (const bytes of far) text += bytes;
    expect(text).toBe("0123456789");
  });

  it("resets both ends, one end alone, and whoever comes while it refuses", async () => {
    const { line, open, dial } = await ends();
    const [near, far] = await open();
    const told = [closed(near), closed(far)];
    expect(line.reset()).toBe(1);
    await Promise.all(told);
    const [left, right] = await open();
    const leftClosed = closed(left);
    expect(line.halfOpen("dialler")).toBe(1);
    await leftClosed;
    right.write("into nothing");
    const heal = line.refuse();
    await closed(dial());
    heal();
    const [, there] = await open();
    expect([right.destroyed, there.destroyed]).toEqual([false, false]);
  });
});
