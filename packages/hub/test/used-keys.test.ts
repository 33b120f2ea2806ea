import { createMemoryStore } from "@fed/core/memory";
import { createTestClock, expectCode } from "@fed/core/testing";
import { describe, expect, it } from "vitest";
import { openUsedKeys } from "../src/state/used-keys.js";

const keyOf = (name: string) => ({
  operator: "ann@h",
  homeHub: "h",
  name: `app\n${name}`,
  digest: new Uint8Array(32).fill(7),
});

describe("used idempotency keys", () => {
  it("outlive the process; those given up, and those too old, do not", async () => {
    const store = createMemoryStore();
    const clock = createTestClock();
    const keys = await openUsedKeys(store, clock);
    for (const name of ["old", "kept", "removed", "again"]) await keys.add(keyOf(name));
    await clock.advance(70 * 60_000 - 1);
    for (const name of ["kept", "removed", "again"]) await keys.add(keyOf(name));
    keys.remove(keyOf("removed"));
    keys.remove(keyOf("again"));
    await keys.add(keyOf("again"));
    await expect.poll(async () => (await store.list(["used-key"])).length).toBe(3);
    await clock.advance(1);
    const later = await openUsedKeys(store, clock);
    expect(
      later
        .known()
        .map(({ name }) => name)
        .sort(),
    ).toEqual(["app\nagain", "app\nkept"]);
    expect(later.known()).toContainEqual(keyOf("kept"));
    await expect.poll(async () => (await store.list(["used-key"])).length).toBe(2);
  });

  it("refuse the call when they cannot be written down", async () => {
    const store = createMemoryStore();
    const keys = await openUsedKeys(store, createTestClock());
    await store.close();
    await expectCode(keys.add(keyOf("k")), "STORE_CLOSED");
    keys.remove(keyOf("k"));
  });
});
