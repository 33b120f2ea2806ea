import { createMemoryStore } from "@fed/core/memory";
import { createTestClock } from "@fed/core/testing";
import { describe, expect, it } from "vitest";
import { createSessionRecords } from "../src/surface/session-records.js";

const dayMs = 24 * 60 * 60_000;

describe("records of sessions", () => {
  it("hold what was set until the session is ended, and then that", async () => {
    const records = createSessionRecords(createMemoryStore(), createTestClock(), 30 * dayMs);
    expect(await records.read("a")).toEqual({ logLevel: undefined, subscriptions: [] });
    const settings = {
      logLevel: "debug",
      subscriptions: Array.from({ length: 256 }, (_, i) => `${i}${"\0".repeat(2040)}`),
    };
    await records.write("a", settings);
    expect(await records.read("a")).toEqual(settings);
    await records.end("a");
    expect(await records.read("a")).toBeUndefined();
    expect(await records.read("b")).toBeDefined();
  });

  it("are forgotten when no session can be as old, and 8192 in all", async () => {
    const store = createMemoryStore();
    const clock = createTestClock();
    const records = createSessionRecords(store, clock, 30 * dayMs);
    for (let i = 0; i < 1024; i++) await records.end(`old-${i}`);
    await clock.advance(30 * dayMs);
    await records.end("new");
    await expect.poll(async () => (await store.list(["session"])).length).toBe(1);
    expect(await records.read("new")).toBeUndefined();
    for (let i = 0; i < 12 * 1024; i++) await records.end(`many-${i}`);
    await expect.poll(async () => (await store.list(["session"])).length).toBeLessThanOrEqual(8192 + 1024);
    expect(await records.read(`many-${12 * 1024 - 1}`)).toBeUndefined();
  }, 20_000);
});
