import { cpSync } from "node:fs";
import { expectCode } from "@fed/core/testing";
import { describe, expect, it } from "vitest";
import { DuplicateWatch } from "../src/cluster/duplicate.js";
import { Networks, type NetworksOptions } from "../src/cluster/networks.js";
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
});

describe("whose word stops a hub", () => {
  function watching(...names: string[]) {
    const state = { members: names, left: 0 };
    const watch = new DuplicateWatch({
      members: () => state.members,
      leave: async () => void state.left++,
      audit: { note() {} },
      log: { info() {}, warn() {} },
    });
    return { watch, state };
  }
  const stopped = { code: "HUB_DUPLICATE" };

  it("is that of more than half of the other members, once", async () => {
    const { watch, state } = watching("b", "c", "d", "e");
    for (const member of ["b", "b", "c"]) watch.displacedBy(member);
    expect(watch.stopped).toBeUndefined();
    watch.displacedBy("d");
    expect(watch.stopped).toMatchObject(stopped);
    watch.displacedBy("e");
    await expect.poll(() => state.left).toBe(1);
  });

  it("in a cluster of two is that of the one other", () => {
    const { watch } = watching("b");
    watch.displacedBy("b");
    expect(watch.stopped).toMatchObject(stopped);
  });

  it("is not that of one, though it is the only one that is connected: the first met, or the last that is left", async () => {
    await using fleet = new TestFleet();
    const { pc1, pc2 } = await pair(fleet);
    const pc3 = await fleet.hub("pc3", { lan: { ...loopback, peers: [addressOf(pc1)] } });
    await pc3.cluster.join(await pc1.cluster.invite());
    await expect.poll(() => pc2.cluster.peers().length).toBe(2);
    await pc3.close();
    await pc2.close();
    cpSync(fleet.dirOf("pc2"), fleet.dirOf("copy"), { recursive: true });
    const lan = { ...loopback, peers: [addressOf(pc1)] };
    const older = await fleet.hub("pc2", { lan });
    await expect.poll(() => older.cluster.peers()[0]?.path).toBe("lan");
    await fleet.hub("pc2", { dir: fleet.dirOf("copy"), lan });
    const operator = older.operators.local("tester");
    const answer = () => older.apps.call({ hub: "pc1", app: "x", tool: "x" }, { operator }).catch(({ code }) => code);
    await expect.poll(answer).toBe("HUB_DUPLICATE");
    expect(older.cluster.status().stopped).toBeUndefined();
    expect(older.cluster.status().lan).toBeDefined();
  });

  it("is not that of a member that is one no more, and counts for more when another is gone", () => {
    const { watch, state } = watching("b", "c", "d");
    watch.displacedBy("b");
    state.members = ["c", "d"];
    watch.weigh();
    watch.displacedBy("c");
    expect(watch.stopped).toBeUndefined();
    state.members = ["c"];
    watch.weigh();
    expect(watch.stopped).toMatchObject(stopped);
  });

  it("is not that of a member that counts this process again", () => {
    const { watch } = watching("b", "c");
    watch.displacedBy("b");
    watch.countedBy("b");
    watch.displacedBy("c");
    expect(watch.stopped).toBeUndefined();
    watch.displacedBy("b");
    expect(watch.stopped).toMatchObject(stopped);
  });

  it("changes nothing once the hub closes, heard before or after", async () => {
    const before = watching("b");
    before.watch.displacedBy("b");
    before.watch.close();
    const after = watching("b");
    after.watch.close();
    after.watch.displacedBy("b");
    await Promise.resolve();
    await Promise.resolve();
    expect([before.state.left, after.state.left]).toEqual([0, 0]);
    expect(after.watch.stopped).toBeUndefined();
  });

  it("enters no network when the hub was closed while it left them", async () => {
    const networks = new Networks({
      membership: { joined: false, onChange() {} },
      // Asked for between leaving and entering.
      parts: () => networks.close(),
    } as unknown as NetworksOptions);
    await networks.refederate();
    expect(networks.federation).toBeUndefined();
  });
});
