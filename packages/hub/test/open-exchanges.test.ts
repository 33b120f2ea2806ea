/** What an agent has under way ends with its token: revoked, expired, or of an operator who was cut off. */
import { createTestClock, type TestClock } from "@fed/core/testing";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Hub, HubError, type IssuedToken } from "../src/index.js";
import { OpenExchanges } from "../src/operators/open-exchanges.js";
import type { Operator } from "../src/operators/operator.js";
import { LegacyAgent, messagesOf, modern, type RawMessage } from "./eras/raw-agent.js";
import { type AppLog, TestFleet, testApp } from "./fleet.js";

const hourMs = 60 * 60_000;

describe("exchanges", () => {
  const ann: Operator = { principal: "ann@h", roles: [], scope: "ReadOnly", token: "tok_a" };
  const gone = new HubError({ code: "UNAUTHENTICATED", message: "Revoked." });

  function open(clock: TestClock = createTestClock()) {
    const expired: [string, number][] = [];
    const exchanges = new OpenExchanges(clock, ({ principal }, ended) => expired.push([principal, ended]));
    const ended: string[] = [];
    const begin = (operator: Operator, name: string) => {
      const standing = exchanges.begin(operator);
      standing.onEnd(({ code }) => ended.push(`${name} ${code}`));
      return standing;
    };
    return { clock, exchanges, begin, ended, expired };
  }

  it("end with their own token alone, and not once they are over", () => {
    const { exchanges, begin, ended } = open();
    begin(ann, "a1");
    begin(ann, "a2").close();
    begin({ ...ann, token: "tok_b" }, "b");
    exchanges.end(({ token }) => token === "tok_a", gone);
    exchanges.end(({ token }) => token === "tok_a", gone);
    expect(ended).toEqual(["a1 UNAUTHENTICATED"]);
  });

  it("end when their token expires, however late that is, and this is told once", async () => {
    const { clock, begin, ended, expired } = open();
    const short = { ...ann, token: "tok_s", expiresAtMs: clock.nowMs() + 40 * 24 * hourMs };
    begin(short, "s1");
    begin(ann, "lasting");
    await clock.advance(40 * 24 * hourMs - 1);
    begin(short, "s2");
    expect(ended).toEqual([]);
    await clock.advance(1);
    expect(ended).toEqual(["s1 UNAUTHENTICATED", "s2 UNAUTHENTICATED"]);
    expect(expired).toEqual([["ann@h", 2]]);
    begin(short, "late");
    expect(ended.at(-1)).toBe("late UNAUTHENTICATED");
  });

  it("that came with one access token end together, though each makes an operator of its own", async () => {
    const { clock, begin, ended, expired } = open();
    const { token: _, ...jwt } = { ...ann, principal: "oauth.bob@h", expiresAtMs: clock.nowMs() + hourMs };
    begin({ ...jwt }, "1");
    begin({ ...jwt }, "2");
    begin({ ...jwt, expiresAtMs: jwt.expiresAtMs + 1 }, "renewed");
    await clock.advance(hourMs);
    expect(ended).toEqual(["1 UNAUTHENTICATED", "2 UNAUTHENTICATED"]);
    expect(expired).toEqual([["oauth.bob@h", 2]]);
  });

  it("leave no timer behind", async () => {
    const { clock, begin, expired } = open();
    const short = { ...ann, expiresAtMs: clock.nowMs() + hourMs };
    const [first, second] = [begin(short, "1"), begin(short, "2")];
    first.close();
    second.close();
    await clock.advance(2 * hourMs);
    expect(expired).toEqual([]);
  });
});

/** The federation's code in an answer, whichever way the request is told. */
function codeOf({ result, error }: RawMessage): unknown {
  const { structuredContent } = (result ?? {}) as { structuredContent?: { error?: { code?: string } } };
  return error?.data?.code ?? structuredContent?.error?.code;
}

describe("a token that ends", () => {
  let clock: TestClock;
  let fleet: TestFleet;
  let hub: Hub;
  let log: AppLog;
  let token: IssuedToken;
  beforeEach(async () => {
    clock = createTestClock();
    fleet = new TestFleet();
    log = { calls: [], cancelled: 0 };
    hub = await fleet.hub("pc1", { clock, http: { host: "127.0.0.1", port: 0 }, apps: { slow: testApp(log) } });
    await hub.apps.settled();
    token = await hub.operators.issueToken({ name: "ann", scope: "ReadWrite", ttlMs: hourMs });
  });
  afterEach(() => fleet[Symbol.asyncDispose]());

  const ways = [
    ["because it is revoked", () => hub.operators.revokeToken(token.id), "token.revoked"],
    ["because its time is over", () => clock.advance(hourMs), "token.expired"],
  ] as const;

  it.each(ways)(
    "%s takes calls of both eras and open streams with it, and the audit log says why",
    async (...[, end, type]) => {
      const fleetWide = { url: `${hub.url}/mcp`, token: token.token };
      const direct = { url: `${hub.url}/apps/pc1/slow/mcp`, token: token.token };
      const arguments_ = { app: "slow", tool: "wait", arguments: {} };
      const old = await LegacyAgent.open(direct);
      const { signal } = new AbortController();
      const streams = await Promise.all(
        [fleetWide, direct].map(async (where) => (await LegacyAgent.open(where)).listen(signal)),
      );
      const calls = [
        modern(fleetWide, "tools/call", { name: "app.call", arguments: arguments_ }),
        modern(direct, "tools/call", { name: "wait" }),
        modern(direct, "subscriptions/listen", { notifications: { toolsListChanged: true } }),
        old.request("tools/call", { name: "wait" }),
      ];
      await expect.poll(() => log.calls.length).toBe(3);
      await end();
      const answers = await Promise.all(calls);
      expect(answers.map(({ last }) => codeOf(last))).toEqual(answers.map(() => "UNAUTHENTICATED"));
      for (const stream of streams) for await (const _ of messagesOf(stream)) expect.fail("nothing was to be told");
      await expect.poll(() => log.cancelled).toBe(3);
      const records = async () => (await hub.audit.tail(30)).map(({ record }) => record as Record<string, unknown>);
      await expect
        .poll(async () => (await records()).filter(({ outcome }) => outcome).length)
        .toBeGreaterThanOrEqual(3);
      const outcomes = (await records()).filter(({ outcome }) => outcome === "cancelled");
      expect(outcomes.map(({ code }) => code)).toContain("UNAUTHENTICATED");
      expect(new Set(outcomes.map(({ code }) => code)).size).toBe(1);
      expect((await records()).find((record) => record.type === type)).toMatchObject({ token: token.id });
      const after = await fetch(fleetWide.url, { method: "POST", headers: { authorization: `Bearer ${token.token}` } });
      expect(after.status).toBe(401);
    },
  );
});
