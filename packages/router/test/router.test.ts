import { encodeUtf8 } from "@fed/core";
import { expectCode } from "@fed/core/testing";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { limits, RemoteError } from "../src/index.js";
import { createFleet, type Fleet, type Hub, TestError } from "./fleet.js";

let fleet: Fleet;
beforeEach(() => {
  fleet = createFleet();
});
afterEach(() => fleet.close());

async function twoHubs(): Promise<[Hub, Hub]> {
  const a = fleet.hub("alpha");
  const b = fleet.hub("beta");
  b.apps.set("echo", ({ method, params }) => ({ method, params }));
  b.shared.add("echo");
  await Promise.all([a.router.start(), b.router.start()]);
  for (const hub of [a, b]) {
    hub.router.setMembers([a, b].map(({ identity }) => ({ ...identity, addresses: [] })));
  }
  await fleet.until(() => a.events.includes("up beta") && b.events.includes("up alpha"));
  return [a, b];
}

describe("call", () => {
  it("ends in the same walk for a local and a remote app", async () => {
    const [a, b] = await twoHubs();
    a.apps.set("echo", ({ method, params }) => ({ method, params }));
    const target = { app: "echo", method: "tools/call", params: { name: "say", arguments: { text: "hi" } } };
    const here = await a.router.call({ hub: "alpha", ...target }, { caller: a.caller });
    const there = await a.router.call({ hub: "beta", ...target }, { caller: a.caller });
    expect(there).toEqual(here);
    for (const { records } of [a, b]) {
      expect(records.map(({ type }) => type)).toEqual(["call.decision", "call.outcome"]);
      expect(records[0]).toMatchObject({ decision: "allow", tool: "say", operator: "op@alpha" });
      expect(records[1]).toMatchObject({ outcome: "result" });
    }
    expect(b.records[0]).toMatchObject({ from: a.identity.hubId, rule: "echo: cluster" });
  });

  it("names the hub by id or by name, and refuses what it does not know", async () => {
    const [a, b] = await twoHubs();
    const target = { app: "echo", method: "ping" };
    await a.router.call({ ...target, hub: b.identity.hubId }, { caller: a.caller });
    await a.router.call({ ...target, hub: "beta" }, { caller: a.caller });
    await expectCode(a.router.call({ ...target, hub: "gamma" }, { caller: a.caller }), "HUB_UNKNOWN");
    expect(() => a.router.paths("gamma")).toThrow(expect.objectContaining({ code: "HUB_UNKNOWN" }));
  });

  it("finds the one hub that shows an app, and refuses to guess", async () => {
    const [a, b] = await twoHubs();
    expect(await a.router.call({ app: "echo", method: "x" }, { caller: a.caller })).toEqual({ method: "x" });
    await expectCode(a.router.call({ app: "nowhere", method: "x" }, { caller: a.caller }), "APP_UNKNOWN");
    const c = fleet.hub("gamma");
    c.apps.set("echo", () => "c");
    c.shared.add("echo");
    await c.router.start();
    await fleet.until(() => a.events.includes("up gamma"));
    await a.router.list(a.caller);
    await expectCode(a.router.call({ app: "echo", method: "x" }, { caller: a.caller }), "APP_AMBIGUOUS");
    expect(b.records.length).toBe(2);
  });

  it("forwards a body byte for byte", async () => {
    const [a] = await twoHubs();
    const body = encodeUtf8('{ "params":{"n":1.0e2} , "method":"x"}');
    expect(await a.router.call({ hub: "beta", app: "echo", body }, { caller: a.caller })).toEqual({
      method: "x",
      params: { n: 100 },
    });
  });

  it("passes a result with isError through and records it", async () => {
    const [a, b] = await twoHubs();
    b.apps.set("echo", () => ({ isError: true, content: [] }));
    const result = await a.router.call({ hub: "beta", app: "echo", method: "x" }, { caller: a.caller });
    expect(result).toEqual({ isError: true, content: [] });
    expect(b.records.at(-1)).toMatchObject({ outcome: "tool-error" });
  });

  it("is denied by default, and the refusal names the rule", async () => {
    const [a, b] = await twoHubs();
    b.apps.set("secret", () => "no");
    for (const app of ["secret", "absent"]) {
      const error = await expectCode(
        a.router.call({ hub: "beta", app, method: "x" }, { caller: a.caller }),
        "SHARING_DENIED",
      );
      expect(error).toBeInstanceOf(RemoteError);
      expect(error).toMatchObject({ hub: b.identity.hubId, app, details: { rule: "default-deny" }, retryable: false });
    }
    expect(b.records).toMatchObject([{ decision: "deny" }, { decision: "deny", rule: "default-deny" }]);
  });

  it("denies when the policy throws", async () => {
    const [a, b] = await twoHubs();
    b.decide = () => {
      throw new Error("bug");
    };
    const error = await expectCode(
      a.router.call({ hub: "beta", app: "echo", method: "x" }, { caller: a.caller }),
      "SHARING_DENIED",
    );
    expect(error).toMatchObject({ details: { rule: "policy-error" } });
  });

  it("shows of a tools/list answer only what the caller may call", async () => {
    const [a, b] = await twoHubs();
    b.apps.set("echo", () => ({ tools: [{ name: "read" }, { name: "write" }, { bad: 1 }], nextCursor: "n" }));
    b.risks.set("read", "read");
    b.decide = ({ action, tool, risk }) => ({
      allow: tool === undefined ? action === "list" : risk === "read",
      rule: "reads",
      reason: "",
    });
    const result = await a.router.call({ hub: "beta", app: "echo", method: "tools/list" }, { caller: a.caller });
    expect(result).toEqual({ tools: [{ name: "read" }], nextCursor: "n" });
    const write = { hub: "beta", app: "echo", method: "tools/call", params: { name: "write" } };
    await expectCode(a.router.call(write, { caller: a.caller }), "SHARING_DENIED");
  });

  it("does not run what it cannot record", async () => {
    const [a, b] = await twoHubs();
    let ran = 0;
    b.apps.set("echo", () => ++ran);
    b.auditFails = true;
    const target = { hub: "beta", app: "echo", method: "x" };
    await expectCode(a.router.call(target, { caller: a.caller }), "AUDIT_UNAVAILABLE");
    expect(ran).toBe(0);
    expect(b.records).toEqual([]);
    // What has run is answered: its effect is known, and a log without the outcome says that it is not.
    b.auditFails = "outcome";
    expect(await a.router.call(target, { caller: a.caller })).toBe(1);
    expect(b.records).toMatchObject([{ type: "call.decision", decision: "allow" }]);
  });

  it("records an envelope that does not verify, and refuses it", async () => {
    const [a, b] = await twoHubs();
    b.revoked.add("op@alpha");
    await expectCode(a.router.call({ hub: "beta", app: "echo", method: "x" }, { caller: a.caller }), "REVOKED");
    expect(b.records).toMatchObject([{ decision: "deny", rule: "revocation: REVOKED" }]);
  });

  it("takes nobody who comes over a session for a local caller", async () => {
    const b = fleet.hub("beta", { verifier: { verify: () => ({ ...b.caller, local: true }) } });
    const a = fleet.hub("alpha");
    b.apps.set("secret", () => "no");
    await Promise.all([a.router.start(), b.router.start()]);
    await fleet.until(() => a.events.includes("up beta"));
    const target = { hub: b.identity.hubId, app: "secret", method: "x" };
    await expectCode(a.router.call(target, { caller: a.caller }), "SHARING_DENIED");
    expect((await a.router.list(a.caller)).length).toBe(0);
  });

  it("shows and sends nothing for a revoked caller", async () => {
    const [a, b] = await twoHubs();
    a.revoked.add("op@alpha");
    await expectCode(a.router.list(a.caller), "REVOKED");
    await expectCode(a.router.call({ hub: "beta", app: "echo", method: "x" }, { caller: a.caller }), "REVOKED");
    await expectCode(a.router.call({ hub: "alpha", app: "echo", method: "x" }, { caller: a.caller }), "REVOKED");
    expect(b.records).toEqual([]);
  });

  it("keeps an app's own code and keeps unknown failures to itself", async () => {
    const [a, b] = await twoHubs();
    b.apps.set("echo", () => {
      throw new Error("password=hunter2");
    });
    const error = await expectCode(
      a.router.call({ hub: "beta", app: "echo", method: "x" }, { caller: a.caller }),
      "APP_FAILED",
    );
    expect(error.message).not.toContain("hunter2");
    expect(b.records.at(-1)).toMatchObject({ outcome: "error", code: "APP_FAILED" });
  });

  it("brings progress in order, before the result", async () => {
    const [a, b] = await twoHubs();
    b.apps.set("echo", (_request, { notify }) => {
      notify({ method: "notifications/message", params: "x".repeat(limits.notificationBytes) });
      notify({ method: "notifications/message", params: 1n });
      for (let i = 0; i < 100; i++) notify({ method: "notifications/progress", params: { progress: i } });
      return "done";
    });
    const seen: unknown[] = [];
    const options = { caller: a.caller, onNotification: ({ params }: { params?: unknown }) => seen.push(params) };
    expect(await a.router.call({ hub: "beta", app: "echo", method: "x" }, options)).toBe("done");
    expect(seen).toEqual(Array.from({ length: 100 }, (_, progress) => ({ progress })));
  });

  it.each([
    ["local", "alpha"],
    ["remote", "beta"],
  ])("cancels the app of a %s call", async (_kind, hub) => {
    const [a, b] = await twoHubs();
    const owner = hub === "alpha" ? a : b;
    const heard = Promise.withResolvers<string>();
    const started = Promise.withResolvers<void>();
    owner.apps.set("echo", (_request, { signal }) => {
      started.resolve();
      signal.addEventListener("abort", () => heard.resolve(signal.reason.code));
      return new Promise(() => {});
    });
    const cancel = new AbortController();
    const call = a.router.call({ hub, app: "echo", method: "x" }, { caller: a.caller, signal: cancel.signal });
    await started.promise;
    cancel.abort();
    await expectCode(call, "ABORTED");
    expect(await heard.promise).toBe("ABORTED");
    await fleet.until(() => owner.records.length === 2);
    expect(owner.records.at(-1)).toMatchObject({ outcome: "cancelled" });
  });

  it("gives up at its deadline and tells the owner", async () => {
    const [a, b] = await twoHubs();
    const heard = Promise.withResolvers<string>();
    b.apps.set("echo", (_request, { signal }) => {
      signal.addEventListener("abort", () => heard.resolve(signal.reason.code));
      return new Promise(() => {});
    });
    const call = a.router.call({ hub: "beta", app: "echo", method: "x" }, { caller: a.caller, deadlineMs: 5000 });
    const expected = expectCode(call, "DEADLINE_EXCEEDED");
    await fleet.clock.advance(5000);
    await expected;
    expect(await heard.promise).toBe("DEADLINE_EXCEEDED");
  });

  it("refuses a body and a result that are too large", async () => {
    const [a, b] = await twoHubs();
    const huge = { hub: "beta", app: "echo", method: "x", params: "x".repeat(5 * 1024 * 1024) };
    await expectCode(a.router.call(huge, { caller: a.caller }), "BODY_TOO_LARGE");
    b.apps.set("echo", () => "x".repeat(5 * 1024 * 1024));
    await expectCode(
      a.router.call({ hub: "beta", app: "echo", method: "x" }, { caller: a.caller }),
      "RESULT_TOO_LARGE",
    );
  });

  it("passes the incoming envelope of a forwarded call to the signer", async () => {
    const [a, b] = await twoHubs();
    await a.router.call({ hub: "beta", app: "echo", method: "x" }, { caller: a.caller });
    const [incoming] = a.signed;
    await a.router.call({ hub: "beta", app: "echo", method: "x" }, { caller: a.caller, incoming: incoming! });
    expect(a.signed[1]).toMatchObject({ origin: incoming!.origin, via: [incoming!.hop] });
    expect(b.records.length).toBe(4);
  });

  it("fetches a longer revocation list before the answer counts", async () => {
    const seen: number[] = [];
    const a = fleet.hub("alpha", {
      async onLargerRevocationSize(peer, size) {
        seen.push(size);
        a.revoked.add(peer.hubId);
      },
    });
    const b = fleet.hub("beta");
    b.apps.set("echo", () => "lies");
    b.shared.add("echo");
    b.revocationSize = 7;
    await Promise.all([a.router.start(), b.router.start()]);
    await fleet.until(() => a.events.includes("up beta"));
    const target = { hub: b.identity.hubId, app: "echo", method: "x" };
    const error = await expectCode(a.router.call(target, { caller: a.caller }), "OUTCOME_UNKNOWN");
    expect(error.cause).toMatchObject({ code: "REVOKED" });
    expect(seen).toEqual([7]);
  });
});

