import { FedError } from "@fed/core";
import { expectCode } from "@fed/core/testing";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Consent, ConsentGiven, ConsentRequest, Notification } from "../src/index.js";
import { createFleet, type Fleet, type Hub, TestError } from "./fleet.js";

let fleet: Fleet;
beforeEach(() => {
  fleet = createFleet();
});
afterEach(() => fleet.close());

/** An operator whose answers the test gives. */
class Desk implements Consent {
  readonly asked: ConsentRequest[] = [];
  readonly gone: string[] = [];
  ask: (request: ConsentRequest) => boolean = () => true;
  readonly #waiting: PromiseWithResolvers<ConsentGiven>[] = [];

  required(request: ConsentRequest): boolean {
    return this.ask(request);
  }

  decide(request: ConsentRequest, signal: AbortSignal): Promise<ConsentGiven> {
    this.asked.push(request);
    request.notify({ method: "notifications/progress", params: { progress: -1, message: "waiting" } });
    const answer = Promise.withResolvers<ConsentGiven>();
    this.#waiting.push(answer);
    signal.addEventListener("abort", () => this.gone.push((signal.reason as FedError).code));
    return answer.promise;
  }

  allow(given: ConsentGiven = "once"): void {
    for (const answer of this.#waiting.splice(0)) answer.resolve(given);
  }

  deny(): void {
    const error = new TestError({ code: "CONSENT_DENIED", message: "No." });
    for (const answer of this.#waiting.splice(0)) answer.reject(error);
  }
}

interface Stage {
  readonly desk: Desk;
  readonly pc1: Hub;
  readonly pc2: Hub;
  readonly ran: unknown[];
}

/** `pc1` calls the app `notes` of `pc2`, whose operator is asked. */
async function stage(): Promise<Stage> {
  const desk = new Desk();
  const ran: unknown[] = [];
  const [pc1, pc2] = [fleet.hub("pc1"), fleet.hub("pc2", { consent: desk })];
  pc2.apps.set("notes", ({ params }) => {
    ran.push(params);
    return { content: [] };
  });
  pc2.shared.add("notes");
  for (const hub of [pc1, pc2])
    hub.router.setMembers([pc1, pc2].map(({ identity }) => ({ ...identity, addresses: [] })));
  await Promise.all([pc1.router.start(), pc2.router.start()]);
  await fleet.until(() => pc1.router.paths("pc2").some(({ state }) => state === "confirmed"), 100);
  return { desk, pc1, pc2, ran };
}

interface CallOptions {
  readonly idempotencyKey?: string;
  readonly signal?: AbortSignal;
  readonly tool?: string;
  onNotification?(notification: Notification): void;
}

function call(from: Hub, { idempotencyKey, tool = "write", ...options }: CallOptions = {}): Promise<unknown> {
  return from.router.call(
    { hub: "pc2", app: "notes", method: "tools/call", params: { name: tool, arguments: {} }, idempotencyKey },
    { caller: from.caller, ...options },
  );
}

const decisions = (hub: Hub) =>
  hub.records.flatMap((record) =>
    record.type === "call.decision" ? [[record.decision, record.rule, record.consent, record.replay]] : [],
  );

describe("a call whose owner is to be asked", () => {
  it("waits, and runs once it is allowed; the audit log says how", async () => {
    const { desk, pc1, pc2, ran } = await stage();
    pc2.risks.set("write", "write");
    const heard: Notification[] = [];
    const calling = call(pc1, { onNotification: (notification) => heard.push(notification) });
    await fleet.until(() => heard.length === 1);
    expect(ran).toEqual([]);
    expect(decisions(pc2)).toEqual([]);
    expect(desk.asked).toMatchObject([
      {
        app: "notes",
        method: "tools/call",
        tool: "write",
        risk: "write",
        caller: { operator: "op@pc1", local: false },
      },
    ]);
    desk.allow("session");
    await fleet.until(() => ran.length === 1);
    await calling;
    expect(decisions(pc2)).toEqual([["allow", "notes: cluster", "session", undefined]]);
    expect(heard).toEqual([{ method: "notifications/progress", params: { progress: -1, message: "waiting" } }]);
  });

  it("never runs when it is denied", async () => {
    const { desk, pc1, pc2, ran } = await stage();
    const calling = expectCode(call(pc1), "CONSENT_DENIED");
    await fleet.until(() => desk.asked.length === 1);
    desk.deny();
    await fleet.until(() => pc2.records.length === 1);
    await calling;
    expect(ran).toEqual([]);
    expect(decisions(pc2)).toEqual([["deny", "consent: CONSENT_DENIED", undefined, undefined]]);
  });

  it("obeys the hub's own operators' calls as well", async () => {
    const { desk, pc2, ran } = await stage();
    const calling = call(pc2);
    await fleet.until(() => desk.asked.length === 1);
    expect(desk.asked[0]?.peer).toBeUndefined();
    desk.allow();
    await calling;
    expect(ran).toHaveLength(1);
  });

  it("is not asked about what the policy denies, nor for a listing", async () => {
    const { desk, pc1, pc2 } = await stage();
    pc2.shared.delete("notes");
    await expectCode(settled(call(pc1)), "SHARING_DENIED");
    pc2.shared.add("notes");
    const listing = { hub: "pc2", app: "notes", method: "tools/list" } as const;
    await settled(pc1.router.call(listing, { caller: pc1.caller }));
    expect(desk.asked).toEqual([]);
  });

  it("is refused when it cannot be told whether to ask", async () => {
    const { desk, pc1, ran } = await stage();
    desk.ask = () => {
      throw new TypeError("broken");
    };
    await expectCode(settled(call(pc1)), "INTERNAL");
    expect(ran).toEqual([]);
  });
});

describe("while it waits", () => {
  it("the caller may cancel", async () => {
    const { desk, pc1, pc2, ran } = await stage();
    const cancel = new AbortController();
    const calling = expectCode(call(pc1, { signal: cancel.signal }), "ABORTED");
    await fleet.until(() => desk.asked.length === 1);
    cancel.abort();
    await calling;
    await fleet.until(() => pc2.records.length === 1);
    expect(desk.gone).toEqual(["ABORTED"]);
    desk.allow();
    await fleet.clock.advance(0);
    expect(ran).toEqual([]);
    expect(decisions(pc2)).toEqual([["deny", "consent: ABORTED", undefined, undefined]]);
  });

  it("a revocation of the caller cancels it", async () => {
    const { desk, pc1, pc2, ran } = await stage();
    const calling = expectCode(call(pc1), "OPERATOR_REVOKED");
    await fleet.until(() => desk.asked.length === 1);
    pc2.router.cutOperator("op@pc1", new TestError({ code: "OPERATOR_REVOKED", message: "Out." }));
    await fleet.until(() => pc2.records.length === 1);
    await calling;
    expect(desk.gone).toEqual(["OPERATOR_REVOKED"]);
    expect(ran).toEqual([]);
  });

  it("what is revoked or taken back counts, however it is answered", async () => {
    const { desk, pc1, pc2, ran } = await stage();
    const unshared = expectCode(call(pc1), "SHARING_DENIED");
    await fleet.until(() => desk.asked.length === 1);
    pc2.shared.delete("notes");
    desk.allow();
    await fleet.until(() => pc2.records.length === 1);
    await unshared;
    pc2.shared.add("notes");
    const revoked = expectCode(call(pc1), "REVOKED");
    await fleet.until(() => desk.asked.length === 2);
    pc2.revoked.add("op@pc1");
    desk.allow();
    await fleet.until(() => pc2.records.length === 2);
    await revoked;
    expect(ran).toEqual([]);
    expect(decisions(pc2).map(([decision, rule]) => `${decision} ${rule}`)).toEqual([
      "deny default-deny",
      "deny consent: REVOKED",
    ]);
  });

  it("its deadline is renewed by progress, for an hour in all", async () => {
    const { desk, pc1, pc2, ran } = await stage();
    const calling = call(pc1);
    await fleet.until(() => desk.asked.length === 1);
    for (let second = 0; second < 300; second += 30) {
      await fleet.clock.advance(30_000);
      desk.asked[0]!.notify({ method: "notifications/progress", params: { progress: second - 300 } });
      await fleet.clock.advance(0);
    }
    desk.allow();
    await fleet.until(() => ran.length === 1);
    await calling;

    const silent = expectCode(call(pc1), "DEADLINE_EXCEEDED");
    await fleet.until(() => desk.asked.length === 2);
    await fleet.clock.advance(60_000);
    await silent;
    await fleet.until(() => desk.gone.length === 1);

    const endless = expectCode(call(pc2), "DEADLINE_EXCEEDED");
    await fleet.until(() => desk.asked.length === 3);
    for (let minute = 0; minute < 60; minute += 0.5) {
      desk.asked[2]!.notify({ method: "notifications/progress", params: {} });
      await fleet.clock.advance(30_000);
    }
    await endless;
  });
});

describe("with an idempotency key", () => {
  it("a repetition waits with the first: it is asked once, runs once, and both hear the outcome", async () => {
    const { desk, pc1, pc2, ran } = await stage();
    const first = call(pc1, { idempotencyKey: "k" });
    await fleet.until(() => desk.asked.length === 1);
    const second = call(pc1, { idempotencyKey: "k" });
    await fleet.until(() => pc2.records.length === 1);
    desk.allow();
    await fleet.until(() => ran.length === 1);
    expect(await Promise.all([first, second])).toEqual([{ content: [] }, { content: [] }]);
    // And what is known already is not asked about again.
    await call(pc1, { idempotencyKey: "k" });
    expect(desk.asked).toHaveLength(1);
    expect(ran).toHaveLength(1);
    expect(decisions(pc2)).toEqual([
      ["allow", "notes: cluster", undefined, true],
      ["allow", "notes: cluster", "once", undefined],
      ["allow", "notes: cluster", undefined, true],
    ]);
  });

  it("a denial is heard by both, and the key is free again", async () => {
    const { desk, pc1, pc2, ran } = await stage();
    const both = [1, 2].map(() => expectCode(call(pc1, { idempotencyKey: "k" }), "CONSENT_DENIED"));
    await fleet.until(() => desk.asked.length === 1 && pc2.records.length === 1);
    desk.deny();
    await fleet.until(() => pc2.records.length === 2);
    await Promise.all(both);
    const again = call(pc1, { idempotencyKey: "k" });
    await fleet.until(() => desk.asked.length === 2);
    desk.allow();
    await fleet.until(() => ran.length === 1);
    await again;
  });

  it("a connection that is lost meanwhile costs nothing: the question is asked once", async () => {
    const { desk, pc1, pc2, ran } = await stage();
    const heard: Notification[] = [];
    const calling = call(pc1, { idempotencyKey: "k", onNotification: (notification) => heard.push(notification) });
    await fleet.until(() => desk.asked.length === 1);
    fleet.drop(pc1, pc2);
    await fleet.until(() => pc2.router.session(pc1.identity.hubId) === undefined);
    await fleet.until(() => pc2.router.session(pc1.identity.hubId) !== undefined, 100);
    // And goes on hearing that it waits, so that its deadline does not end it.
    heard.length = 0;
    desk.asked[0]!.notify({ method: "notifications/progress", params: { progress: -0.5 } });
    await fleet.until(() => heard.length === 1);
    desk.allow();
    await fleet.until(() => ran.length === 1);
    expect(await calling).toEqual({ content: [] });
    expect(desk.asked).toHaveLength(1);
  });
});

describe("the risk of a tool", () => {
  it("that is unknown is looked up before it is decided, and only for those who may see the app", async () => {
    const { desk, pc1, pc2 } = await stage();
    const asked: string[] = [];
    const seen: unknown[] = [];
    desk.ask = ({ risk }) => void seen.push(risk) as never;
    const hub = fleet.hub("pc3", {
      consent: desk,
      apps: {
        list: () => [{ app: "notes", status: "ready" }],
        call: async () => ({ content: [] }),
        hints: (_app, tool) => (asked.includes(tool) && tool !== "unheard-of" ? { risk: "execute" } : undefined),
        async learn(_app, tool) {
          asked.push(tool);
          if (tool === "broken") throw new FedError({ code: "APP_FAILED", message: "It does not answer." });
        },
      },
    });
    const callHere = (tool: string) =>
      hub.router.call({ app: "notes", method: "tools/call", params: { name: tool } }, { caller: hub.caller });
    await callHere("delete");
    await callHere("delete");
    await callHere("unheard-of");
    hub.decide = ({ action }) => ({ allow: action === "call", rule: "hidden", reason: "" });
    await callHere("other");
    expect(asked).toEqual(["delete", "unheard-of"]);
    expect(seen).toEqual(["execute", "execute", undefined, undefined]);
    expect([pc1, pc2]).toBeDefined();
  });
});

/** `work`, with the time it takes. */
async function settled<T>(work: Promise<T>): Promise<T> {
  let done = false;
  work.then(
    () => (done = true),
    () => (done = true),
  );
  await fleet.until(() => done);
  return work;
}
