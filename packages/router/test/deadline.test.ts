import { memoryUsage } from "node:process";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { CoreError } from "@fed/core";
import { createTestClock, expectCode } from "@fed/core/testing";
import { expect, it } from "vitest";
import { createDeadline } from "../src/deadline.js";

const never = new Promise<never>(() => {});

it("lets work through that ends first, and its failure", async () => {
  const deadline = createDeadline(createTestClock(), 1000, undefined);
  expect(await deadline.during(Promise.resolve(1))).toBe(1);
  expect(await deadline.during(2)).toBe(2);
  const failure = new CoreError({ code: "UNREACHABLE", message: "No." });
  await expectCode(deadline.during(Promise.reject(failure)), "UNREACHABLE");
  deadline.done();
});

it("rejects all that goes on when the time is over, it is cancelled or the outer signal aborts, and all that comes later", async () => {
  const clock = createTestClock();
  const late = createDeadline(clock, 1000, undefined);
  const waiting = [late.during(never), late.during(never)].map((work) => expectCode(work, "DEADLINE_EXCEEDED"));
  await clock.advance(1000);
  await Promise.all([...waiting, expectCode(late.during(never), "DEADLINE_EXCEEDED")]);

  const cancelled = createDeadline(clock, 1000, undefined);
  const work = expectCode(cancelled.during(never), "UNREACHABLE");
  cancelled.cancel(new CoreError({ code: "UNREACHABLE", message: "No." }));
  await work;

  const outer = new AbortController();
  const inner = createDeadline(clock, Number.POSITIVE_INFINITY, outer.signal);
  const under = expectCode(inner.during(never), "ABORTED");
  outer.abort();
  await under;
});

it("holds nothing of what it has waited for", async () => {
  setFlagsFromString("--expose-gc");
  const collectGarbage = runInNewContext("gc") as () => void;
  const deadline = createDeadline(createTestClock(), Number.POSITIVE_INFINITY, undefined);
  const heldBytes = () => {
    collectGarbage();
    return memoryUsage().arrayBuffers;
  };
  const before = heldBytes();
  for (let i = 0; i < 1000; i++) await deadline.during(Promise.resolve(new Uint8Array(64 * 1024)));
  // What the collector frees is counted a little later.
  await expect.poll(() => heldBytes() - before).toBeLessThan(4 * 1024 * 1024);
  deadline.cancel(new CoreError({ code: "ABORTED", message: "Enough." }));
});
