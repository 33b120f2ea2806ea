import { expectCode } from "@fed/core/testing";
import { startRelay } from "@fed/relay";
import { describe, expect, it } from "vitest";
import { type AppLog, loopback, TestFleet, testApp } from "./fleet.js";

describe("a hub on its own", () => {
  it("lists and calls its apps", async () => {
    await using fleet = new TestFleet();
    const hub = await fleet.hub("alone", { apps: { echo: testApp() } });
    const operator = hub.operators.local("tester");
    await hub.apps.settled();
    expect(await hub.apps.list({ operator })).toMatchObject([
      { hub: "alone", app: "echo", path: "local", status: "ready" },
    ]);
    const result = await hub.apps.call({ app: "echo", tool: "echo", arguments: { text: "hi" } }, { operator });
    expect(result).toMatchObject({ content: [{ type: "text", text: "hi" }] });
  });
});

describe("two hubs on one LAN", () => {
  it("join, share, list and call", async () => {
    await using fleet = new TestFleet();
    const pc1 = await fleet.hub("pc1", { lan: loopback });
    await pc1.cluster.create({ name: "home" });
    const address = pc1.cluster.status().lan!.addresses[0]!;
    const pc2 = await fleet.hub("pc2", {
      lan: { ...loopback, peers: [address] },
      apps: { echo: testApp(), secret: testApp() },
    });
    await pc2.apps.settled();
    const joined = await pc2.cluster.join(await pc1.cluster.invite());
    expect(joined).toEqual({ via: "lan", connected: true });
    await pc2.sharing.share("echo", "cluster");

    const operator = pc1.operators.local("tester");
    expect((await pc1.apps.list({ operator })).map(({ hub, app, path }) => `${hub}/${app} ${path}`)).toEqual([
      "pc2/echo lan",
    ]);
    const result = await pc1.apps.call(
      { hub: "pc2", app: "echo", tool: "echo", arguments: { text: "over the LAN" } },
      { operator },
    );
    expect(result).toMatchObject({ content: [{ type: "text", text: "over the LAN" }] });
    await expectCode(
      pc1.apps.call({ hub: "pc2", app: "secret", tool: "echo", arguments: { text: "x" } }, { operator }),
      "SHARING_DENIED",
    );
  });
});

describe("hubs across a relay", () => {
  it("join through it, call through it, and are cut off when revoked", async () => {
    await using fleet = new TestFleet();
    const founded = await fleet.hub("pc1", { relays: false });
    await founded.cluster.create({ name: "home" });
    const { relayAdmissionKey } = founded.cluster.status();
    await founded.close();
    await using relay = await startRelay({ admissionKeys: [relayAdmissionKey] });
    const pc1 = await fleet.hub("pc1", { relays: [relay.url] });
    await expect.poll(() => pc1.cluster.status().relays[0]?.status, { timeout: 15_000 }).toBe("up");

    const log: AppLog = { calls: [], cancelled: 0 };
    const phone = await fleet.hub("phone", { relays: [relay.url], apps: { echo: testApp(log) } });
    await phone.apps.settled();
    expect(await phone.cluster.join(await pc1.cluster.invite())).toEqual({ via: "relay", connected: true });
    await phone.sharing.share("echo", "cluster");

    const operator = pc1.operators.local("tester");
    const call = (tool: string, args: object = {}, options: object = {}) =>
      pc1.apps.call({ hub: "phone", app: "echo", tool, arguments: { ...args } }, { operator, ...options });
    expect(await call("echo", { text: "far" })).toMatchObject({ content: [{ text: "far" }] });

    const progress: unknown[] = [];
    await call(
      "count",
      { to: 3 },
      {
        onNotification: ({ params }: { params?: unknown }) => progress.push((params as { progress: number }).progress),
      },
    );
    expect(progress).toEqual([1, 2, 3]);

    const cancel = new AbortController();
    const waiting = call("wait", {}, { signal: cancel.signal });
    await expect.poll(() => log.calls).toContain("wait");
    cancel.abort();
    await expectCode(waiting, "ABORTED");
    await expect.poll(() => log.cancelled).toBe(1);

    const report = await pc1.cluster.revoke({ kind: "hub", id: "phone" }, "lost");
    expect(report.number).toBe(1);
    await expectCode(call("echo", { text: "again" }), "HUB_REVOKED");
    expect((await pc1.audit.verify()).records).toBeGreaterThan(0);
    expect((await phone.audit.verify()).records).toBeGreaterThan(0);
  });
});
