import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { encodeUtf8, type PeerIdentity, type Session } from "@fed/core";
import { createMemorySessionPair } from "@fed/core/memory";
import { createTestClock, expectCode } from "@fed/core/testing";
import { describe, expect, it } from "vitest";
import type { Membership } from "../src/cluster/membership.js";
import type { PeerLeaves } from "../src/cluster/peer-leaves.js";
import { createRenewal } from "../src/cluster/renewal.js";
import type { Hub } from "../src/index.js";
import { addressOf, createCalendar, loopback, pair, TestFleet, testApp } from "./fleet.js";

const secondsPerDay = 24 * 60 * 60;
const dayMs = 24 * 60 * 60_000;

async function echo(from: Hub, to: string): Promise<void> {
  const operator = from.operators.local("tester");
  await from.apps.call({ hub: to, app: "echo", tool: "echo", arguments: { text: "x" } }, { operator });
}

function records(hub: Hub, type: string): Promise<Readonly<Record<string, unknown>>[]> {
  return hub.audit.tail(100).then((entries) => entries.map(({ record }) => record).filter((r) => r.type === type));
}

function serialOf(fleet: TestFleet, hub: Hub): string {
  const [leaf] = hub.cluster.exportPublic(fleet.dirOf("public")).filter((path) => path.endsWith("leaf.pem"));
  return new X509Certificate(readFileSync(leaf!)).serialNumber.toLowerCase();
}

describe("renewal", () => {
  it("gives both hubs new leaves at half of their life, over the session they have", async () => {
    await using fleet = new TestFleet();
    const clock = createCalendar({ daysAgo: 16 });
    const { pc1, pc2 } = await pair(fleet, { pc1: { clock }, pc2: { clock, apps: { echo: testApp() } } });
    await pc2.sharing.share("echo", "cluster");
    const before = pc2.cluster.status().leafExpiresAtMs;
    const serial = serialOf(fleet, pc2);

    clock.pass(14);
    await echo(pc1, "pc2");
    expect(pc2.cluster.status().leafExpiresAtMs).toBe(before);

    clock.pass(2);
    await expect.poll(() => pc2.cluster.status().leafExpiresAtMs).toBeGreaterThan(before + 15 * dayMs);
    await expect.poll(() => pc1.cluster.status().leafExpiresAtMs).toBeGreaterThan(before + 15 * dayMs);
    expect(await records(pc1, "leaf.issued")).toMatchObject([{ hub: pc2.hubId }]);
    await echo(pc1, "pc2");

    // Once the old leaf is revoked only the new one opens a session.
    await pc1.cluster.revoke({ kind: "leaf", id: serial }, "renewed");
    expect(serialOf(fleet, pc2)).not.toBe(serial);
    await expect.poll(() => pc1.cluster.peers()[0]?.path, { timeout: 10_000 }).toBe("lan");
    await echo(pc1, "pc2");
  });

  it("catches up when a hub that was off comes back", async () => {
    await using fleet = new TestFleet();
    const clock = createCalendar({ daysAgo: 20 });
    const { pc1, pc2 } = await pair(fleet, { pc1: { clock }, pc2: { clock } });
    const before = pc2.cluster.status().leafExpiresAtMs;
    await pc2.close();
    clock.pass(20);
    const again = await fleet.hub("pc2", { clock, lan: { ...loopback, peers: [addressOf(pc1)] } });
    await expect
      .poll(() => again.cluster.status().leafExpiresAtMs, { timeout: 10_000 })
      .toBeGreaterThan(before + 19 * dayMs);
  });

  it("signs the manifest anew at half of its life, and members follow", async () => {
    await using fleet = new TestFleet();
    const clock = createCalendar({ daysAgo: 0 });
    const { pc1, pc2 } = await pair(fleet, { pc1: { clock }, pc2: { clock } });
    const { manifestVersion, manifestExpiresAtMs } = pc1.cluster.status();
    for (let days = 0; days < 190; days += 10) {
      clock.pass(10);
      await expect.poll(() => pc1.cluster.status().leafExpiresAtMs - clock.nowMs()).toBeGreaterThan(14 * dayMs);
      await expect.poll(() => pc2.cluster.status().leafExpiresAtMs - clock.nowMs()).toBeGreaterThan(14 * dayMs);
    }
    await expect.poll(() => pc2.cluster.status().manifestVersion).toBe(manifestVersion + 1);
    expect(pc2.cluster.status().manifestExpiresAtMs).toBeGreaterThan(manifestExpiresAtMs + 180 * dayMs);
  });

  it("leaves a hub whose leaf has expired outside, until a new token brings it back as the same member", async () => {
    await using fleet = new TestFleet();
    const clock = createCalendar({ daysAgo: 31 });
    const pc1 = await fleet.hub("pc1", { clock, lan: loopback });
    await pc1.cluster.create({ name: "home" });
    const options = { clock, lan: { ...loopback, peers: [addressOf(pc1)] }, apps: { echo: testApp() } };
    const pc2 = await fleet.hub("pc2", options);
    const joining = pc2.cluster.join(await pc1.cluster.invite());
    await expect.poll(() => pc1.cluster.peers()).toHaveLength(1);
    // OpenSSL goes by the machine's clock and takes no such leaf, so there is no session to wait for.
    clock.pass(30 / secondsPerDay);
    await joining;
    await pc2.sharing.share("echo", "cluster");
    await pc2.close();
    clock.pass(16);
    clock.pass(15);

    const again = await fleet.hub("pc2", options);
    await again.apps.settled();
    await expect
      .poll(async () => (await records(pc1, "peer.refused")).map(({ code }) => code))
      .toContain("LEAF_EXPIRED");
    await expectCode(echo(pc1, "pc2"), "HUB_UNREACHABLE");

    const version = pc1.cluster.status().manifestVersion;
    expect(await again.cluster.join(await pc1.cluster.invite())).toEqual({ via: "lan", connected: true });
    expect(pc1.cluster.status().manifestVersion).toBe(version);
    await echo(pc1, "pc2");
    await expectCode(again.cluster.join(await pc1.cluster.invite()), "ALREADY_IN_CLUSTER");
  });

  it("gives no leaf to a revoked hub", async () => {
    await using fleet = new TestFleet();
    const clock = createCalendar({ daysAgo: 16 });
    const { pc1, pc2 } = await pair(fleet, { pc1: { clock }, pc2: { clock } });
    const before = pc2.cluster.status().leafExpiresAtMs;
    await pc1.cluster.revoke({ kind: "hub", id: "pc2" }, "lost");
    clock.pass(16);
    await expect
      .poll(async () => (await records(pc1, "peer.refused")).map(({ code }) => code))
      .toContain("HUB_REVOKED");
    expect(await records(pc1, "leaf.issued")).toEqual([]);
    expect(pc2.cluster.status().leafExpiresAtMs).toBe(before);
  });
});

