/** What may be under way, over an emulated link on a clock of its own: how fast bulk gets, and how long others wait for it. */
import { encodeUtf8, type Priority, type Session, type Stream } from "@fed/core";
import { type Conditions, createEmulator, createVirtualClock } from "@fed/core/testing";
import { describe, expect, it } from "vitest";
import { FlightWindow } from "../src/flight-window.js";
import { CUT_FRAME_BYTES, HEADER_BYTES } from "../src/frame.js";
import { createSession } from "../src/index.js";
import type { LiveSession } from "../src/session.js";
import { alice, bob, epochOf, noStreams } from "./fixture.js";

const mbit = 125_000;
const echo = encodeUtf8("echo");
const sink = encodeUtf8("sink");

/** Two hubs on one link; whatever is opened there is echoed once, or read. */
async function linked(conditions: Partial<Conditions>) {
  const clock = createVirtualClock();
  const emulator = createEmulator({ clock, random: () => 0.5, conditions });
  /** Bytes that have arrived for the readers. */
  let read = 0;
  let sent = 0;
  /** How long the reader rests before each message, ms. */
  let restMs = 0;
  const serve = async (stream: Stream) => {
    if (stream.header.length === echo.length && stream.header[0] === echo[0]) {
      const message = await stream.receive();
      await stream.send(message!, { end: true });
      return;
    }
    for (;;) {
      if (restMs > 0) await new Promise<void>((resolve) => void clock.setTimer(restMs, resolve));
      const message = await stream.receive();
      read += message!.length;
    }
  };
  const far = Promise.withResolvers<Session>();
  await emulator.transport({ identity: bob }).listen({
    connection: (connection) =>
      void createSession(connection, {
        epoch: epochOf(2),
        clock,
        handler: { stream: (stream) => void serve(stream).catch(() => {}) },
      }).then(far.resolve),
  });
  const near = emulator
    .transport({ identity: alice })
    .dial(bob.hubId)
    .then((connection) => createSession(connection, { epoch: epochOf(1), clock, handler: noStreams }));
  await clock.advance(1000);
  const session = await near;
  const probes = [session, await far.promise].map(({ paths }) => paths[0]!.ping({ bytes: 16_374 }));
  await clock.advance(1000);
  await Promise.all(probes);
  return {
    clock,
    session,
    emulator,
    get read() {
      return read;
    },
    get sent() {
      return sent;
    },
    readEvery(ms: number) {
      restMs = ms;
    },
    /** Sends without end, each message when the one before has left. */
    saturate(priority: Priority, bytes = 64 * 1024) {
      const stream = session.open(sink, { priority });
      const keepOn = async () => {
        for (;;) {
          await stream.send(new Uint8Array(bytes));
          sent += bytes;
        }
      };
      void keepOn().catch(() => {});
      return stream;
    },
    /** One small call each 50 ms for a while; sorted latencies, ms. */
    async latencies(forMs: number, priority: Priority = "call"): Promise<number[]> {
      const taken: number[] = [];
      const ended: Promise<void>[] = [];
      for (let atMs = 0; atMs < forMs; atMs += 50) {
        const startMs = clock.monotonicMs();
        const stream = session.open(echo, { priority });
        void stream.send(new Uint8Array(256), { end: true });
        ended.push(stream.receive().then(() => void taken.push(clock.monotonicMs() - startMs)));
        await clock.advance(50);
      }
      await clock.advance(2000);
      await Promise.all(ended);
      return taken.sort((a, b) => a - b);
    },
  };
}

function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.ceil(sorted.length * share) - 1]!;
}

