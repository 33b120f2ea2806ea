import { randomBytes } from "@fed/core";
import { expectCode } from "@fed/core/testing";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { limits } from "../src/index.js";
import { createFleet, type Fleet, type Hub, type HubOptions, TestError } from "./fleet.js";

let fleet: Fleet;
beforeEach(() => {
  fleet = createFleet();
});
afterEach(() => fleet.close());

async function twoHubs(options: HubOptions = { networks: ["lan", "relay"] }): Promise<[Hub, Hub]> {
  const a = fleet.hub("alpha", options);
  const b = fleet.hub("beta", options);
  b.shared.add("echo");
  await Promise.all([a.router.start(), b.router.start()]);
  for (const hub of [a, b]) hub.router.setMembers([a, b].map(({ identity }) => ({ ...identity, addresses: [] })));
  const confirmed = options.networks?.length ?? 1;
  await fleet.until(
    () =>
      fleet.clock.monotonicMs() > 3000 &&
      [a.router.paths("beta"), b.router.paths("alpha")].every(
        (paths) => paths.filter(({ state }) => state === "confirmed").length === confirmed,
      ),
    500,
  );
  return [a, b];
}

/** An app whose calls the test finishes. */
function gate(hub: Hub): { calls: number; aborted: string[]; finish(result: unknown): void } {
  const waiting: ((result: unknown) => void)[] = [];
  const state = {
    calls: 0,
    aborted: [] as string[],
    finish: (result: unknown) => waiting.splice(0).forEach((done) => void done(result)),
  };
  hub.apps.set("echo", (_request, { signal }) => {
    state.calls++;
    signal.addEventListener("abort", () => state.aborted.push(signal.reason.code));
    return new Promise((resolve) => waiting.push(resolve));
  });
  return state;
}

describe("a connection that is lost", () => {
  it("costs a call nothing: it goes on over the other path, or over the next connection", async () => {
    for (const networks of [["lan", "relay"], ["lan"]] as const) {
      const [a, b] = await twoHubs({ networks });
      const app = gate(b);
      const call = a.router.call({ hub: "beta", app: "echo", method: "x" }, { caller: a.caller });
      await fleet.until(() => app.calls === 1);
      fleet.lan.drop(a.identity.hubId, b.identity.hubId, new TestError({ code: "CLOSED", message: "Gone." }));
      app.finish("once");
      let result: unknown;
      void call.then((value) => (result = value));
      await fleet.until(() => result === "once", 100);
      expect(app).toMatchObject({ calls: 1, aborted: [] });
      expect(b.records).toHaveLength(2);
      await fleet.close();
      fleet = createFleet();
    }
  });

  it("of the only path, and a call made meanwhile waits for the next, up to 5 s", async () => {
    const [a, b] = await twoHubs({ networks: ["lan"] });
    b.apps.set("echo", () => "ok");
    const target = { hub: "beta", app: "echo", method: "x" };
    fleet.drop(a, b);
    await fleet.until(() => a.router.session(b.identity.hubId) === undefined);
    let result: unknown;
    void a.router.call(target, { caller: a.caller }).then((value) => (result = value));
    await fleet.until(() => result === "ok", 100);
    fleet.lan.cut(a.identity.hubId, b.identity.hubId);
    fleet.drop(a, b);
    await fleet.until(() => a.router.session(b.identity.hubId) === undefined);
    const late = expectCode(a.router.call(target, { caller: a.caller }), "HUB_UNREACHABLE");
    await fleet.clock.advance(limits.retryWaitMs);
    await late;
  });
});

