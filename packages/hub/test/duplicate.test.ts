import { cpSync } from "node:fs";
import { expectCode } from "@fed/core/testing";
import { describe, expect, it } from "vitest";
import { DuplicateWatch } from "../src/cluster/duplicate.js";
import { addressOf, loopback, pair, TestFleet, testApp } from "./fleet.js";

describe("a process whose state was copied", () => {
  it("leaves every network when the copy has come, says why, and keeps its own apps for its own agents", async () => {
    await using fleet = new TestFleet();
    const { pc1, pc2: before } = await pair(fleet);
    await before.close();
    cpSync(fleet.dirOf("pc2"), fleet.dirOf("copy"), { recursive: true });
    const lan = { ...loopback, peers: [addressOf(pc1)] };
    const older = await fleet.hub("pc2", { lan, apps: { echo: testApp() }, http: { host: "127.0.0.1", port: 0 } });
    await older.apps.settled();
    await expect.poll(() => older.cluster.peers()[0]?.path).toBe("lan");
    expect((await fetch(`${older.url}/readyz`)).status).toBe(200);

    const newer = await fleet.hub("pc2", { dir: fleet.dirOf("copy"), lan });
    await expect.poll(() => newer.cluster.peers()[0]?.path).toBe("lan");
    await expect
      .poll(() => older.cluster.status().stopped)
      .toMatchObject({ code: "HUB_DUPLICATE", hint: expect.stringContaining("copy") });
    await expect.poll(() => older.cluster.status().lan).toBeUndefined();
    const operator = older.operators.local("tester");
    const echo = { app: "echo", tool: "echo", arguments: { text: "here" } };
    await expectCode(older.apps.call({ hub: "pc1", ...echo }, { operator }), "HUB_DUPLICATE");
    expect(await older.apps.call({ hub: "pc2", ...echo }, { operator })).toMatchObject({ content: [{ text: "here" }] });
    const ready = await fetch(`${older.url}/readyz`);
    expect([ready.status, await ready.text()]).toEqual([503, expect.stringContaining("HUB_DUPLICATE")]);
    expect((await older.audit.tail(20)).map(({ record }) => record.type)).toContain("federation.stopped");
    expect(newer.cluster.status().stopped).toBeUndefined();
    expect([newer, pc1].map((hub) => hub.cluster.peers()[0]?.path)).toEqual(["lan", "lan"]);
  });

  it("does not take one peer's word for it while others count it", () => {
    let connected = ["b", "c", "d"];
    let left = 0;
    const watch = new DuplicateWatch({
      connected: () => connected.map((hubId) => ({ hubId })),
      leave: async () => void left++,
      audit: { note() {} },
      log: { info() {}, warn() {} },
    });
    watch.displacedBy("b");
    expect(watch.stopped).toBeUndefined();
    connected = ["c", "d"];
    watch.weigh();
    expect(watch.stopped).toBeUndefined();
    watch.displacedBy("c");
    expect(watch.stopped).toMatchObject({ code: "HUB_DUPLICATE" });
    watch.displacedBy("d");
    return expect.poll(() => left).toBe(1);
  });
});
