import { describe, it } from "vitest";
import { createTestCluster } from "./fixture/cluster.js";
import {
  candidate,
  createTestLan,
  namespacesUnavailable,
  type ProcessEvent,
  said,
  startHub,
} from "./fixture/namespaces.js";

const reason = namespacesUnavailable();
if (reason) console.info(`Skipped, multicast between network namespaces: ${reason}.`);

const v4 = (number: number, hub: { readonly port: number }) => `10.99.0.${number}:${hub.port}`;
const messageFrom = (hub: { readonly hubId: string }) => (event: ProcessEvent) =>
  event.event === "message" && String(event.text).endsWith(`from ${hub.hubId}`);

describe.skipIf(reason !== undefined).concurrent("real multicast between network namespaces", () => {
  it("hubs find each other, talk over TLS, come back after a re-created interface, and say goodbye", async ({
    expect,
  }) => {
    using lan = createTestLan();
    const cluster = await createTestCluster();
    lan.plug(1);
    lan.plug(2);
    const a = await startHub(lan, cluster, 1, { dial: true });
    const startedAtMs = performance.now();
    const b = await startHub(lan, cluster, 2);
    const found = await a.next(candidate(v4(2, b)));
    console.info(`Found ${Math.round(performance.now() - startedAtMs)} ms after the other process was started.`);
    // One candidate for the hub, with its addresses of both families.
    expect(String(found.address)).toMatch(/^10\.99\.0\.2:\d+,\[fe80::.+%eth0\]:\d+$/);
    expect((await a.next(messageFrom(b))).text).toBe(`hello ${a.hubId} from ${b.hubId}`);
    await b.next(candidate(v4(1, a)));

    lan.unplug(1);
    await a.next(candidate(v4(2, b), false));
    lan.plug(1);
    const pluggedAtMs = performance.now();
    await a.next(candidate(v4(2, b)));
    const foundMs = performance.now() - pluggedAtMs;
    await a.next(messageFrom(b));
    const upMs = performance.now() - pluggedAtMs;
    console.info(
      `Interface re-created: found again after ${Math.round(foundMs)} ms, connected after ${Math.round(upMs)}.`,
    );
    expect(upMs).toBeLessThan(5_000);

    const leftAtMs = performance.now();
    const left = b.leave();
    await a.next(candidate(v4(2, b), false));
    console.info(`Goodbye seen and believed after ${Math.round(performance.now() - leftAtMs)} ms.`);
    await left;
  });

  it("an interface re-created with the same address, unnoticed in between, is heard on again", async () => {
    using lan = createTestLan();
    const cluster = await createTestCluster();
    lan.plug(1);
    lan.plug(2);
    const a = await startHub(lan, cluster, 1);
    lan.unplug(1);
    lan.plug(1);
    const b = await startHub(lan, cluster, 2);
    await a.next(candidate(v4(2, b)));
    await b.next(candidate(v4(1, a)));
  });

  it("hubs without IPv4 find each other and talk", async ({ expect }) => {
    using lan = createTestLan();
    const cluster = await createTestCluster();
    lan.plug(1, { ipv4: false });
    lan.plug(2, { ipv4: false });
    const [a, b] = await Promise.all([startHub(lan, cluster, 1, { dial: true }), startHub(lan, cluster, 2)]);
    await a.next(messageFrom(b));
    const found = a.said.filter(({ event }) => event === "candidate").map(({ address }) => String(address));
    expect(found.every((address) => /^\[fe80::.+%eth0\]:\d+$/.test(address))).toBe(true);
  });

  it("a hub on two networks is found on each at its address there, and finds those on each", async ({ expect }) => {
    using lan = createTestLan();
    const cluster = await createTestCluster();
    lan.plug(1);
    lan.plug(1, { network: 2, as: "eth1" });
    lan.plug(2);
    lan.plug(3, { network: 2 });
    const both = await startHub(lan, cluster, 1);
    const [one, two] = await Promise.all([
      startHub(lan, cluster, 2, { dial: true }),
      startHub(lan, cluster, 3, { dial: true }),
    ]);
    await Promise.all([one.next(messageFrom(both)), two.next(messageFrom(both))]);
    await both.next(candidate(v4(2, one)));
    await expect.poll(() => both.said.some(candidate(`10.98.0.3:${two.port}`))).toBe(true);
    const seenBy = (hub: typeof one) => hub.said.filter(said("candidate")).map(({ address }) => String(address));
    expect(seenBy(one).join()).toContain(v4(1, both));
    expect(seenBy(one).join()).not.toContain("10.98.");
    expect(seenBy(two).join()).toContain(`10.98.0.1:${both.port}`);
    expect(seenBy(two).join()).not.toContain("10.99.");
  });
});
