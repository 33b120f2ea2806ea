import { equalBytes, type Stream } from "@fed/core";
import { expectCode } from "@fed/core/testing";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ReceiveCredit, SendCredit } from "../src/credit.js";
import { sessionPair } from "./fixture.js";

describe("credit", () => {
  it("is never negative, never lost and never more than the window", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1000, max: 9000 }),
        fc.array(fc.tuple(fc.boolean(), fc.integer({ min: 1, max: 3000 })), { maxLength: 100 }),
        async (window, steps) => {
          const sender = new SendCredit(window);
          const receiver = new ReceiveCredit(window);
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
          await expectCode(() => sender.grant(sender.outstanding + 1), "PROTOCOL_ERROR");
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
