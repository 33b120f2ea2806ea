import { expectCode } from "@fed/core/testing";
import { describe, expect, it } from "vitest";
import type { Hub, Operator } from "../src/index.js";
import { type AppLog, addressOf, createCalendar, loopback, pair, TestFleet, testApp } from "./fleet.js";

const secondsPerDay = 24 * 60 * 60;

function call(from: Hub, operator: Operator, tool = "echo", options: object = {}): Promise<unknown> {
  return from.apps.call({ hub: "pc2", app: "echo", tool, arguments: { text: "x", to: 1 } }, { operator, ...options });
}

async function seen(from: Hub, operator: Operator): Promise<string[]> {
  return (await from.apps.list({ operator })).map(({ hub, app }) => `${hub}/${app}`);
}

async function toolsOf(from: Hub, operator: Operator): Promise<string[]> {
  const { tools } = await from.apps.describe({ hub: "pc2", app: "echo" }, { operator });
  return tools.map(({ name }) => name);
}

describe("sharing", () => {
  it("shows and allows nothing until somebody shares", async () => {
    await using fleet = new TestFleet();
    const { pc1, pc2 } = await pair(fleet, { pc2: { apps: { echo: testApp() } } });
    const operator = pc1.operators.local("tester");
    expect(await seen(pc1, operator)).toEqual([]);
    const error = await expectCode(call(pc1, operator), "SHARING_DENIED");
    expect(error.hint).toContain("fed share");

    await pc2.sharing.share("echo", "cluster");
    await expect.poll(() => seen(pc1, operator)).toEqual(["pc2/echo"]);
    await call(pc1, operator);
    await pc2.sharing.unshare("echo", "cluster");
    await expect.poll(() => seen(pc1, operator)).toEqual([]);
    await expectCode(call(pc1, operator), "SHARING_DENIED");
    await expectCode(pc2.sharing.share("echo", "everybody"), "SHARE_TARGET_MALFORMED");
  });

  it("goes by the role and by the principal that the home hub vouches for", async () => {
    await using fleet = new TestFleet();
    const { pc1, pc2 } = await pair(fleet, { pc2: { apps: { echo: testApp() } } });
    const nurse = pc1.operators.local("ann", { roles: ["nurse"] });
    const guest = pc1.operators.local("bob");
    await pc2.sharing.share("echo", "role:nurse");
    expect(await seen(pc1, nurse)).toEqual(["pc2/echo"]);
    expect(await seen(pc1, guest)).toEqual([]);
    await call(pc1, nurse);
    await expectCode(call(pc1, guest), "SHARING_DENIED");

    await pc2.sharing.share("echo", `principal:${guest.principal}`);
    await call(pc1, guest);
    // The name alone is not enough: bob of another hub is somebody else.
    await pc2.sharing.unshare("echo", `principal:${guest.principal}`);
    await pc2.sharing.share("echo", `principal:bob@${pc2.hubId}`);
    await expectCode(call(pc1, guest), "SHARING_DENIED");
  });

  it("of one tool shows and allows that tool alone", async () => {
    await using fleet = new TestFleet();
    const { pc1, pc2 } = await pair(fleet, { pc2: { apps: { echo: testApp() } } });
    const operator = pc1.operators.local("tester");
    await pc2.sharing.share("echo", "cluster", { tool: "count" });
    expect(await seen(pc1, operator)).toEqual(["pc2/echo"]);
    expect(await toolsOf(pc1, operator)).toEqual(["count"]);
    await call(pc1, operator, "count");
    await expectCode(call(pc1, operator, "echo"), "SHARING_DENIED");
  });

  it("changed many times at once loses no change", async () => {
    await using fleet = new TestFleet();
    const hub = await fleet.hub("pc1");
    const apps = Array.from({ length: 20 }, (_, i) => `app-${i}`);
    await Promise.all(apps.map((app) => hub.sharing.share(app, "cluster")));
    expect(Object.keys(hub.sharing.policy.apps)).toHaveLength(20);
  });

  it("outlives a restart", async () => {
    await using fleet = new TestFleet();
    const { pc1, pc2 } = await pair(fleet, { pc2: { apps: { echo: testApp() } } });
    await pc2.sharing.share("echo", "cluster");
    await pc2.close();
    const again = await fleet.hub("pc2", {
      lan: { ...loopback, peers: [addressOf(pc1)] },
      apps: { echo: testApp(), other: testApp() },
    });
    await again.apps.settled();
    await expect.poll(() => pc1.cluster.peers()[0]?.path, { timeout: 5_000 }).toBe("lan");
    expect(await seen(pc1, pc1.operators.local("tester"))).toEqual(["pc2/echo"]);
  });
});