describe("a saturated link", () => {
  it.each([
    ["20 Mbit/s LAN", { rate: 20 * mbit, latencyMs: 0.3 }, "bulk", 60],
    ["20 Mbit/s relay", { rate: 20 * mbit, latencyMs: 20, jitterMs: 5 }, "bulk", 110],
    ["5 Mbit/s relay", { rate: 5 * mbit, latencyMs: 20 }, "bulk", 150],
    ["20 Mbit/s LAN", { rate: 20 * mbit, latencyMs: 0.3 }, "event", 60],
    ["20 Mbit/s LAN", { rate: 20 * mbit, latencyMs: 0.3 }, "call", 110],
  ] as const)(
    "%s %o: %s uses it, and 99 of 100 calls take at most so many ms",
    async (_, conditions, priority, mostMs) => {
      const link = await linked(conditions);
      link.saturate(priority);
      await link.clock.advance(3000);
      const before = link.read;
      const startMs = link.clock.monotonicMs();
      const latencies = await link.latencies(6000);
      const rate = ((link.read - before) * 1000) / (link.clock.monotonicMs() - startMs);
      expect(rate).toBeGreaterThan(0.9 * conditions.rate);
      expect(percentile(latencies, 0.99)).toBeLessThanOrEqual(mostMs);
      link.session.close();
    },
  );

  it.each([
    ["5 Mbit/s", 5, 8, 1000, 150],
    ["20 Mbit/s", 20, 2, 3000, 110],
    ["20 Mbit/s", 20, 60, 200, 110],
  ] as const)(
    "%s: small messages fill it no further than large ones, however few share a transport message",
    async (_, mbits, streams, bytes, mostMs) => {
      const link = await linked({ rate: mbits * mbit, latencyMs: 20, bufferBytes: 4 * 1024 * 1024 });
      for (let i = 0; i < streams; i++) link.saturate("bulk", bytes);
      await link.clock.advance(3000);
      const before = link.read;
      const startMs = link.clock.monotonicMs();
      const latencies = await link.latencies(6000);
      const rate = ((link.read - before) * 1000) / (link.clock.monotonicMs() - startMs);
      expect(rate).toBeGreaterThan(0.85 * mbits * mbit);
      expect(percentile(latencies, 0.99)).toBeLessThanOrEqual(mostMs);
      link.session.close();
    },
  );

  it("a lone chunk is acknowledged at once: its round trip is that of the path", async () => {
    const link = await linked({ rate: 1000 * mbit, latencyMs: 0.3 });
    const stream = link.session.open(sink, { priority: "bulk" });
    await link.clock.advance(1000);
    const { resend } = link.session as unknown as LiveSession;
    await stream.send(new Uint8Array(CUT_FRAME_BYTES - HEADER_BYTES));
    await link.clock.advance(0);
    expect(resend.empty).toBe(false);
    await link.clock.advance(2);
    expect(resend.empty).toBe(true);
    link.session.close();
  });

  it("does not let waiting creep up while it lasts", async () => {
    const link = await linked({ rate: 20 * mbit, latencyMs: 5 });
    link.saturate("bulk");
    await link.clock.advance(45_000);
    expect(percentile(await link.latencies(6000), 0.99)).toBeLessThanOrEqual(80);
    link.session.close();
  });

  it("of 100 Mbit/s and 50 ms is used to more than 80 % by one stream, whose windows have to grow for it", async () => {
    const link = await linked({ rate: 100 * mbit, latencyMs: 25, bufferBytes: 4 * 1024 * 1024 });
    link.saturate("bulk");
    await link.clock.advance(3000);
    const before = link.read;
    await link.clock.advance(5000);
    expect((link.read - before) / 5).toBeGreaterThan(0.8 * 100 * mbit);
    link.session.close();
  });
});

describe("classes", () => {
  it("take what there is in their order: control before call before event before bulk, which waits for all of them", async () => {
    const link = await linked({ rate: 20 * mbit, latencyMs: 1 });
    const order: Priority[] = ["bulk", "event", "call", "control"];
    let done: Priority[] = [];
    const streams = order.map((priority) => {
      const stream = link.session.open(sink, { priority });
      const sending = Array.from({ length: 32 }, () => stream.send(new Uint8Array(64 * 1024)));
      void Promise.all(sending).then(() => done.push(priority));
      return stream;
    });
    await link.clock.advance(20_000);
    expect(done).toEqual([...order].reverse());
    // Strict is strict: bulk gets nothing while a higher class fills the link, and all of it as soon as that ends.
    done = [];
    const before = link.read;
    link.saturate("call");
    await link.clock.advance(1000);
    void streams[0]!.send(new Uint8Array(64 * 1024)).then(
      () => done.push("bulk"),
      () => {},
    );
    await link.clock.advance(10_000);
    expect(done).toEqual([]);
    expect(link.read - before).toBeGreaterThan(10 * 0.9 * 20 * mbit);
    link.session.close();
  });

  it("below a call that uses little of the link, bulk goes on", async () => {
    const link = await linked({ rate: 20 * mbit, latencyMs: 1 });
    link.saturate("bulk");
    await link.clock.advance(2000);
    const before = link.read;
    const startMs = link.clock.monotonicMs();
    await Promise.all([link.latencies(5000), link.latencies(5000, "control")]);
    const rate = ((link.read - before) * 1000) / (link.clock.monotonicMs() - startMs);
    expect(rate).toBeGreaterThan(0.9 * 20 * mbit);
    link.session.close();
  });

  it("a control message overtakes everything that waits, whatever it is", async () => {
    const link = await linked({ rate: 5 * mbit, latencyMs: 1 });
    for (const priority of ["call", "event", "bulk"] as const) link.saturate(priority);
    await link.clock.advance(3000);
    expect((await link.latencies(3000, "control")).at(-1)).toBeLessThanOrEqual(250);
    link.session.close();
  });
});

