import { FedError } from "@fed/core";
import { createTestClock, expectCode } from "@fed/core/testing";
import type { ConsentGiven, ConsentRequest, Notification } from "@fed/router";
import { beforeEach, describe, expect, it } from "vitest";
import { ApprovalDesk, approvalLimits } from "../../src/consent/approval-desk.js";

const clock = createTestClock();
const boss = { operator: { principal: "boss@pc2" } };
let desk: ApprovalDesk;
let records: object[];
let refuseRecords: boolean;
beforeEach(() => {
  records = [];
  refuseRecords = false;
  desk = new ApprovalDesk({
    name: "pc2",
    timeoutMs: 120_000,
    clock,
    nameOfHub: (hubId) => (hubId === "hub-of-pc1" ? "pc1" : undefined),
    shown: () => ({ title: "milk" }),
    async record(event) {
      if (refuseRecords) throw new FedError({ code: "STORE_FULL", message: "Full." });
      records.push(event);
    },
  });
});

interface Asking {
  readonly operator?: string;
  readonly tool?: string;
  readonly risk?: "write" | "execute";
  readonly peer?: string;
  readonly progress?: boolean;
}

let calls = 0;

/** A call that waits, with what it hears and how to cancel it. */
function ask({
  operator = "ann@pc1",
  tool = "write",
  risk = "write",
  peer = "hub-of-pc1",
  progress = false,
}: Asking = {}) {
  const cancel = new AbortController();
  const heard: Notification[] = [];
  const request = {
    callId: `call-${++calls}`,
    app: "notes",
    method: "tools/call",
    params: { name: tool, ...(progress ? { _meta: { progressToken: 0 } } : {}) },
    tool,
    risk,
    caller: { operator, homeHub: "hub-of-pc1", roles: ["nurse"], scope: [], local: false, hubs: ["hub-of-pc1"] },
    peer: { hubId: peer },
    notify: (notification: Notification) => heard.push(notification),
  } as unknown as ConsentRequest;
  const outcome: Promise<ConsentGiven> = desk.decide(request, cancel.signal);
  outcome.catch(() => {});
  return { outcome, cancel, heard };
}

const idOf = (index = 0) => desk.pending()[index]!.id;

describe("an answer", () => {
  it("once allows this call, and the next is asked about again", async () => {
    const { outcome } = ask();
    expect(desk.pending()).toMatchObject([
      {
        operator: "ann@pc1",
        hub: "pc1",
        roles: ["nurse"],
        app: "notes",
        tool: "write",
        risk: "write",
        arguments: { title: "milk" },
      },
    ]);
    await desk.answer(idOf(), "once", boss);
    expect(await outcome).toBe("once");
    expect(records).toMatchObject([
      { type: "approval.answered", decision: "once", by: "boss@pc2", operator: "ann@pc1" },
    ]);
    ask();
    expect(desk.pending()).toHaveLength(1);
  });

  it("session allows what waits alike and what comes, for 12 hours, until it is taken back", async () => {
    const both = [ask(), ask()];
    const other = ask({ operator: "bob@pc1" });
    await desk.answer(idOf(), "session", boss);
    expect(await Promise.all(both.map(({ outcome }) => outcome))).toEqual(["session", "session"]);
    expect(desk.pending()).toMatchObject([{ operator: "bob@pc1" }]);
    expect(await ask().outcome).toBe("session");
    // A tool that can do more by now, another tool and another operator are other questions.
    for (const [index, asking] of [{ risk: "execute" }, { tool: "wipe" }, { operator: "eve@pc1" }].entries()) {
      ask(asking as Asking);
      expect(desk.pending()).toHaveLength(index + 2);
    }
    expect(desk.standing()).toMatchObject([
      { decision: "session", by: "boss@pc2", operator: "ann@pc1", tool: "write" },
    ]);
    await desk.forget(desk.standing()[0]!.id, boss);
    ask();
    expect(desk.pending()).toHaveLength(5);
    other.cancel.abort(new FedError({ code: "ABORTED", message: "" }));

    await desk.answer(desk.pending().at(-1)!.id, "session", boss);
    await clock.advance(12 * 60 * 60_000);
    expect(desk.standing()).toEqual([]);
    ask();
    expect(desk.pending()).toHaveLength(1);
  });

  it("deny refuses this call, never the next ones, too", async () => {
    const first = ask();
    await desk.answer(idOf(), "deny", boss);
    await expectCode(first.outcome, "CONSENT_DENIED");
    const second = ask();
    await desk.answer(idOf(), "never", boss);
    await expectCode(second.outcome, "CONSENT_DENIED");
    await expectCode(ask().outcome, "CONSENT_DENIED");
    expect(desk.pending()).toEqual([]);
    await desk.forget(desk.standing()[0]!.id, boss);
    ask();
    expect(desk.pending()).toHaveLength(1);
    expect(records.map((record) => (record as { type: string }).type)).toEqual([
      "approval.answered",
      "approval.answered",
      "approval.forgotten",
    ]);
  });

  it("is given once: a second one, and one about nothing, is refused", async () => {
    const { outcome } = ask();
    const id = idOf();
    const answers = [desk.answer(id, "once", boss), desk.answer(id, "never", boss)];
    await expectCode(answers[1]!, "APPROVAL_UNKNOWN");
    await answers[0];
    expect(await outcome).toBe("once");
    await expectCode(desk.answer("abcdefgh", "once", boss), "APPROVAL_UNKNOWN");
    await expectCode(desk.forget("abcdefgh", boss), "APPROVAL_UNKNOWN");
  });

  it("that cannot be written down runs nothing", async () => {
    const { outcome } = ask();
    refuseRecords = true;
    await expectCode(desk.answer(idOf(), "session", boss), "STORE_FULL");
    await expectCode(outcome, "STORE_FULL");
    expect(desk.pending()).toEqual([]);
    expect(desk.standing()).toEqual([]);
  });
});

