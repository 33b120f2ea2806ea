import { describe, expect, it } from "vitest";
import { expectCode } from "@fed/core/testing";
import { loopback, testApp, TestFleet } from "./fleet.js";

describe("a hub on its own", () => {
  it("lists and calls its apps", async () => {
    await using fleet = new TestFleet();
    const hub = await fleet.hub("alone", { apps: { echo: testApp() } });
    const operator = hub.operators.local("tester");
    await hub.apps.settled();
    expect(await hub.apps.list({ operator })).toMatchObject([{ hub: "alone", app: "echo", path: "local", status: "ready" }]);
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
    const pc2 = await fleet.hub("pc2", { lan: { ...loopback, peers: [address] }, apps: { echo: testApp(), secret: testApp() } });
    await pc2.apps.settled();
    const joined = await pc2.cluster.join(await pc1.cluster.invite());
    expect(joined).toEqual({ via: "lan", connected: true });
    await pc2.sharing.share("echo", "cluster");

    const operator = pc1.operators.local("tester");
    expect((await pc1.apps.list({ operator })).map(({ hub, app, path }) => `${hub}/${app} ${path}`)).toEqual(["pc2/echo lan"]);
    const result = await pc1.apps.call({ hub: "pc2", app: "echo", tool: "echo", arguments: { text: "over the LAN" } }, { operator });
    expect(result).toMatchObject({ content: [{ type: "text", text: "over the LAN" }] });
    await expectCode(pc1.apps.call({ hub: "pc2", app: "secret", tool: "echo", arguments: { text: "x" } }, { operator }), "SHARING_DENIED");
  });
});
