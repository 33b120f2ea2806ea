/** Nothing is left of an app that is restarted over and over. */
import { memoryUsage } from "node:process";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { type Clock, systemClock } from "@fed/core";
import { expect, it } from "vitest";
import { descendants, openFiles, openHost, tinyApp, withFault } from "./host.js";

const restarts = 1_000;
const mib = 1024 * 1024;

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

/** The machine's clock, and how many of its timers wait. */
function countingClock(): Clock & { waiting(): number } {
  let waiting = 0;
  return {
    ...systemClock,
    waiting: () => waiting,
    setTimer(delayMs, callback) {
      let done = false;
      const end = () => {
        if (!done) waiting--;
        done = true;
      };
      waiting++;
      const timer = systemClock.setTimer(delayMs, () => {
        end();
        callback();
      });
      return {
        cancel() {
          end();
          timer.cancel();
        },
      };
    },
  };
}

function used(clock: { waiting(): number }) {
  return {
    timers: clock.waiting(),
    processes: process.getActiveResourcesInfo().filter((kind) => kind === "ProcessWrap").length,
    listeners: process.eventNames().reduce((sum, name) => sum + process.listenerCount(name), 0),
    files: openFiles(),
  };
}

it(`leaves no process, file, timer, listener or memory behind, ${restarts} times`, { timeout: 120_000 }, async () => {
  const clock = countingClock();
  await using apps = await openHost({ tiny: { ...tinyApp, idleStopMs: 60_000 } }, { clock });
  const pids = new Set<string>();
  const round = async () => {
    pids.add(await apps.call("tiny", "pid"));
    await apps.host.restart("tiny");
  };
  const heapBytes = () => {
    collectGarbage();
    return memoryUsage().heapUsed;
  };
  for (let i = 0; i < 50; i++) await round();
  await apps.host.stop("tiny");
  // The handle of a process that is gone goes with the next turns of the loop.
  await expect.poll(() => used(clock).processes).toBe(0);
  const before = used(clock);
  const heapAt: number[] = [];
  for (const half of [1, 2]) {
    await apps.host.launch("tiny");
    for (let i = 0; i < restarts / 2; i++) await round();
    await apps.host.stop("tiny");
    expect(pids.size).toBe((half * restarts) / 2 + 50);
    heapAt.push(heapBytes());
  }
  expect(descendants()).toEqual([]);
  await expect.poll(() => used(clock)).toEqual(before);
  // 2 KiB per restart, and no more; in the first half code is compiled, which is kept once.
  expect(heapAt[1]! - heapAt[0]!).toBeLessThan(mib);
});

it("leaves nothing behind of crashes, failed starts and cancelled starts either", { timeout: 60_000 }, async () => {
  const clock = countingClock();
  const gone = { command: "/no/such/program" };
  await using apps = await openHost({ bad: withFault("none"), gone, hung: withFault("hang") }, { clock });
  const round = async () => {
    await apps.host.launch("bad");
    await Promise.allSettled([apps.call("bad", "crash"), apps.host.launch("gone")]);
    const launch = apps.host.launch("hung").catch(() => {});
    await apps.host.stop("hung");
    await Promise.all([launch, apps.host.stop("bad")]);
  };
  await round();
  // The handle of a process that is gone goes with the next turns of the loop.
  await expect.poll(() => used(clock).processes).toBe(0);
  const before = used(clock);
  for (let i = 0; i < 10; i++) await round();
  expect(descendants()).toEqual([]);
  await expect.poll(() => used(clock)).toEqual(before);
});