describe("cut", () => {
  it("ends sessions and calls at once, in both directions, and keeps the hub out until members change", async () => {
    const [a, b] = await twoHubs();
    let aborted = "";
    b.apps.set("echo", (_request, { signal }) => {
      signal.addEventListener("abort", () => {
        aborted = signal.reason.code;
      });
      return new Promise(() => {});
    });
    const call = a.router.call({ hub: "beta", app: "echo", method: "x", idempotencyKey: "k" }, { caller: a.caller });
    const expected = expectCode(call, "OUTCOME_UNKNOWN");
    await fleet.until(() => b.records.length === 1);
    b.router.cut(a.identity.hubId, new TestError({ code: "REVOKED", message: "Revoked." }));
    expect(b.router.session(a.identity.hubId)).toBeUndefined();
    expect(aborted).toBe("REVOKED");
    await fleet.clock.advance(60_000);
    await expected;
    expect(a.router.session(b.identity.hubId)).toBeUndefined();
    expect(b.events).toEqual(["up alpha", "down alpha"]);
    // A call to it says why, instead of only that there is no path.
    await expectCode(b.router.call({ hub: "alpha", app: "echo", method: "x" }, { caller: b.caller }), "REVOKED");
    expect(b.router.paths("alpha")).toMatchObject([{ state: "dead", why: "the hub is cut off: REVOKED" }]);
    expect(b.router.peers()).toMatchObject([{ name: "alpha", path: undefined, cut: { code: "REVOKED" } }]);
    b.router.setMembers([{ ...a.identity, addresses: [] }]);
    await fleet.until(() => b.events.length === 3, 1000);
    expect(b.events.at(-1)).toBe("up alpha");
  });

  it("ends an operator's calls where they run and where they come from", async () => {
    const [a, b] = await twoHubs();
    const error = new TestError({ code: "REVOKED", message: "Revoked." });
    b.apps.set("echo", () => new Promise(() => {}));
    const target = { hub: "beta", app: "echo", method: "x" };
    const first = expectCode(a.router.call(target, { caller: a.caller }), "REVOKED");
    await fleet.until(() => b.records.length === 1);
    b.router.cutOperator("op@alpha", error);
    await first;
    const second = expectCode(a.router.call(target, { caller: a.caller }), "REVOKED");
    a.router.cutOperator("op@alpha", error);
    await second;
  });

  describe("while the decision is being written down", () => {
    /** Two hubs; `b` writes its decision down only after `release`. */
    async function slowDisk(): Promise<{ a: Hub; b: Hub; ran: string[]; release(): void; written: string[] }> {
      const a = fleet.hub("alpha");
      const disk = Promise.withResolvers<void>();
      const written: string[] = [];
      const b = fleet.hub("beta", {
        audit: {
          async append(record) {
            await disk.promise;
            written.push(record.type === "call.outcome" ? `${record.outcome} ${record.code}` : record.decision);
          },
        },
      });
      const ran: string[] = [];
      b.apps.set("echo", ({ method }) => void ran.push(method));
      b.shared.add("echo");
      await Promise.all([a.router.start(), b.router.start()]);
      for (const hub of [a, b]) {
        hub.router.setMembers([a, b].map(({ identity }) => ({ ...identity, addresses: [] })));
      }
      await fleet.until(() => a.events.includes("up beta") && b.events.includes("up alpha"));
      return { a, b, ran, release: disk.resolve, written };
    }
    const cuts: [string, string, (b: Hub, a: Hub) => void][] = [
      ["its hub is cut off", "CUT", (b, a) => b.router.cut(a.identity.hubId, cutError)],
      ["its operator is cut off", "CUT", (b, a) => b.router.cutOperator(a.caller.operator, cutError)],
      ["its hub is a member no more", "HUB_REMOVED", (b) => b.router.setMembers([])],
      ["somebody it names is revoked", "REVOKED", (b, a) => void b.revoked.add(a.caller.operator)],
    ];
    it.each(cuts)("a call runs no more when %s", async (_what, code, cut) => {
      for (const idempotencyKey of [undefined, "key"]) {
        const { a, b, ran, release, written } = await slowDisk();
        const target = { hub: "beta", app: "echo", method: "x", ...(idempotencyKey && { idempotencyKey }) };
        const call = a.router.call(target, { caller: a.caller, deadlineMs: 1_000 }).catch(() => {});
        await fleet.clock.advance(100);
        cut(b, a);
        await fleet.clock.advance(100);
        release();
        await fleet.until(() => written.length === 2);
        expect(ran).toEqual([]);
        expect(written[0]).toBe("allow");
        expect(written[1]).toMatch(new RegExp(`^(error|cancelled) ${code}$`));
        await fleet.clock.advance(2_000);
        await call;
        await fleet.close();
        fleet = createFleet();
      }
    });
  });

  it("outlasts a member's removal: neither its calls with a key nor connections in the making go on", async () => {
    const [a, b] = await twoHubs();
    let aborted = "";
    b.apps.set("echo", (_request, { signal }) => {
      signal.addEventListener("abort", () => {
        aborted = signal.reason.code;
      });
      return new Promise(() => {});
    });
    const target = { hub: "beta", app: "echo", method: "x", idempotencyKey: "k" };
    const call = expectCode(a.router.call(target, { caller: a.caller }), "OUTCOME_UNKNOWN");
    await fleet.until(() => b.records.length === 1);
    b.router.setMembers([]);
    expect(aborted).toBe("HUB_REMOVED");
    await fleet.clock.advance(60_000);
    await call;
    expect(b.events).toEqual(["up alpha", "down alpha"]);
    expect(b.router.session(a.identity.hubId)).toBeUndefined();
  });
});