describe("without an answer", () => {
  it("the call is refused after its time", async () => {
    const { outcome } = ask();
    await clock.advance(119_999);
    expect(desk.pending()).toHaveLength(1);
    await clock.advance(1);
    await expectCode(outcome, "CONSENT_TIMEOUT");
    expect(desk.pending()).toEqual([]);
  });

  it("a caller who cancels or is cut off waits no more", async () => {
    const { outcome, cancel } = ask();
    cancel.abort(new FedError({ code: "OPERATOR_REVOKED", message: "" }));
    await expectCode(outcome, "OPERATOR_REVOKED");
    expect(desk.pending()).toEqual([]);
  });

  it("a caller who asked for it hears every 10 s that its call waits, in values that rise and stay below 0", async () => {
    const { heard, cancel } = ask({ progress: true });
    const silent = ask();
    for (let seconds = 0; seconds < 120; seconds += 10) await clock.advance(10_000);
    const values = heard.map(({ params }) => (params as { progress: number }).progress);
    expect(values).toHaveLength(12);
    expect(heard[0]).toEqual({
      method: "notifications/progress",
      params: { progress: -1, message: "waiting for approval on pc2" },
    });
    expect(values).toEqual([...new Set(values)].sort((a, b) => a - b));
    expect(values.at(-1)).toBeLessThan(0);
    expect(silent.heard).toEqual([]);
    cancel.abort(new FedError({ code: "ABORTED", message: "" }));
  });
});

describe("no more wait than", () => {
  it("32 of one operator, 64 of one peer and 256 in all", async () => {
    const refusedAt = async (asking: Asking) => expectCode(ask(asking).outcome, "BUSY");
    for (let index = 0; index < approvalLimits.perOperator; index++) ask({ operator: "ann" });
    await refusedAt({ operator: "ann", peer: "other" });
    for (let index = 0; index < approvalLimits.perPeer - approvalLimits.perOperator; index++)
      ask({ operator: `op-${index}` });
    await refusedAt({ operator: "new" });
    for (let index = 0; desk.pending().length < approvalLimits.pending; index++)
      ask({ operator: `x-${index}`, peer: `p-${index}` });
    await refusedAt({ operator: "newer", peer: "newer" });
    expect(desk.pending()).toHaveLength(256);
    await desk.answer(idOf(), "deny", boss);
    ask({ operator: "newer", peer: "newer" });
    expect(desk.pending()).toHaveLength(256);
  });

  it("1024 standing answers: the oldest is asked about again", async () => {
    for (let index = 0; index <= approvalLimits.standing; index++) {
      ask({ operator: `op-${index}`, peer: `p-${index}` });
      await desk.answer(idOf(), "never", boss);
    }
    expect(desk.standing()).toHaveLength(1024);
    ask({ operator: "op-0" });
    expect(desk.pending()).toHaveLength(1);
    await expectCode(ask({ operator: "op-1" }).outcome, "CONSENT_DENIED");
  });
});

it("watchers hear when something begins or ceases to wait", async () => {
  const seen: number[] = [];
  const stop = desk.watch(() => seen.push(desk.pending().length));
  ask();
  await desk.answer(idOf(), "once", boss);
  ask();
  await clock.advance(120_000);
  stop();
  ask();
  expect(seen).toEqual([1, 0, 1, 0]);
});