describe("a session that is lost", () => {
  const briefly: HubOptions = { networks: ["lan"], resumeWindowMs: 0 };

  it("after the call was sent: OUTCOME_UNKNOWN, never a second run, and the app is told", async () => {
    const [a, b] = await twoHubs();
    const app = gate(b);
    const call = a.router.call({ hub: "beta", app: "echo", method: "x" }, { caller: a.caller, deadlineMs: 600_000 });
    const expected = expectCode(call, "OUTCOME_UNKNOWN");
    await fleet.until(() => app.calls === 1);
    for (const network of [fleet.lan, fleet.relay]) network.cut(a.identity.hubId, b.identity.hubId);
    fleet.drop(a, b);
    await fleet.clock.advance(60_000);
    const error = await expected;
    expect(error.retryable).toBe(false);
    expect(error.hint).toContain(b.records[0]!.callId);
    await fleet.until(() => app.aborted.length === 1);
    await fleet.clock.advance(10_000);
    expect(app.calls).toBe(1);
  });

  it("of a read-only call: once more over the next one", async () => {
    const [a, b] = await twoHubs(briefly);
    const app = gate(b);
    const call = a.router.call({ hub: "beta", app: "echo", method: "x", readOnly: true }, { caller: a.caller });
    await fleet.until(() => app.calls === 1);
    fleet.drop(a, b);
    await fleet.until(() => app.calls === 2, 100);
    app.finish("read");
    expect(await call).toBe("read");
  });

  it("of a call with an idempotency key: the first run's outcome over the next one", async () => {
    const [a, b] = await twoHubs(briefly);
    const app = gate(b);
    const target = { hub: "beta", app: "echo", method: "x", idempotencyKey: "key-1" };
    const call = a.router.call(target, { caller: a.caller });
    await fleet.until(() => app.calls === 1);
    fleet.drop(a, b);
    await fleet.until(() => b.records.length === 2, 100);
    expect(b.records[1]).toMatchObject({ decision: "allow", replay: true });
    app.finish("paid");
    expect(await call).toBe("paid");
    expect(app).toMatchObject({ calls: 1, aborted: [] });
  });

  it("of a keyed call whose owner restarted: OUTCOME_UNKNOWN, since the new process knows no keys", async () => {
    const [a, b] = await twoHubs({ networks: ["lan"] });
    const app = gate(b);
    const target = { hub: "beta", app: "echo", method: "x", idempotencyKey: "key-1" };
    const expected = expectCode(a.router.call(target, { caller: a.caller }), "OUTCOME_UNKNOWN");
    await fleet.until(() => app.calls === 1);
    await b.router.close();
    const again = fleet.hub("beta", { epoch: randomBytes(16) });
    again.shared.add("echo");
    const second = gate(again);
    await again.router.start();
    await fleet.until(() => a.events.length === 3, 200);
    expect(a.events).toEqual(["up beta", "down beta", "up beta"]);
    await expected;
    expect(second.calls).toBe(0);
  });

  it("and no path at all: HUB_UNREACHABLE, which may be tried again", async () => {
    const [a, b] = await twoHubs({ networks: ["lan"] });
    await b.router.close();
    await fleet.until(() => a.events.includes("down beta"));
    const error = await expectCode(
      a.router.call({ hub: "beta", app: "echo", method: "x" }, { caller: a.caller }),
      "HUB_UNREACHABLE",
    );
    expect(error.retryable).toBe(true);
  });
});