describe("a member that asks for leaf after leaf", () => {
  it("gets one a minute", async () => {
    const clock = createTestClock();
    const identity = (hubId: string): PeerIdentity => ({
      hubId,
      clusterId: "c",
      name: hubId,
      thumbprint: "t",
      serial: "1",
      spki: "s",
    });
    const issued: string[] = [];
    const renewal = createRenewal({
      membership: {
        isIssuer: true,
        issueLeaf: async (hubId: string) => ({ hubId, der: new Uint8Array([1]) }),
      } as unknown as Membership,
      peerLeaves: { publicKeyOf: () => new Uint8Array(32) } as unknown as PeerLeaves,
      clock,
      sessions: () => [],
      onIssued: async ({ hubId }) => void issued.push(hubId),
      onError: () => {},
    });
    const [member] = await createMemorySessionPair(
      { identity: identity("member"), handler: { stream() {} } },
      {
        identity: identity("issuer"),
        handler: { stream: (stream) => void renewal.serveRenew({ peer: identity("member") } as Session, stream) },
      },
    );
    const ask = () => {
      const stream = member.open(encodeUtf8('{"k":"renew","v":1}'));
      stream.end();
      return stream.receive();
    };
    expect(await ask()).toEqual(new Uint8Array([1]));
    await expectCode(ask(), "RENEWAL_TOO_SOON");
    await clock.advance(60_000);
    expect(await ask()).toEqual(new Uint8Array([1]));
    expect(issued).toEqual(["member", "member"]);
  });
});
