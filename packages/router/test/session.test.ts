/** The router over the sessions hubs really speak. */
import { expectCode } from "@fed/core/testing";
import { expect, it } from "vitest";
import { createFleet, type Hub } from "./fleet.js";

it("calls, lists, cancels and fails over across @fed/session", async () => {
  const fleet = createFleet();
  const open = (name: string): Hub => fleet.hub(name, { networks: ["lan", "relay"] });
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

  const results: unknown[] = [];
  const gate = Promise.withResolvers<string>();
  b.apps.set("echo", () => gate.promise);
  const running = a.router.call(target, { caller: a.caller }).then((result) => results.push(result));
  await fleet.until(() => b.records.filter(({ type }) => type === "call.decision").length === 3);
  const session = a.router.session(b.identity.hubId);
  const heal = fleet.lan.cut(a.identity.hubId, b.identity.hubId);
  await fleet.until(() => a.router.paths("beta")[0]!.transport === "relay", 250);
  gate.resolve("over the relay");
  await fleet.until(() => results.length === 1, 250);
  await running;
  heal();
  const healedAtMs = fleet.clock.monotonicMs();
  await fleet.until(() => a.router.paths("beta")[0]!.transport === "lan", 250);
  expect(fleet.clock.monotonicMs() - healedAtMs).toBeLessThanOrEqual(15_000);
  expect(a.router.session(b.identity.hubId)).toBe(session);
  const chosen = a.router.pathHistory("beta").filter(({ event }) => event === "chosen");
  expect(chosen.map(({ transport }) => transport).slice(-3)).toEqual(["lan", "relay", "lan"]);
  await fleet.close();
});
