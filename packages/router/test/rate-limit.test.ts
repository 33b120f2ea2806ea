import { createTestClock } from "@fed/core/testing";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { RateLimit, type RouterError } from "../src/index.js";

/** How many of `tries` pass, and what the first refusal says. */
function take(limit: RateLimit, key: string, tries: number): { passed: number; retryAfterMs?: number } {
  let passed = 0;
  let retryAfterMs: number | undefined;
  for (let i = 0; i < tries; i++) {
    try {
      limit.take(key);
      passed++;
    } catch (error) {
      const { code, retryable, details } = error as RouterError;
      expect({ code, retryable }).toEqual({ code: "RATE_LIMITED", retryable: true });
      retryAfterMs ??= details?.retryAfterMs as number;
    }
  }
  return { passed, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) };
}

describe("a rate limit", () => {
  it("lets a burst pass, then the sustained rate, and says when to come back", async () => {
    const clock = createTestClock();
    const limit = new RateLimit({ perSecond: 10, burst: 5 }, clock);
    expect(take(limit, "a", 8)).toEqual({ passed: 5, retryAfterMs: 100 });
    await clock.advance(100);
    expect(take(limit, "a", 3)).toEqual({ passed: 1, retryAfterMs: 100 });
    await clock.advance(60);
    expect(take(limit, "a", 1)).toEqual({ passed: 0, retryAfterMs: 40 });
    await clock.advance(60_000);
    expect(take(limit, "a", 8)).toEqual({ passed: 5, retryAfterMs: 100 });
  });

  it("counts each key by itself, and a refusal costs nothing", async () => {
    const clock = createTestClock();
    const limit = new RateLimit({ perSecond: 10, burst: 5 }, clock);
    expect(take(limit, "a", 1000).passed).toBe(5);
    expect(take(limit, "b", 5).passed).toBe(5);
    await clock.advance(500);
    expect(take(limit, "a", 1000).passed).toBe(5);
  });

  it("remembers 4096 keys, those that were used last", async () => {
    const clock = createTestClock();
    const limit = new RateLimit({ perSecond: 1, burst: 2 }, clock);
    take(limit, "busy", 2);
    await clock.advance(1000);
    for (let i = 0; i < 4000; i++) limit.take(`once-${i}`);
    await clock.advance(500);
    for (let i = 0; i < 100; i++) limit.take(`later-${i}`);
    expect(take(limit, "later-0", 2).passed).toBe(1);
    expect(take(limit, "busy", 2).passed).toBe(2);
  });

  it("never lets more pass than burst and rate allow, nor less", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 5000 }),
        fc.integer({ min: 1, max: 50 }),
        fc.array(fc.tuple(fc.nat(300), fc.nat(40)), { maxLength: 30 }),
        async (perSecond, burst, steps) => {
          const clock = createTestClock();
          const limit = new RateLimit({ perSecond, burst }, clock);
          let tokens = burst;
          for (const [ms, tries] of steps) {
            await clock.advance(ms);
            tokens = Math.min(burst, tokens + (ms * perSecond) / 1000);
            const { passed } = take(limit, "a", tries);
            expect(passed).toBeLessThanOrEqual(tokens + 1e-3);
            expect(passed).toBeGreaterThanOrEqual(Math.min(tries, Math.floor(tokens - 1e-3)));
            tokens -= passed;
          }
        },
      ),
    );
  });
});
