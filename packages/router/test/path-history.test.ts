import { expect, it } from "vitest";
import { type PathEvent, PathHistory } from "../src/path-history.js";

/** The history of events a second apart. */
function historyOf(...events: readonly `${string} ${PathEvent["event"]}`[]): PathHistory {
  const history = new PathHistory();
  for (const [i, text] of events.entries()) {
    const [transport, event] = text.split(" ") as [string, PathEvent["event"]];
    history.add({ atMs: i * 1000, transport, event, why: "" });
  }
  return history;
}

it("counts each failure of a transport once, and none before a minute of calm", () => {
  const once = historyOf("lan confirmed", "lan suspect", "relay chosen", "lan lost", "lan confirmed");
  expect(once.failures("lan", 5_000)).toBe(1);
  expect(once.failures("relay", 5_000)).toBe(0);
  expect(once.failures("lan", 70_000)).toBe(0);
  expect(historyOf("lan suspect", "lan recovered", "lan suspect", "lan recovered").failures("lan", 4_000)).toBe(2);
  expect(historyOf("lan lost", "lan confirmed", "lan lost", "lan confirmed").failures("lan", 4_000)).toBe(2);
  expect(historyOf("lan suspect", "lan recovered", "lan lost").failures("lan", 4_000)).toBe(2);
});

it("keeps the last sixteen", () => {
  const history = historyOf(...Array.from({ length: 40 }, () => "lan suspect" as const));
  expect(history.events.map(({ atMs }) => atMs / 1000)).toEqual(Array.from({ length: 16 }, (_, i) => 24 + i));
});
