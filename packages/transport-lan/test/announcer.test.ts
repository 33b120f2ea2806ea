import type { Clock } from "@fed/core";
import { createTestClock, type TestClock } from "@fed/core/testing";
import { beforeEach, describe, expect, it } from "vitest";
import { createLanDiscovery, type LanDiscovery } from "../src/discovery.js";
import { type DnsMessage, instanceLabel, query, question, response, serviceType } from "../src/dns-records.js";
import type { NetworkLink } from "../src/interfaces.js";
import { createLinkWatch } from "../src/link-watch.js";
import { announce, probe } from "../src/responder.js";
import { createMdnsNetwork, type MdnsNetwork, testLink } from "./fixture/mdns-network.js";

let clock: TestClock;
let network: MdnsNetwork;
let links: NetworkLink[];
let named: string[];

beforeEach(() => {
  clock = createTestClock();
  network = createMdnsNetwork();
  links = [testLink("eth0", "192.0.2.1")];
  named = [];
});

function create(clock: Clock): LanDiscovery {
  return createLanDiscovery({
    clusterTag: () => "tag-1",
    acceptedTags: () => ["tag-1"],
    bootId: "boot-1",
    clock,
    openSocket: network.open,
    watch: createLinkWatch({ clock, links: () => links }),
    random: () => 0.5,
    newInstance: () => {
      named.push(`name-${named.length + 1}`);
      return named.at(-1)!;
    },
  });
}

const rival = { address: "192.0.2.66", port: 5353 };
/** Another machine's records under the same name. */
const theirs = (over: object = {}) => ({
  instance: named.at(-1)!,
  port: 7443,
  bootId: "boot-1",
  tag: "tag-1",
  addresses: ["192.0.2.66"],
  ...over,
});
const sent = () => network.take().map(({ message }) => message);
const isProbe = ({ type, authorities }: DnsMessage) => type === "query" && (authorities?.length ?? 0) > 0;
const isGoodbye = ({ type, answers }: DnsMessage) => type === "response" && answers.some(({ ttl }) => ttl === 0);
const isAnnouncement = (message: DnsMessage) =>
  message.type === "response" && message.answers.length > 2 && !isGoodbye(message);
const labelOf = ({ answers, questions }: DnsMessage) =>
  instanceLabel(String(answers.find(({ type }) => type === "SRV")?.name ?? questions[0]?.name));

async function holding(): Promise<LanDiscovery> {
  const discovery = create(clock);
  discovery.advertise({ host: "0.0.0.0", port: 7443 });
  await clock.advance(5_000);
  network.take();
  return discovery;
}

describe("claiming a name", () => {
  it("three probes, 250 ms apart, say what is claimed and ask for both names; two announcements follow", async () => {
    const discovery = create(clock);
    discovery.advertise({ host: "0.0.0.0", port: 7443 });
    await clock.advance(124);
    expect(sent()).toEqual([]);
    await clock.advance(1);
    const [first] = sent();
    expect(first!.questions.map(({ name, type }) => [name, type])).toEqual([
      ["name-1._aiappuse._tcp.local", "ANY"],
      ["name-1.local", "ANY"],
    ]);
    expect(first!.authorities!.map(({ type, flush }) => [type, flush])).toEqual([
      ["SRV", false],
      ["TXT", false],
      ["A", false],
    ]);
    await clock.advance(500);
    expect(sent().map(isProbe)).toEqual([true, true]);
    // Until the name is ours, nobody gets an answer.
    network.inject(query([question(serviceType, "PTR")]), rival);
    await clock.advance(240);
    expect(sent()).toEqual([]);
    await clock.advance(1_010);
    const announced = sent();
    expect(announced.map(isAnnouncement)).toEqual([true, true]);
    expect(announced[0]!.answers.map(({ type, flush }) => [type, flush])).toEqual([
      ["PTR", false],
      ["SRV", true],
      ["TXT", true],
      ["A", true],
    ]);
  });

  it.each([
    ["answered with another port", () => announce(theirs({ port: 1 }))],
    ["answered from another address", () => announce(theirs())],
    ["answered by another process", () => announce(theirs({ bootId: "boot-2", addresses: ["192.0.2.1"] }))],
    ["claimed by another at the same time", () => probe(theirs())],
  ])("one that is %s is given up for a new one", async (_how, message) => {
    const discovery = create(clock);
    discovery.advertise({ host: "0.0.0.0", port: 7443 });
    await clock.advance(400);
    network.inject(message(), rival);
    await clock.advance(0);
    network.take();
    await clock.advance(2_500);
    expect(named).toEqual(["name-1", "name-2"]);
    const said = sent();
    expect(said.filter(isProbe).length).toBe(3);
    expect(said.filter(isAnnouncement).map(labelOf)).toEqual(["name-2", "name-2"]);
  });

  it("is not disturbed by its own echo, be it of another interface or of an address it no longer has", async () => {
    links.push(testLink("wlan0", "192.0.2.5", 2));
    const discovery = create(clock);
    discovery.advertise({ host: "0.0.0.0", port: 7443 });
    await clock.advance(200);
    network.inject(probe(theirs({ addresses: ["192.0.2.5"] })), { address: "192.0.2.254", port: 5353 });
    await clock.advance(3_000);
    links.pop();
    await clock.advance(3_000);
    network.inject(announce(theirs({ addresses: ["192.0.2.5"] })), { address: "192.0.2.254", port: 5353 });
    await clock.advance(3_000);
    expect(named).toEqual(["name-1"]);
  });

  it("whoever contests every name meets a pause of 5 s after 15 in 10 s", async () => {
    const discovery = create(clock);
    discovery.advertise({ host: "0.0.0.0", port: 7443 });
    for (let i = 0; i < 40; i++) {
      await clock.advance(200);
      if (sent().some(isProbe)) network.inject(announce(theirs({ port: 1 })), rival);
      await clock.advance(0);
    }
    expect(named.length).toBeGreaterThanOrEqual(15);
    expect(named.length).toBeLessThanOrEqual(17);
    await clock.advance(10_000);
    expect(sent().filter(isAnnouncement).length).toBe(2);
  });
});

