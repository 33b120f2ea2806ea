/** The router over the sessions hubs really speak. */
import { randomBytes } from "@fed/core";
import { expectCode } from "@fed/core/testing";
import { createSession } from "@fed/session";
import { expect, it } from "vitest";
import { createFleet, type Hub } from "./fleet.js";

it("calls, lists, cancels and fails over across @fed/session", async () => {
  const fleet = createFleet();
  const open = (name: string): Hub => {
    const epoch = randomBytes(16);
    return fleet.hub(name, {
      networks: ["lan", "relay"],
      epoch,
      openSession: (connection, handler) => createSession(connection, { handler, epoch, clock: fleet.clock }),
    });
  };
  const [a, b] = [open("alpha"), open("beta")];
  await Promise.all([a.router.start(), b.router.start()]);
  for (const hub of [a, b]) hub.router.setMembers([a, b].map(({ identity }) => ({ ...identity, addresses: [] })));
  const confirmed = (hub: Hub, name: string) =>
    hub.router.paths(name).filter(({ state }) => state === "confirmed").length === 2;
  await fleet.until(() => confirmed(a, "beta") && confirmed(b, "alpha"), 250);
  b.shared.add("echo");
  b.apps.set("echo", ({ params }, { notify }) => {
    notify({ method: "notifications/progress", params: { progress: 1 } });
    return params;
  });
  const seen: unknown[] = [];
  const big = "x".repeat(1_000_000);
  const target = { hub: "beta", app: "echo", method: "x" };
  const options = { caller: a.caller, onNotification: ({ params }: { params?: unknown }) => seen.push(params) };
  expect(await a.router.call({ ...target, params: big }, options)).toBe(big);
  expect(seen).toEqual([{ progress: 1 }]);
  expect(await a.router.list(a.caller)).toMatchObject([{ app: "echo", path: "lan", stale: false }]);

  let aborted = "";
  b.apps.set("echo", (_request, { signal }) => {
    signal.addEventListener("abort", () => {
      aborted = signal.reason.code;
    });
    return new Promise(() => {});
  });
  const cancel = new AbortController();
  const cancelled = expectCode(a.router.call(target, { caller: a.caller, signal: cancel.signal }), "ABORTED");
  await fleet.until(() => b.records.length === 3);
  cancel.abort();
  await cancelled;
  await fleet.until(() => aborted === "ABORTED");

  const lost = expectCode(a.router.call(target, { caller: a.caller }), "OUTCOME_UNKNOWN");
  await fleet.until(() => b.records.filter(({ type }) => type === "call.decision").length === 3);
  b.apps.set("echo", () => "over the relay");
  const heal = fleet.lan.cut(a.identity.hubId, b.identity.hubId);
  await fleet.until(() => a.router.paths("beta")[0]!.transport === "relay", 250);
  expect(await a.router.call(target, { caller: a.caller })).toBe("over the relay");
  await fleet.clock.advance(10_000);
  await lost;
  heal();
  await fleet.close();
});
