import { randomBytes } from "@fed/core";
import { createTestClock } from "@fed/core/testing";
import { expect, test } from "vitest";
import { createHandshakeRates } from "../src/handshake-rates.js";

const route = () => randomBytes(16);

test("a route has a burst of 40 and then 20 a second, however hard it tries", async () => {
  const clock = createTestClock();
  const rates = createHandshakeRates(clock);
  const own = route();
  const ask = (count: number) => Array.from({ length: count }, () => rates.allows(own)).filter(Boolean).length;
  expect(ask(500)).toBe(40);
  let allowed = 0;
  for (let i = 0; i < 1_000; i++) {
    await clock.advance(10);
    allowed += ask(5);
  }
  expect(allowed).toBe(200);
});

test("all together have 100 a second, and who was quiet always finds room", async () => {
  const clock = createTestClock();
  const rates = createHandshakeRates(clock);
  // As many sockets as a relay gives a cluster, each asking far more than its share.
  const hostile = Array.from({ length: 127 }, route);
  const quiet = route();
  let allowed = 0;
  const refused: number[] = [];
  for (let ms = 0; ms < 20_000; ms += 20) {
    await clock.advance(20);
    for (const one of hostile) if (rates.allows(one)) allowed++;
    if (ms % 2_000 === 1_980 && !rates.allows(quiet)) refused.push(ms);
  }
  expect(refused).toEqual([]);
  expect(allowed).toBeGreaterThan(1_900);
  expect(allowed).toBeLessThan(2_201);
});

test("a relay that makes up a new source for each gets the overall rate, and no more", () => {
  const rates = createHandshakeRates(createTestClock());
  const flood = route();
  for (let i = 0; i < 40; i++) rates.allows(flood);
  let allowed = 0;
  for (let i = 0; i < 5_000; i++) if (rates.allows(route())) allowed++;
  expect(allowed).toBe(160);
  expect(rates.allows(flood)).toBe(false);
});

test("a route that goes on is not forgotten for the many that came since", async () => {
  const clock = createTestClock();
  const rates = createHandshakeRates(clock);
  const flood = route();
  for (let i = 0; i < 40; i++) rates.allows(flood);
  const made = { flood: 0, others: 0 };
  for (let i = 0; i < 2_400; i++) {
    await clock.advance(15);
    if (rates.allows(route())) made.others++;
    for (let again = 0; again < 5; again++) if (rates.allows(flood)) made.flood++;
  }
  // 36 s, in which more came than are remembered: had it been forgotten, it would have had another burst of 40.
  expect(made).toEqual({ flood: 720, others: 2_400 });
});
