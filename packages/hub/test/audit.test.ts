import { join } from "node:path";
import { expectCode } from "@fed/core/testing";
import { describe, expect, it } from "vitest";
import { type AppLog, pair, TestFleet, testApp, tinyDisk } from "./fleet.js";

describe("an audit log that cannot be written", () => {
  it("stops calls before they have an effect, and goes on once there is space", async () => {
    await using fleet = new TestFleet();
    using disk = tinyDisk("2m");
    if (!disk) return;
    const log: AppLog = { calls: [], cancelled: 0 };
    const { pc1, pc2 } = await pair(fleet, {
      pc2: { dir: join(disk.path, "pc2"), apps: { echo: testApp(log) } },
    });
    await pc2.sharing.share("echo", "cluster");
    const operator = pc1.operators.local("tester");
    const echo = (text: string) =>
      pc1.apps.call({ hub: "pc2", app: "echo", tool: "echo", arguments: { text } }, { operator });
    await echo("before");

    disk.fill();
    // What fits into the last block of the file still goes in.
    await expect
      .poll(
        () =>
          echo("while full").then(
            () => "ran",
            (error: { code: string }) => error.code,
          ),
        { timeout: 10_000, interval: 1 },
      )
      .toMatch(/^AUDIT_/);
    const ran = log.calls.length;
    for (let i = 0; i < 3; i++) {
      const error = await expectCode(echo("refused"), "AUDIT_UNAVAILABLE");
      expect(error.hint).toBeTruthy();
      expect(error.retryable).toBe(true);
    }
    expect(log.calls).toHaveLength(ran);
    expect(log.calls).not.toContain("refused");
    expect((await pc1.apps.list({ operator })).map(({ status }) => status)).toEqual(["ready"]);

    disk.free();
    await expect
      .poll(
        () =>
          echo("after").then(
            () => "ran",
            () => "refused",
          ),
        { timeout: 10_000 },
      )
      .toBe("ran");
    await pc2.audit.verify();
    const decided = (await pc2.audit.tail(1000)).filter(
      ({ record }) => record.type === "call.decision" && record.decision === "allow",
    );
    expect(decided.length).toBeGreaterThanOrEqual(log.calls.length);
    await pc2.close();
  });
});

describe("an audit log", () => {
  it("holds refusals, and no secrets", async () => {
    await using fleet = new TestFleet();
    const { pc1, pc2 } = await pair(fleet, { pc2: { apps: { echo: testApp() } } });
    const operator = pc1.operators.local("tester");
    await expectCode(
      pc1.apps.call(
        { hub: "pc2", app: "echo", tool: "echo", arguments: { text: "the secret plan" } },
        { operator, idempotencyKey: "k" },
      ),
      "SHARING_DENIED",
    );
    const token = await pc1.cluster.invite();
    const records = [...(await pc1.audit.tail(100)), ...(await pc2.audit.tail(100))];
    const text = JSON.stringify(records);
    expect(text).not.toContain("secret plan");
    expect(text).not.toContain(token.split(".")[1]);
    expect(records.map(({ record }) => record)).toContainEqual(
      expect.objectContaining({ type: "call.decision", decision: "deny", operator: operator.principal }),
    );
    expect((await pc2.audit.verify()).records).toBeGreaterThan(0);
  });
});