describe("an idempotency key", () => {
  it("stands for the request whatever its _meta says, here and on another hub", async () => {
    const [a, b] = await twoHubs({ networks: ["lan"] });
    let runs = 0;
    for (const hub of [a, b]) hub.apps.set("echo", () => ++runs);
    a.shared.add("echo");
    for (const hub of ["alpha", "beta"]) {
      const before = runs;
      const call = (params: object) =>
        a.router.call({ hub, app: "echo", method: "x", params, idempotencyKey: "k" }, { caller: a.caller });
      expect(await call({ x: 1, _meta: { traceparent: "one", progressToken: 1 } })).toBe(before + 1);
      expect(await call({ x: 1, _meta: { traceparent: "two" } })).toBe(before + 1);
      expect(await call({ x: 1 })).toBe(before + 1);
      await expectCode(call({ x: 2 }), "IDEMPOTENCY_MISMATCH");
    }
  });

  it("or none: the call is recorded under the id that its caller chose", async () => {
    const [a, b] = await twoHubs({ networks: ["lan"] });
    b.apps.set("echo", () => "ok");
    const callId = "AAAAAAAAAAAAAAAAAAAAAA";
    await a.router.call({ hub: "beta", app: "echo", method: "x" }, { caller: a.caller, callId });
    expect(b.records).toMatchObject([{ callId }, { callId }]);
  });

  it("stands for one request of one operator to one app", async () => {
    const [a, b] = await twoHubs({ networks: ["lan"] });
    let runs = 0;
    b.apps.set("echo", ({ params }) => ({ run: ++runs, params }));
    b.apps.set("other", () => ({ run: ++runs }));
    b.shared.add("other");
    const target = { hub: "beta", app: "echo", method: "x", params: 1, idempotencyKey: "k" };
    const first = await a.router.call(target, { caller: a.caller });
    expect(await a.router.call(target, { caller: a.caller })).toEqual(first);
    expect(runs).toBe(1);
    await expectCode(a.router.call({ ...target, params: 2 }, { caller: a.caller }), "IDEMPOTENCY_MISMATCH");
    await a.router.call({ ...target, app: "other" }, { caller: a.caller });
    await a.router.call(target, { caller: { ...a.caller, operator: "bob@alpha" } });
    expect(runs).toBe(3);
    expect(b.records.filter((record) => record.type === "call.decision" && record.decision === "deny")).toMatchObject([
      { rule: "idempotency: IDEMPOTENCY_MISMATCH" },
    ]);
  });

  it("works the same for local calls, and runs once for two at a time", async () => {
    const [, b] = await twoHubs({ networks: ["lan"] });
    const app = gate(b);
    const target = { app: "echo", method: "x", idempotencyKey: "k" };
    const both = [b.router.call(target, { caller: b.caller }), b.router.call(target, { caller: b.caller })];
    await fleet.until(() => b.records.length === 2);
    app.finish("once");
    expect(await Promise.all(both)).toEqual(["once", "once"]);
    expect(app.calls).toBe(1);
  });

  it("returns a failed first outcome too", async () => {
    const [a, b] = await twoHubs({ networks: ["lan"] });
    let runs = 0;
    b.apps.set("echo", () => {
      runs++;
      throw new TestError({ code: "OUT_OF_PAPER", message: "No paper." });
    });
    const target = { hub: "beta", app: "echo", method: "x", idempotencyKey: "k" };
    await expectCode(a.router.call(target, { caller: a.caller }), "OUT_OF_PAPER");
    await expectCode(a.router.call(target, { caller: a.caller }), "OUT_OF_PAPER");
    expect(runs).toBe(1);
  });

  it("is free again when its call was refused before it ran", async () => {
    const [a, b] = await twoHubs({ networks: ["lan"] });
    b.apps.set("echo", () => "ran");
    const target = { hub: "beta", app: "echo", method: "x", idempotencyKey: "k" };
    b.auditFails = true;
    await expectCode(a.router.call(target, { caller: a.caller }), "AUDIT_UNAVAILABLE");
    b.auditFails = false;
    expect(await a.router.call(target, { caller: a.caller })).toBe("ran");
  });

  it("is remembered for ten minutes, and a full table refuses instead of forgetting", async () => {
    const [, b] = await twoHubs({ networks: ["lan"] });
    let runs = 0;
    b.apps.set("echo", () => ++runs);
    const call = (key: number) =>
      b.router.call({ app: "echo", method: "x", idempotencyKey: `k${key}` }, { caller: b.caller });
    for (let i = 0; i < limits.outcomesPerOperator; i++) await call(i);
    await expectCode(call(999), "BUSY");
    expect(await call(0)).toBe(1);
    await fleet.clock.advance(limits.outcomeLifeMs);
    expect(await call(0)).toBe(limits.outcomesPerOperator + 1);
    expect(await call(999)).toBe(limits.outcomesPerOperator + 2);
  });

  it("must be short printable ASCII", async () => {
    const [a] = await twoHubs({ networks: ["lan"] });
    for (const idempotencyKey of ["", "a\nb", "é", "x".repeat(129)]) {
      const target = { hub: "beta", app: "echo", method: "x", idempotencyKey };
      await expectCode(a.router.call(target, { caller: a.caller }), "REQUEST_MALFORMED");
    }
  });
});