describe("a slow reader", () => {
  it.each([250, 1_000_000])(
    "that rests for %i ms each time keeps its window small, however fast the link",
    async (restMs) => {
      const link = await linked({ rate: 100 * mbit, latencyMs: 25, bufferBytes: 4 * 1024 * 1024 });
      link.readEvery(restMs);
      link.saturate("bulk");
      for (let i = 0; i < 20; i++) {
        await link.clock.advance(1000);
        expect(link.sent - link.read).toBeLessThanOrEqual((256 + 64) * 1024);
      }
      expect(link.read).toBeGreaterThanOrEqual(Math.floor(15_000 / restMs) * 64 * 1024);
      link.session.close();
    },
  );
});

describe("the window", () => {
  /** Fills it again and again; each message takes `tookMs(bytes under way)`. */
  async function run(
    rounds: number,
    tookMs: (underWay: number) => number,
    window: FlightWindow,
    clock = createVirtualClock(),
  ) {
    for (let i = 1; i <= rounds; i++) {
      window.admits(3, Number.MAX_SAFE_INTEGER);
      window.cut(20_000, i, window.bytes);
      await clock.advance(tookMs(window.bytes));
      window.acknowledged(i, undefined);
    }
    return window.bytes;
  }

  it("doubles at most, halves at most, and stays within its bounds", async () => {
    const clock = createVirtualClock();
    const window = new FlightWindow(clock, 1024 * 1024);
    expect(window.bytes).toBe(128 * 1024);
    await run(1, () => 1, window, clock);
    expect(window.bytes).toBe(256 * 1024);
    await run(5, () => 1, window, clock);
    expect(window.bytes).toBe(1024 * 1024);
    window.admits(3, Number.MAX_SAFE_INTEGER);
    window.cut(20_000, 100, 1024 * 1024);
    await clock.advance(5000);
    window.acknowledged(100, undefined);
    expect(window.bytes).toBe(512 * 1024);
  });

  it("does not move while nobody waits for it, and tells control from calls from the rest", () => {
    const window = new FlightWindow(createVirtualClock(), 1024 * 1024);
    for (let i = 1; i < 10; i++) {
      expect(window.admits(3, 128 * 1024 - 1)).toBe(true);
      window.cut(20_000, i, 100_000);
      window.acknowledged(i, undefined);
    }
    expect(window.bytes).toBe(128 * 1024);
    expect([0, 1, 2, 3].map((rank) => window.admits(rank, 128 * 1024))).toEqual([true, true, false, false]);
    expect([0, 1].map((rank) => window.admits(rank, 256 * 1024))).toEqual([true, false]);
  });

  it("learns nothing from an acknowledgement that its peer held back, and all that it needs from many small ones", async () => {
    const clock = createVirtualClock();
    const window = new FlightWindow(clock, 4 * 1024 * 1024);
    window.admits(3, Number.MAX_SAFE_INTEGER);
    window.cut(10_000, 1, 10_000);
    await clock.advance(250);
    window.acknowledged(1, undefined);
    expect(window.bytes).toBe(128 * 1024);
    for (let i = 2; i <= 9; i++) window.cut(2000, i, (i - 1) * 2000);
    await clock.advance(1);
    window.acknowledged(9, undefined);
    expect(window.bytes).toBe(256 * 1024);
  });

  it("begins anew on another path, and times nothing that the old one carried", async () => {
    const clock = createVirtualClock();
    const window = new FlightWindow(clock, 4 * 1024 * 1024);
    await run(8, () => 1, window, clock);
    window.cut(20_000, 9, 100_000);
    window.restart(9);
    expect(window.bytes).toBe(128 * 1024);
    window.acknowledged(9, undefined);
    window.cut(20_000, 9, 100_000);
    window.acknowledged(9, undefined);
    expect(window.bytes).toBe(128 * 1024);
  });
});
