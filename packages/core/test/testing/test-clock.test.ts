import { createTestClock, expectCode } from "@fed/core/testing";
import { describe, expect, it } from "vitest";
import { CoreError } from "../../src/index.js";

describe("createTestClock", () => {
  it("fires timers in order of time, then of setting", async () => {
    const clock = createTestClock(1000);
    const fired: string[] = [];
    clock.setTimer(20, () => fired.push(`c@${clock.monotonicMs()}`));
    clock.setTimer(10, () => fired.push(`a@${clock.nowMs()}`));
    clock.setTimer(10, () => fired.push("b"));
    clock.setTimer(31, () => fired.push("late"));
    await clock.advance(30);
    expect(fired).toEqual(["a@1010", "b", "c@20"]);
    expect(clock.nowMs()).toBe(1030);
    expect(clock.monotonicMs()).toBe(30);
  });

  it("fires timers that were set on the way, also behind awaits", async () => {
    const clock = createTestClock();
    const fired: number[] = [];
    clock.setTimer(5, () => {
      void (async () => {
        for (let i = 0; i < 50; i++) await undefined;
        clock.setTimer(5, () => fired.push(clock.monotonicMs()));
      })();
    });
    await clock.advance(10);
    expect(fired).toEqual([10]);
  });

  it("does not fire what was cancelled, and fires nothing by itself", async () => {
    const clock = createTestClock();
    let fired = 0;
    const timer = clock.setTimer(1, () => fired++);
    clock.setTimer(0, () => fired++);
    timer.cancel();
    timer.cancel();
    await clock.advance(0);
    expect(fired).toBe(1);
    await clock.advance(1000);
    expect(fired).toBe(1);
  });
});

describe("expectCode", () => {
  const error = new CoreError({ code: "CLOSED", message: "It is closed." });

  it("takes promises, async functions and functions that throw", async () => {
    expect(await expectCode(Promise.reject(error), "CLOSED")).toBe(error);
    expect(await expectCode(async () => Promise.reject(error), "CLOSED")).toBe(error);
    const throws = () => {
      throw error;
    };
    expect(await expectCode(throws, "CLOSED")).toBe(error);
  });

  it("fails on another code, on no error and on an error without a code", async () => {
    await expect(expectCode(Promise.reject(error), "ABORTED")).rejects.toThrow();
    await expect(expectCode(Promise.resolve(1), "CLOSED")).rejects.toThrow();
    await expect(expectCode(Promise.reject(new TypeError("no")), "CLOSED")).rejects.toThrow();
  });
});