const cutError = new TestError({ code: "CUT", message: "Cut off." });

describe("a listener that throws", () => {
  it("ends neither a session nor the process", async () => {
    const rejections: unknown[] = [];
    const onRejection = (reason: unknown) => rejections.push(reason);
    process.on("unhandledRejection", onRejection);
    const bad = () => {
      throw new TypeError("A listener's mistake.");
    };
    const a = fleet.hub("alpha", { onPeerUp: bad, onPeerDown: bad });
    const b = fleet.hub("beta");
    await Promise.all([a.router.start(), b.router.start()]);
    for (const hub of [a, b]) hub.router.setMembers([a, b].map(({ identity }) => ({ ...identity, addresses: [] })));
    await fleet.until(() => b.events.includes("up alpha"));
    b.apps.set("echo", () => "ok");
    b.shared.add("echo");
    expect(await a.router.call({ hub: "beta", app: "echo", method: "x" }, { caller: a.caller })).toBe("ok");
    b.router.cut(a.identity.hubId, cutError);
    await fleet.until(() => a.router.session(b.identity.hubId) === undefined);
    // An unhandled rejection is told of after the turn it was made in.
    await new Promise(setImmediate);
    process.off("unhandledRejection", onRejection);
    expect(rejections).toEqual([]);
  });
});
