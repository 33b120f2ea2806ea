/** Calls that wait for their agents' answers, and what ends the waiting. */
import { createTestClock, expectCode } from "@fed/core/testing";
import { expect, it } from "vitest";
import { heldMs } from "../src/apps/held-call.js";
import { HubError } from "../src/errors.js";
import { OpenExchanges } from "../src/operators/open-exchanges.js";
import type { Operator } from "../src/operators/operator.js";
import { WaitingCalls } from "../src/waiting-calls.js";

const ann: Operator = { principal: "ann@h", roles: [], scope: "ReadWrite", token: "tok_a" };
const gone = new HubError({ code: "UNAUTHENTICATED", message: "Revoked." });

function waiting() {
  const clock = createTestClock();
  const expired: number[] = [];
  const exchanges = new OpenExchanges(clock, (_operator, ended) => expired.push(ended));
  const calls = new WaitingCalls(exchanges, clock);
  const ended: string[] = [];
  const add = (state: string, operator = ann) =>
    calls.add(state, operator, ({ code }) => ended.push(`${state} ${code}`));
  return { clock, exchanges, calls, add, ended, expired };
}

it("end when their token is revoked or expires, though no exchange of its is open", async () => {
  const { clock, exchanges, calls, add, ended, expired } = waiting();
  add("1");
  add("2", { ...ann, token: "tok_b", expiresAtMs: clock.nowMs() + 1000 });
  add("3", { ...ann, token: "tok_c" });
  exchanges.end(({ token }) => token === "tok_a", gone);
  await clock.advance(1000);
  expect(ended).toEqual(["1 UNAUTHENTICATED", "2 UNAUTHENTICATED"]);
  expect(expired).toEqual([1]);
  expect(["1", "2", "3"].map((state) => calls.has(state, ann.principal))).toEqual([false, false, true]);
});

it("end with no token once they are gone on with, or after ten minutes", async () => {
  const { clock, exchanges, calls, add, ended } = waiting();
  add("1");
  add("2");
  calls.delete("1", "bob@h");
  expect(calls.has("1", ann.principal)).toBe(true);
  calls.delete("1", ann.principal);
  await clock.advance(heldMs);
  expect(calls.has("2", ann.principal)).toBe(false);
  exchanges.end(() => true, gone);
  expect(ended).toEqual([]);
});

it("are 256 of an operator's at most", async () => {
  const { calls, add } = waiting();
  for (let i = 0; i < 256; i++) add(`${i}`);
  await expectCode(() => add("more"), "BUSY");
  add("bob's", { ...ann, principal: "bob@h" });
  calls.delete("0", ann.principal);
  add("more");
  calls.close();
  expect(calls.has("more", ann.principal)).toBe(false);
});
