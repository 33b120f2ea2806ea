import { isFedError } from "@fed/core";
import { expectCode } from "@fed/core/testing";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createReplayGuard } from "../src/index.js";

const startMs = 1_800_000_000_000;

describe("replay guard", () => {
  it("lets a proof pass once, whatever its second expiry", async () => {
    const guard = createReplayGuard();
    guard.admit("alpha", "1", startMs + 60_000, startMs);
    await expectCode(() => guard.admit("alpha", "1", startMs + 60_000, startMs), "REPLAYED");
    await expectCode(() => guard.admit("alpha", "1", startMs + 20_000, startMs + 1), "REPLAYED");
    await expectCode(() => guard.admit("alpha", "1", startMs + 60_000, startMs + 59_999), "REPLAYED");
  });

  it("keeps issuers apart", () => {
    const guard = createReplayGuard();
    guard.admit("alpha", "1", startMs + 60_000, startMs);
    guard.admit("bravo", "1", startMs + 60_000, startMs);
    expect(guard.size).toBe(2);
  });

  it("forgets what has expired", () => {
    const guard = createReplayGuard({ perPeerLimit: 2, peerLimit: 1 });
    guard.admit("alpha", "1", startMs + 15_000, startMs);
    guard.admit("alpha", "2", startMs + 65_000, startMs);
    guard.admit("alpha", "3", startMs + 90_000, startMs + 30_000);
    expect(guard.size).toBe(2);
    guard.admit("bravo", "1", startMs + 200_000, startMs + 140_000);
    expect(guard.size).toBe(1);
  });

  it("refuses an issuer that is over its limit, and nobody else; nothing is forgotten for it", async () => {
    const guard = createReplayGuard({ perPeerLimit: 2 });
    guard.admit("alpha", "1", startMs + 60_000, startMs);
    guard.admit("alpha", "2", startMs + 60_000, startMs);
    await expectCode(() => guard.admit("alpha", "3", startMs + 60_000, startMs), "REPLAY_GUARD_FULL");
    await expectCode(() => guard.admit("alpha", "1", startMs + 60_000, startMs), "REPLAYED");
    guard.admit("bravo", "1", startMs + 60_000, startMs);
  });

  it("bounds the number of issuers", async () => {
    const guard = createReplayGuard({ peerLimit: 1 });
    guard.admit("alpha", "1", startMs + 60_000, startMs);
    await expectCode(() => guard.admit("bravo", "1", startMs + 60_000, startMs), "REPLAY_GUARD_FULL");
    expect(guard.size).toBe(1);
  });

  it("does not take a forgotten proof again when the clock is set back", async () => {
    const guard = createReplayGuard();
    guard.admit("alpha", "1", startMs + 60_000, startMs);
    guard.admit("alpha", "2", startMs + 3_660_000, startMs + 3_600_000);
    expect(guard.size).toBe(1);
    await expectCode(() => guard.admit("alpha", "1", startMs + 60_000, startMs + 1), "ENVELOPE_EXPIRED");
    // Proofs that expire after all that was forgotten pass at once: a wrong clock costs a minute, not the hour it was off.
    guard.admit("alpha", "3", startMs + 75_000, startMs + 15_000);
  });

  it("never admits anything twice, and refuses nothing fresh while the clock goes forward", () => {
    const step = fc.record({
      issuer: fc.constantFrom("alpha", "bravo"),
      jti: fc.integer({ min: 0, max: 20 }).map(String),
      lifetimeMs: fc.integer({ min: 1, max: 65_000 }),
      moveMs: fc.oneof(
        { weight: 9, arbitrary: fc.integer({ min: 0, max: 30_000 }) },
        { weight: 1, arbitrary: fc.integer({ min: -90_000, max: 200_000 }) },
      ),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        const guard = createReplayGuard();
        const lastValidMs = new Map<string, number>();
        let atMs = startMs;
        let latestMs = startMs;
        let wentBack = false;
        for (const { issuer, jti, lifetimeMs, moveMs } of steps) {
          atMs += moveMs;
          wentBack ||= atMs < latestMs;
          latestMs = Math.max(latestMs, atMs);
          const key = `${issuer}/${jti}`;
          const untilMs = lastValidMs.get(key);
          let code: string | undefined;
          try {
            guard.admit(issuer, jti, atMs + lifetimeMs, atMs);
          } catch (error) {
            if (!isFedError(error)) throw error;
            code = error.code;
          }
          if (untilMs !== undefined && latestMs < untilMs) expect(code).toBeDefined();
          // Expiries are grouped by ten seconds, so a proof may be remembered that much longer.
          if (!wentBack && (untilMs === undefined || atMs >= untilMs + 10_000)) expect(code).toBeUndefined();
          if (code === undefined) lastValidMs.set(key, atMs + lifetimeMs);
        }
      }),
      { numRuns: 200 },
    );
  });

  it("never admits the same proof twice, wherever the clock jumps", () => {
    const jump = fc.integer({ min: -200_000, max: 200_000 });
    fc.assert(
      fc.property(
        fc.array(jump, { maxLength: 60 }),
        fc.array(jump, { minLength: 1, maxLength: 5 }),
        (jumps, expiries) => {
          const guard = createReplayGuard();
          const admitted = new Set<number>();
          let atMs = startMs;
          for (const move of jumps) {
            atMs += move;
            for (const [index, offset] of expiries.entries()) {
              const expiresAtMs = startMs + offset;
              if (expiresAtMs <= atMs) continue;
              try {
                guard.admit("alpha", String(index), expiresAtMs, atMs);
                expect(admitted.has(index)).toBe(false);
                admitted.add(index);
              } catch (error) {
                if (!isFedError(error)) throw error;
              }
            }
          }
        },
      ),
      { numRuns: 200 },
    );
  });
});
