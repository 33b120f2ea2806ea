import { createTestClock, type TestClock } from "@fed/core/testing";
import { beforeEach, describe, expect, it } from "vitest";
import { createLanDiscovery, type LanDiscovery } from "../src/discovery.js";
import { announcementRecords, type DnsMessage, query, question, response, serviceType } from "../src/dns-records.js";
import { createLinkWatch } from "../src/link-watch.js";
import { announce } from "../src/responder.js";
import { createMdnsNetwork, type MdnsNetwork, testLink } from "./fixture/mdns-network.js";

let clock: TestClock;
let network: MdnsNetwork;

beforeEach(() => {
  clock = createTestClock();
  network = createMdnsNetwork();
});

function browsing(): LanDiscovery {
  const links = [testLink("eth0", "192.0.2.1")];
  const discovery = createLanDiscovery({
    clusterTag: () => "tag-1",
    acceptedTags: () => ["tag-1"],
    bootId: "boot-1",
    clock,
    openSocket: network.open,
    watch: createLinkWatch({ clock, links: () => links }),
    random: () => 0,
  });
  discovery.browse(() => {});
  return discovery;
}

const other = (number: number) => ({
  instance: `instance-${number}`,
  port: 7443,
  bootId: `boot-${number}`,
  tag: "tag-1",
  addresses: [`192.0.2.${number}`],
});
const from = (number: number) => ({ address: `192.0.2.${number}`, port: 5353 });
const pointerOf = (number: number) => announcementRecords(other(number)).pointer;
const asksForAll = ({ type, questions }: DnsMessage) =>
  type === "query" && questions.some(({ name }) => name === serviceType);

/** Seconds from now at which everything is asked for, over `seconds`. */
async function questionTimes(seconds: number): Promise<number[]> {
  network.take();
  const times: number[] = [];
  for (let ms = 0; ms < seconds * 1_000; ms += 500) {
    await clock.advance(500);
    if (network.take().some(({ message }) => asksForAll(message))) times.push((ms + 500) / 1_000);
  }
  return times;
}

describe("asking", () => {
  it("is ever rarer: at once, after 1, 2, 4 … 60 s", async () => {
    browsing();
    expect(await questionTimes(190)).toEqual([0.5, 1, 3, 7, 15, 31, 63, 123, 183]);
  });

  it("is repeated at 80, 85, 90 and 95 % of a lifetime, then no more often than before", async () => {
    browsing();
    await clock.advance(200_000);
    network.inject(announce(other(2)), from(2));
    await clock.advance(0);
    const times = await questionTimes(130);
    // The rest are those of every 60 s.
    for (const due of [96, 102, 108, 114]) expect(times.some((at) => Math.abs(at - due) < 0.6)).toBe(true);
    expect(times.length).toBeLessThanOrEqual(7);
  });

  it("lists what is known with more than half its life, in as many packets as that takes", async () => {
    browsing();
    await clock.advance(10_000);
    for (let number = 2; number < 102; number++) network.inject(announce(other(number)), from(number));
    network.inject(announce({ ...other(102) }), from(102));
    await clock.advance(100);
    network.take();
    await clock.advance(6_000);
    const packets = network.take().map(({ message }) => message);
    expect(packets.length).toBeGreaterThan(3);
    expect(packets.map(({ truncated }) => truncated)).toEqual([...packets.slice(1).map(() => true), false]);
    expect(packets.map(({ questions }) => questions.length)).toEqual([1, ...packets.slice(1).map(() => 0)]);
    expect(new Set(packets.flatMap(({ answers }) => answers.map(({ data }) => data))).size).toBe(101);
  });

  it("is left to somebody who has just asked and knows no more", async () => {
    browsing();
    network.inject(announce(other(2)), from(2));
    await clock.advance(6_000);
    network.take();
    // Due at 7 s.
    network.inject(query([question(serviceType, "PTR")], [pointerOf(2)]), from(2));
    await clock.advance(7_000);
    expect(network.take().some(({ message }) => asksForAll(message))).toBe(false);
    await clock.advance(2_000);
    expect(network.take().some(({ message }) => asksForAll(message))).toBe(true);
  });

  it("is not left to somebody who knows more: they will not be answered what we lack", async () => {
    browsing();
    await clock.advance(6_000);
    network.take();
    network.inject(query([question(serviceType, "PTR")], [pointerOf(3)]), from(2));
    await clock.advance(1_100);
    expect(network.take().some(({ message }) => asksForAll(message))).toBe(true);
  });

  it("covers records that end before their pointer", async () => {
    browsing();
    await clock.advance(200_000);
    const { pointer, service, text, addresses } = announcementRecords(other(2));
    network.inject(response([pointer, text, ...addresses, { ...service, ttl: 20 }]), from(2));
    await clock.advance(15_900);
    network.take();
    await clock.advance(400);
    const asked = network.take().flatMap(({ message }) => message.questions.map(({ type }) => type));
    expect(asked).toEqual(["PTR", "SRV"]);
  });
});