describe("a revocation", () => {
  it("of a hub ends its running call at once, on both sides", async () => {
    await using fleet = new TestFleet();
    const log: AppLog = { calls: [], cancelled: 0 };
    const { pc1, pc2 } = await pair(fleet, { pc2: { apps: { echo: testApp(log) } } });
    await pc2.sharing.share("echo", "cluster");
    const waiting = call(pc1, pc1.operators.local("tester"), "wait");
    waiting.catch(() => {});
    await expect.poll(() => log.calls).toEqual(["wait"]);
    const report = await pc1.cluster.revoke({ kind: "hub", id: "pc2" }, "lost");
    expect(report.hereMs).toBeLessThan(1_000);
    await expectCode(waiting, "OUTCOME_UNKNOWN");
    await expect.poll(() => log.cancelled).toBe(1);
  });

  it("of an operator ends that operator's call and refuses the next, and nobody else's", async () => {
    await using fleet = new TestFleet();
    const log: AppLog = { calls: [], cancelled: 0 };
    const { pc1, pc2 } = await pair(fleet, { pc2: { apps: { echo: testApp(log) } } });
    await pc2.sharing.share("echo", "cluster");
    const ann = pc1.operators.local("ann");
    const bob = pc1.operators.local("bob");
    const waiting = call(pc1, ann, "wait");
    waiting.catch(() => {});
    await expect.poll(() => log.calls).toEqual(["wait"]);
    const report = await pc1.cluster.revoke({ kind: "operator", id: ann.principal }, "left");
    expect(report.heldBy).toMatchObject([{ name: "pc2" }]);
    await expectCode(waiting, "OPERATOR_REVOKED");
    await expect.poll(() => log.cancelled).toBe(1);
    await expectCode(call(pc1, ann), "OPERATOR_REVOKED");
    await expectCode(pc1.apps.list({ operator: ann }), "OPERATOR_REVOKED");
    await call(pc1, bob);
  });

  it("reaches a hub that was off, which then cuts off whom it names", async () => {
    await using fleet = new TestFleet();
    const { pc1, pc2 } = await pair(fleet, { pc2: { apps: { echo: testApp() } } });
    await pc2.sharing.share("echo", "cluster");
    await pc2.close();
    const ann = pc1.operators.local("ann");
    const report = await pc1.cluster.revoke({ kind: "operator", id: ann.principal }, "left");
    expect(report.notReached).toMatchObject([{ name: "pc2" }]);
    const again = await fleet.hub("pc2", { lan: { ...loopback, peers: [addressOf(pc1)] }, apps: { echo: testApp() } });
    await expect.poll(() => again.cluster.revocations()?.entries.length, { timeout: 5_000 }).toBe(1);
    expect(again.cluster.status().revocations).toBe(1);
    // And it is kept.
    await again.close();
    const third = await fleet.hub("pc2");
    expect(third.cluster.revocations()?.entries).toMatchObject([{ kind: "operator", id: ann.principal }]);
  });

  it("is refused for the hub itself, an unknown hub, and on a hub that is no authority", async () => {
    await using fleet = new TestFleet();
    const { pc1, pc2 } = await pair(fleet);
    await expectCode(pc1.cluster.revoke({ kind: "hub", id: "pc1" }, ""), "SELF_REVOCATION");
    await expectCode(pc1.cluster.revoke({ kind: "hub", id: "pc9" }, ""), "HUB_UNKNOWN");
    await expectCode(pc2.cluster.revoke({ kind: "hub", id: "pc1" }, ""), "NOT_THE_AUTHORITY");
    const alone = await fleet.hub("alone");
    await expectCode(alone.cluster.revoke({ kind: "hub", id: "pc1" }, ""), "NOT_IN_CLUSTER");
  });
});

describe("the manifest", () => {
  it("is caught up with over many versions by a hub that was off", async () => {
    await using fleet = new TestFleet();
    const clock = createCalendar({ daysAgo: 1 });
    const { pc1, pc2 } = await pair(fleet, { pc1: { clock }, pc2: { clock } });
    await pc2.close();
    for (let i = 0; i < 8; i++) {
      // Guests are let in one by one in a second.
      clock.pass(2 / secondsPerDay);
      const more = await fleet.hub(`more-${i}`, { clock, lan: { ...loopback, peers: [addressOf(pc1)] } });
      await more.cluster.join(await pc1.cluster.invite());
      await more.close();
    }
    const { manifestVersion } = pc1.cluster.status();
    expect(manifestVersion).toBe(11);
    const again = await fleet.hub("pc2", { clock, lan: { ...loopback, peers: [addressOf(pc1)] } });
    expect(again.cluster.status().manifestVersion).toBe(3);
    await expect.poll(() => again.cluster.status().manifestVersion, { timeout: 5_000 }).toBe(manifestVersion);
    expect(again.cluster.peers()).toHaveLength(9);
  });
});
