import { once } from "node:events";
import { createServer } from "node:net";
import { expectCode } from "@fed/core/testing";
import { type RunningRelay, startRelay } from "@fed/relay";
import { describe, expect, it } from "vitest";
import type { Hub } from "../src/index.js";
import { TestFleet, testApp } from "./fleet.js";

const longPause = { timeout: 20_000 };

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, "close");
  return port;
}

/** Two hubs that only a relay connects; `open` starts it on its port. */
async function apart(fleet: TestFleet) {
  const port = await freePort();
  const relays = [`ws://127.0.0.1:${port}`];
  const pc1 = await fleet.hub("pc1", { relays });
  await pc1.cluster.create({ name: "home" });
  const { relayAdmissionKey } = pc1.cluster.status();
  const open = (): Promise<RunningRelay> => startRelay({ port, admissionKeys: [relayAdmissionKey] });
  return { relays, pc1, open };
}

function echo(from: Hub): Promise<unknown> {
  const operator = from.operators.local("tester");
  return from.apps.call({ hub: "phone", app: "echo", tool: "echo", arguments: { text: "far" } }, { operator });
}

const relayOf = (hub: Hub) => hub.cluster.status().relays[0];

describe("a relay", () => {
  it("that is down at the start, comes, goes and comes again", async () => {
    await using fleet = new TestFleet();
    const { relays, pc1, open } = await apart(fleet);
    await expect.poll(() => relayOf(pc1)?.error?.code).toBeTruthy();
    expect(relayOf(pc1)?.status).not.toBe("up");
    await expectCode(pc1.cluster.invite(), "NO_INVITE_ADDRESS");

    let relay = await open();
    await expect.poll(() => relayOf(pc1)?.status, longPause).toBe("up");
    const phone = await fleet.hub("phone", { relays, apps: { echo: testApp() } });
    await phone.apps.settled();
    await phone.cluster.join(await pc1.cluster.invite());
    await phone.sharing.share("echo", "cluster");
    await echo(pc1);
    const operator = pc1.operators.local("tester");
    expect(await pc1.apps.list({ operator })).toMatchObject([{ app: "echo", path: "relay", status: "ready" }]);

    await relay.close();
    await expect.poll(() => relayOf(pc1)?.status).not.toBe("up");
    await expectCode(echo(pc1), "HUB_UNREACHABLE");
    expect(await pc1.apps.list({ operator })).toMatchObject([{ app: "echo", status: "offline", stale: true }]);

    relay = await open();
    await expect
      .poll(
        () =>
          echo(pc1).then(
            () => "ran",
            (error: { code: string }) => error.code,
          ),
        longPause,
      )
      .toBe("ran");

    // A revoked hub does not come back this way either.
    await pc1.cluster.revoke({ kind: "hub", id: "phone" }, "lost");
    await phone.close();
    const again = await fleet.hub("phone", { relays, apps: { echo: testApp() } });
    await expect
      .poll(async () => (await pc1.audit.tail(200)).map(({ record }) => record.code), longPause)
      .toContain("HUB_REVOKED");
    expect(again.cluster.peers()[0]?.path).toBeUndefined();
    await expectCode(echo(pc1), "HUB_REVOKED");
    await relay.close();
  }, 60_000);
});