describe("holding a name", () => {
  it("who claims it hears at once that it is taken, though it was said just before", async () => {
    await holding();
    network.inject(query([question("name-1._aiappuse._tcp.local", "SRV")]), rival);
    await clock.advance(0);
    expect(sent().length).toBe(1);
    network.inject(probe(theirs()), rival);
    await clock.advance(250);
    const [defence] = sent();
    expect(defence!.answers.map(({ type }) => type)).toEqual(["SRV", "TXT", "A"]);
    expect(named).toEqual(["name-1"]);
  });

  it("somebody who announces it all the same gets it; the new name is announced, the old not taken back there", async () => {
    links.push(testLink("wlan0", "198.51.100.1", 2));
    await holding();
    network.inject(announce(theirs()), rival);
    await clock.advance(0);
    const goodbyes = network.take().filter(({ message }) => isGoodbye(message));
    // On the other network it was ours alone.
    expect(goodbyes.map(({ from, message }) => [from, labelOf(message)])).toEqual([["198.51.100.1", "name-1"]]);
    await clock.advance(2_500);
    expect(sent().filter(isAnnouncement).map(labelOf)).toEqual(["name-2", "name-2", "name-2", "name-2"]);
  });

  it("takes back a goodbye that somebody else said for it", async () => {
    await holding();
    network.inject(announce(theirs({ addresses: ["192.0.2.1"] }), 0), rival);
    await clock.advance(600);
    expect(sent().filter(isAnnouncement).length).toBe(1);
  });

  it("the goodbye goes out under the new name", async () => {
    const discovery = create(clock);
    const advertised = discovery.advertise({ host: "0.0.0.0", port: 7443 });
    await clock.advance(5_000);
    network.inject(announce(theirs()), rival);
    await clock.advance(5_000);
    network.take();
    const closing = advertised.close();
    await clock.advance(0);
    await closing;
    expect(sent().filter(isGoodbye).map(labelOf)).toEqual(["name-2"]);
  });
});

describe("a machine that slept", () => {
  it("says and asks everything again", async () => {
    let sleptMs = 0;
    const monotonicMs = () => clock.monotonicMs() + sleptMs;
    const discovery = create({ nowMs: clock.nowMs, setTimer: clock.setTimer, monotonicMs });
    discovery.advertise({ host: "0.0.0.0", port: 7443 });
    discovery.browse(() => {});
    await clock.advance(9_000);
    network.take();
    sleptMs = 3_600_000;
    await clock.advance(3_000);
    const said = sent();
    expect(said.filter(isAnnouncement).length).toBe(2);
    expect(said.filter(({ questions }) => questions.length > 0).length).toBe(2);
  });
});

describe("answering", () => {
  const pointer = (ttl: number) => ({
    name: serviceType,
    type: "PTR",
    ttl,
    data: `${named.at(-1)}.${serviceType}`,
  });

  it("waits for known answers that come in further packets", async () => {
    await holding();
    network.inject({ ...query([question(serviceType, "PTR")]), truncated: true }, rival);
    await clock.advance(300);
    expect(sent()).toEqual([]);
    network.inject(query([], [pointer(100)]), rival);
    await clock.advance(1_000);
    expect(sent()).toEqual([]);
    network.inject({ ...query([question(serviceType, "PTR")]), truncated: true }, rival);
    await clock.advance(1_000);
    expect(sent().length).toBe(1);
  });

  it("who knows us keeps nobody else from hearing of us", async () => {
    await holding();
    network.inject(query([question(serviceType, "PTR")], [pointer(100)]), rival);
    network.inject(query([question(serviceType, "PTR")]), { address: "192.0.2.67", port: 5353 });
    await clock.advance(150);
    expect(sent().length).toBe(1);
  });

  it("does not tell of the service type when somebody else has", async () => {
    await holding();
    const typeList = "_services._dns-sd._udp.local";
    network.inject(query([question(typeList, "PTR")]), rival);
    await clock.advance(10);
    network.inject(response([{ name: typeList, type: "PTR", ttl: 120, data: serviceType }]), rival);
    await clock.advance(500);
    expect(sent()).toEqual([]);
  });
});