describe("calls in flight", () => {
  it("are limited per peer, and the refusal can be tried again", async () => {
    const [a, b] = await twoHubs({ networks: ["lan"] });
    const app = gate(b);
    const target = { hub: "beta", app: "echo", method: "x" };
    const running = Array.from({ length: limits.callsPerPeer }, () => a.router.call(target, { caller: a.caller }));
    await fleet.until(() => app.calls === limits.callsPerPeer);
    const error = await expectCode(a.router.call(target, { caller: a.caller }), "BUSY");
    expect(error.retryable).toBe(true);
    app.finish("ok");
    expect(await Promise.all(running)).toEqual(running.map(() => "ok"));
    const next = a.router.call(target, { caller: a.caller });
    await fleet.until(() => app.calls === limits.callsPerPeer + 1);
    app.finish("free again");
    expect(await next).toBe("free again");
  });
});

describe("a peer's rate", () => {
  it("is limited for calls and listings alike, says when to come back, and no other peer suffers", async () => {
    const [a, b] = await twoHubs({ networks: ["lan"], peerRate: { perSecond: 1, burst: 4 } });
    b.apps.set("echo", () => "ok");
    const target = { hub: "beta", app: "echo", method: "x" };
    const call = () => a.router.call(target, { caller: a.caller });
    await a.router.list(a.caller);
    for (let i = 0; i < 3; i++) expect(await call()).toBe("ok");
    const error = await expectCode(call(), "RATE_LIMITED");
    expect(error).toMatchObject({ retryable: true, details: { retryAfterMs: 1000 } });
    expect(await b.router.call(target, { caller: b.caller })).toBe("ok");
    await fleet.clock.advance(1000);
    expect(await call()).toBe("ok");
  });
});

describe("where a call goes", () => {
  it("can be asked beforehand", async () => {
    const [a, b] = await twoHubs({ networks: ["lan"] });
    b.apps.set("echo", () => "ok");
    b.apps.set("hidden", () => "ok");
    const locate = (target: { hub?: string; app: string }) => a.router.locate(target, { caller: a.caller });
    expect(await locate({ hub: "beta", app: "anything" })).toBe(b.identity.hubId);
    expect(await locate({ app: "echo" })).toBe(b.identity.hubId);
    await expectCode(locate({ app: "hidden" }), "APP_UNKNOWN");
    await expectCode(locate({ hub: "gamma", app: "echo" }), "HUB_UNKNOWN");
  });
});

describe("a path in doubt", () => {
  it("costs no call: everything goes over the other one as well, and each runs once", async () => {
    const [a, b] = await twoHubs();
    const app = gate(b);
    const target = { hub: "beta", app: "echo", method: "x" };
    let results: unknown[] = [];
    const calls = [{ idempotencyKey: "k" }, {}, { readOnly: true }].map((options) =>
      a.router.call({ ...target, ...options }, { caller: a.caller }),
    );
    void Promise.all(calls).then((values) => (results = values));
    await fleet.until(() => app.calls === 3);
    fleet.lan.cut(a.identity.hubId, b.identity.hubId);
    const cutAtMs = fleet.clock.monotonicMs();
    app.finish("once");
    await fleet.until(() => results.length === 3, 100);
    expect(fleet.clock.monotonicMs() - cutAtMs).toBeLessThanOrEqual(3000);
    expect(results).toEqual(["once", "once", "once"]);
    expect(app.calls).toBe(3);
  });
});
