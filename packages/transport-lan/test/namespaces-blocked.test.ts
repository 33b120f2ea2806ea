import { describe, it } from "vitest";
import { createTestCluster } from "./fixture/cluster.js";
import {
  candidate,
  createTestLan,
  type HubProcess,
  namespacesUnavailable,
  type ProcessEvent,
  said,
  startHub,
} from "./fixture/namespaces.js";

const reason = namespacesUnavailable();
if (reason) console.info(`Skipped, blocked multicast in network namespaces: ${reason}.`);

const messageFrom = (hub: HubProcess) => (event: ProcessEvent) =>
  event.event === "message" && String(event.text).endsWith(`from ${hub.hubId}`);

describe.skipIf(reason !== undefined).concurrent("networks that carry less than they should", () => {
  const v4 = (number: number, hub: HubProcess) => `10.99.0.${number}:${hub.port}`;

  it("where multicast is dropped, addresses told over another path connect", async ({ expect }) => {
    using lan = createTestLan();
    const cluster = await createTestCluster();
    for (const number of [1, 2]) {
      lan.plug(number);
      lan.port(number, "mcast_flood", "off");
    }
    const [a, b] = await Promise.all([startHub(lan, cluster, 1, { dial: true }), startHub(lan, cluster, 2)]);
    const addresses = (await b.next(said("addresses"))).addresses as string[];
    expect(addresses).toContain(v4(2, b));
    expect(addresses.some((address) => /^\[fe80::[^%]+\]:\d+$/.test(address))).toBe(true);
    // What lies on no network of ours is not dialled, whoever says it.
    a.tell({ offer: { hubId: b.hubId, addresses: [...addresses, `192.0.2.1:${b.port}`, `127.0.0.1:${b.port}`, "x"] } });
    await a.next(messageFrom(b));
    const candidates = a.said.filter(said("candidate"));
    expect(candidates.map(({ source, hubId }) => [source, hubId])).toEqual([["peer", b.hubId]]);
    expect(String(candidates[0]!.address)).toMatch(/^10\.99\.0\.2:\d+,\[fe80::.+%eth0\]:\d+$/);

    // An interface that goes changes the addresses: they are told again, and the old candidate is withdrawn.
    lan.unplug(2);
    expect((await b.next(said("addresses"))).addresses).not.toContain(v4(2, b));
    a.tell({ offer: { hubId: b.hubId, addresses: [] } });
    await a.next(candidate(v4(2, b), false));
  });

  it("an access point keeps its clients apart; when it lets them, they find each other", async ({ expect }) => {
    using lan = createTestLan();
    const cluster = await createTestCluster();
    for (const number of [1, 2, 3]) lan.plug(number);
    lan.port(1, "isolated", "on");
    lan.port(2, "isolated", "on");
    const [a, b, wired] = await Promise.all([
      startHub(lan, cluster, 1, { dial: true }),
      startHub(lan, cluster, 2),
      startHub(lan, cluster, 3),
    ]);
    await Promise.all([a.next(candidate(v4(3, wired))), b.next(candidate(v4(3, wired)))]);
    await expect.poll(() => [1, 2].every((n) => wired.said.some(candidate(v4(n, n === 1 ? a : b))))).toBe(true);
    expect(a.said.some(candidate(v4(2, b)))).toBe(false);
    expect(b.said.some(candidate(v4(1, a)))).toBe(false);
    lan.port(1, "isolated", "off");
    await a.next(messageFrom(b));
  });
});
