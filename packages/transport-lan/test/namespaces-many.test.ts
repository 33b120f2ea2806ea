import { setTimeout } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createTestCluster, type TestCluster } from "./fixture/cluster.js";
import {
  candidate,
  createTestLan,
  type HubProcess,
  namespacesUnavailable,
  said,
  startHub,
  startProcess,
  type TestLan,
  type TestProcess,
} from "./fixture/namespaces.js";

const reason = namespacesUnavailable();
if (reason) console.info(`Skipped, many hubs and floods in network namespaces: ${reason}.`);

describe.skipIf(reason !== undefined)("many on one network", () => {
  let lan: TestLan;
  let cluster: TestCluster;

  beforeEach(async () => {
    lan = createTestLan();
    cluster = await createTestCluster();
  });

  afterEach(() => lan.close());

  const v4 = (number: number, hub: HubProcess) => `10.99.0.${number}:${hub.port}`;

  async function startStorm(voices: number): Promise<TestProcess> {
    lan.plug(9);
    for (let voice = 1; voice < voices; voice++) lan.addAddress(9, `10.99.0.${100 + voice}/24`);
    const storm = startProcess(lan.namespace(9), "storm-process.ts", {});
    expect((await storm.next(said("ready"))).voices).toBe(voices);
    return storm;
  }

  async function usage(hub: HubProcess): Promise<{ rssBytes: number; cpuMs: number }> {
    hub.tell({ usage: true });
    return (await hub.next(said("usage"))) as unknown as { rssBytes: number; cpuMs: number };
  }

  it("ten hubs that start together all find each other, with few packets", async () => {
    const numbers = Array.from({ length: 10 }, (_, index) => index + 1);
    for (const number of numbers) lan.plug(number);
    const startedAtMs = performance.now();
    const hubs = await Promise.all(numbers.map((number) => startHub(lan, cluster, number)));
    await Promise.all(
      hubs.flatMap((hub, i) =>
        hubs.flatMap((other, j) =>
          i === j
            ? []
            : [expect.poll(() => hub.said.some(candidate(v4(j + 1, other))), { timeout: 15_000 }).toBe(true)],
        ),
      ),
    );
    const traffic = numbers.map((number) => lan.traffic(number));
    const packets = traffic.map(({ sentPackets }) => sentPackets);
    const bytes = traffic.reduce((sum, { sentBytes }) => sum + sentBytes, 0);
    console.info(
      `Ten hubs: all found after ${Math.round(performance.now() - startedAtMs)} ms; ` +
        `${Math.max(...packets)} packets at most and ${Math.round(bytes / 10)} bytes on average from each.`,
    );
    // Both families: 3 probes, 2 announcements, some questions and answers; and what the kernel says for IPv6.
    expect(Math.max(...packets)).toBeLessThan(60);
  });

  it("100 that announce at once are all found, and 100 that ask at once get one answer", async () => {
    lan.plug(1);
    const storm = await startStorm(100);
    const hub = await startHub(lan, cluster, 1);
    await expect.poll(() => lan.traffic(1).sentPackets).toBeGreaterThan(5);
    const before = lan.traffic(1);
    storm.tell({ do: "announce" });
    await storm.next(said("done"));
    const found = () => hub.said.filter(({ event, present }) => event === "candidate" && present).length;
    await expect.poll(found, { timeout: 10_000 }).toBe(100);
    const announced = lan.traffic(1);
    storm.tell({ do: "ask" });
    await storm.next(said("done"));
    // The time over which answers are counted.
    await setTimeout(2_000);
    const asked = lan.traffic(1);
    const toAnnouncements = announced.sentPackets - before.sentPackets;
    const toQuestions = asked.sentPackets - announced.sentPackets;
    const bytes = asked.sentBytes - announced.sentBytes;
    console.info(
      `Sent after 100 announcements: ${toAnnouncements} packets; after 100 questions: ${toQuestions}, ${bytes} bytes.`,
    );
    expect(toAnnouncements).toBeLessThan(20);
    // Two answers at most, and its own next question, whose hundred known answers take six packets a family.
    expect(toQuestions).toBeLessThan(20);
  });

  it("a flood costs a bounded share of processor and memory, and hides nobody", async () => {
    lan.plug(1);
    lan.plug(2);
    const storm = await startStorm(4);
    const hub = await startHub(lan, cluster, 1);
    const idle = await usage(hub);
    const floodMs = 2_000;
    storm.tell({ do: "flood", forMs: floodMs });
    const other = await startHub(lan, cluster, 2);
    await hub.next(candidate(v4(2, other)));
    const { packets } = await storm.next(said("done"));
    const after = await usage(hub);
    const [cpu, grown] = [(after.cpuMs - idle.cpuMs) / floodMs, (after.rssBytes - idle.rssBytes) / 2 ** 20];
    const kept = new Set(hub.said.filter(said("candidate")).map(({ address }) => address));
    console.info(
      `Flood of ${packets} packets in ${floodMs} ms: ${Math.round(cpu * 100)} % of one processor, ` +
        `${grown.toFixed(1)} MiB more; the other hub was found meanwhile.`,
    );
    expect(packets).toBeGreaterThan(10_000);
    expect(grown).toBeLessThan(64);
    expect(cpu).toBeLessThan(0.9);
    expect(kept.size).toBeLessThan(400);
  });
});
