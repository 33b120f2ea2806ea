import { encodeBase64Url } from "@fed/core";
import { afterEach, describe, expect, it } from "vitest";
import { createTestCluster, type TestCluster } from "./fixture/cluster.js";
import { createTestLan, type HubProcess, namespacesUnavailable, startHub, type TestLan } from "./fixture/namespaces.js";

const reason = namespacesUnavailable();
if (reason) console.info(`Skipped, multicast between network namespaces: ${reason}.`);

const candidate = (address: string, present: boolean) => (event: Record<string, unknown>) =>
  event.event === "candidate" && event.address === address && event.present === present;
const said = (name: string) => (event: Record<string, unknown>) => event.event === name;

describe.skipIf(reason !== undefined)("real multicast between network namespaces", () => {
  let lan: TestLan;
  let hubs: HubProcess[] = [];

  afterEach(async () => {
    for (const { child } of hubs) child.kill("SIGKILL");
    hubs = [];
    lan.close();
  });

  async function start(cluster: TestCluster, number: number, dial = false): Promise<HubProcess & { address: string }> {
    const { leaf, privateKeyPem } = await cluster.enrol();
    const hub = startHub(lan.namespace(number), {
      leaf: encodeBase64Url(leaf),
      ca: encodeBase64Url(cluster.ca),
      privateKeyPem,
      clusterId: cluster.clusterId,
      bootId: `boot-${number}`,
      dial,
    });
    hubs.push(hub);
    const { addresses } = await hub.next(said("listening"));
    const address = (addresses as string[]).find((text) => text.startsWith(`10.99.0.${number}:`));
    return { ...hub, address: address! };
  }

  it("hubs find each other, talk over TLS, come back after a re-created interface, and say goodbye", async () => {
    lan = createTestLan();
    lan.plug(1);
    lan.plug(2);
    const cluster = await createTestCluster();
    const a = await start(cluster, 1, true);
    const startedAtMs = performance.now();
    const b = await start(cluster, 2);
    await a.next(candidate(b.address, true));
    console.info(`Found ${Math.round(performance.now() - startedAtMs)} ms after the other process was started.`);
    const messages = [await a.next(said("message")), await a.next(said("message"))];
    for (const { text } of messages) expect(text).toMatch(/^hello \w+ from \w+$/);
    const [v4, v6] = messages.map(({ address }) => String(address)).sort();
    expect(v4).toBe(b.address);
    expect(v6).toMatch(/^\[fe80::.+%eth0\]:\d+$/);
    await b.next(candidate(a.address, true));

    lan.unplug(1);
    await a.next(candidate(b.address, false));
    lan.plug(1);
    const pluggedAtMs = performance.now();
    await a.next(candidate(b.address, true));
    console.info(`Found again ${Math.round(performance.now() - pluggedAtMs)} ms after the interface was re-created.`);
    await a.next((event) => event.event === "message" && event.address === b.address);

    const leftAtMs = performance.now();
    const left = b.leave();
    await a.next(candidate(b.address, false));
    console.info(`Goodbye seen after ${Math.round(performance.now() - leftAtMs)} ms.`);
    await left;
  });

  it("the re-created interface is heard on again also when nobody told it so in between", async () => {
    lan = createTestLan();
    lan.plug(1);
    lan.plug(2);
    const cluster = await createTestCluster();
    const a = await start(cluster, 1);
    lan.unplug(1);
    lan.plug(1);
    const b = await start(cluster, 2);
    await a.next(candidate(b.address, true));
    await b.next(candidate(a.address, true));
  });
});
