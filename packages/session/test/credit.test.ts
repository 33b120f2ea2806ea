import { equalBytes, type Stream } from "@fed/core";
import { createTestClock, expectCode } from "@fed/core/testing";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type CreditTuning, ReceiveCredit, SendCredit } from "../src/credit.js";
import { sessionPair } from "./fixture.js";

/** A window that does not grow. */
function steady(bytes: number): CreditTuning {
  return { windowBytes: bytes, maxWindowBytes: bytes, clock: createTestClock(), rttMs: () => undefined };
}

describe("a window", () => {
  /** Reads all that the peer may send, `times` times, each `everyMs` apart, and returns what it may send at last. */
  async function read(everyMs: number, times: number, rttMs: number | undefined): Promise<number> {
    const clock = createTestClock();
    const credit = new ReceiveCredit({
      windowBytes: 256 * 1024,
      maxWindowBytes: 4 * 1024 * 1024,
      clock,
      rttMs: () => rttMs,
    });
    for (let i = 0; i < times; i++) {
      const bytes = credit.allowed;
      credit.receive(bytes);
      await clock.advance(everyMs);
      credit.consume(bytes);
    }
    return credit.allowed;
  }

  it("grows to its bound where a reader waits for the round trip, and not where the sender waits for the reader", async () => {
    expect(await read(150, 10, 100)).toBe(4 * 1024 * 1024);
    expect(await read(250, 10, 100)).toBe(256 * 1024);
    expect(await read(1, 10, undefined)).toBe(256 * 1024);
    expect(await read(150, 3, 100)).toBe(1024 * 1024);
  });

  it("that has grown lets more than the first window pass unread, and never more than the peer's bound", async () => {
    const clock = createTestClock();
    const met = Promise.withResolvers<Stream>();
    const pair = sessionPair({ clock, sessionClock: clock, latencyMs: 50, responder: { stream: met.resolve } });
    await clock.advance(300);
    const [near, far] = await pair;
    const stream = near.open(new Uint8Array(0), { priority: "bulk" });
    const ping = far.ping();
    await clock.advance(100);
    expect(await ping).toBe(100);
    const there = await met.promise;
    const sizes = 64 * 1024;
    let sent = 0;
    const sending = Array.from({ length: 400 }, () =>
      stream.send(new Uint8Array(sizes)).then(
        () => sent++,
        () => {},
      ),
    );
    const reading = (async () => {
      for (let i = 0; i < 200; i++) await there.receive();
    })();
    for (let i = 0; i < 200; i++) await clock.advance(50);
    await reading;
    for (let i = 0; i < 40; i++) await clock.advance(50);
    const unread = (sent - 200) * sizes;
    // The medium takes 512 KiB in a round trip, so the window need not grow far beyond that.
    expect(unread).toBeGreaterThan(512 * 1024);
    expect(unread).toBeLessThanOrEqual(4 * 1024 * 1024 + sizes);
    near.close();
    await Promise.all(sending);
  });
});

describe("credit", () => {
  it("is never negative, never lost and never more than the window", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1000, max: 9000 }),
        fc.array(fc.tuple(fc.boolean(), fc.integer({ min: 1, max: 3000 })), { maxLength: 100 }),
        async (window, steps) => {
          const sender = new SendCredit(window);
          const receiver = new ReceiveCredit(steady(window));
          let unread = 0;
          let withheld = 0;
          for (const [isSend, wanted] of steps) {
            if (isSend) {
              const bytes = Math.min(wanted, sender.available);
              sender.spend(bytes);
              receiver.receive(bytes);
              unread += bytes;
            } else {
              const bytes = Math.min(wanted, unread);
              unread -= bytes;
              const grant = receiver.consume(bytes);
              withheld = grant > 0 ? 0 : withheld + bytes;
              if (grant > 0) sender.grant(grant);
              expect(withheld).toBeLessThan(Math.max(1024, receiver.allowed));
            }
            expect(sender.available).toBeGreaterThanOrEqual(0);
            expect(sender.available + unread + withheld).toBe(window);
          }
          await expectCode(() => sender.grant(2 ** 31 - sender.available), "PROTOCOL_ERROR");
          await expectCode(() => receiver.receive(sender.available + 1), "PROTOCOL_ERROR");
        },
      ),
      { numRuns: 100 },
    );
  });

  it("lets any mix of streams and messages through small windows, every byte in order", async () => {
    const message = fc.integer({ min: 0, max: 60_000 });
    const streams = fc.array(fc.array(message, { minLength: 1, maxLength: 6 }), { minLength: 1, maxLength: 8 });
    const priorities = ["control", "call", "event", "bulk"] as const;
    await fc.assert(
      fc.asyncProperty(streams, fc.integer({ min: 65_546, max: 200_000 }), async (plan, maxMessageBytes) => {
        const [near] = await sessionPair({
          maxMessageBytes,
          responder: { stream: (stream) => void echo(stream) },
          limits: { streamCreditBytes: 16 * 1024, sessionCreditBytes: 24 * 1024, maxAssemblyBytes: 40_000 },
        });
        await Promise.all(
          plan.map(async (sizes, number) => {
            const stream = near.open(new Uint8Array(0), { priority: priorities[number % 4]! });
            const sending = Promise.all(sizes.map((size, i) => stream.send(bytesOf(size, number + i)))).then(() =>
              stream.end(),
            );
            for (const [i, size] of sizes.entries()) {
              const back = await stream.receive();
              expect(back !== undefined && equalBytes(back, bytesOf(size, number + i))).toBe(true);
            }
            expect(await stream.receive()).toBeUndefined();
            await sending;
          }),
        );
        near.close();
        expect(await near.closed).toBeUndefined();
      }),
      { numRuns: 40 },
    );
  });

  it("comes back for what was reset or never read", async () => {
    const [near] = await sessionPair({
      responder: {
        stream(stream) {
          if (stream.id % 4 === 1) stream.end();
          else void stream.send(new Uint8Array(1), { end: true });
        },
      },
    });
    for (let i = 0; i < 100; i++) {
      const stream = near.open(new Uint8Array(0));
      await stream.send(new Uint8Array(40_000), { end: true });
      expect(await stream.closed).toBeUndefined();
    }
  });
});

async function echo(stream: Stream): Promise<void> {
  for (let message = await stream.receive(); message; message = await stream.receive()) await stream.send(message);
  stream.end();
}

function bytesOf(size: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(size);
  for (let i = 0; i < size; i++) bytes[i] = (i * 31 + seed * 7 + (i >> 8)) & 255;
  return bytes;
}
