import { expect, it } from "vitest";
import { type AppLog, TestFleet, testApp } from "./fleet.js";

it("a call repeated under its key runs once, and another body under it is refused", async () => {
  await using fleet = new TestFleet();
  const log: AppLog = { calls: [], cancelled: 0 };
  const hub = await fleet.hub("alone", { apps: { echo: testApp(log) } });
  const operator = hub.operators.local("tester");
  const call = (text: string) =>
    hub.apps.call({ app: "echo", tool: "echo", arguments: { text } }, { operator, idempotencyKey: "once" });
  const first = await call("a");
  expect(await call("a")).toEqual(first);
  expect(log.calls).toEqual(["a"]);
  await expect(call("b")).rejects.toMatchObject({ code: "IDEMPOTENCY_MISMATCH" });
});
