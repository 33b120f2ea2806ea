import { BlockList } from "node:net";
import type { Candidate } from "@fed/core";
import { createTestClock, type TestClock } from "@fed/core/testing";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { createLanDiscovery, type LanDiscovery } from "../src/discovery.js";
import { announcementRecords, type DnsMessage, serviceType } from "../src/dns-records.js";
import type { NetworkLink } from "../src/interfaces.js";
import { createLinkWatch } from "../src/link-watch.js";
import { announce } from "../src/responder.js";
import { createMdnsNetwork, type MdnsNetwork, testLink } from "./fixture/mdns-network.js";

let clock: TestClock;
let network: MdnsNetwork;

beforeEach(() => {
  clock = createTestClock();
  network = createMdnsNetwork();
});

interface TestNode {
  readonly discovery: LanDiscovery;
  readonly links: NetworkLink[];
  readonly seen: Candidate[];
  /** Addresses reported since the last call, `-` in front of withdrawn ones. */
  news(): string[];
}

function node(
  number: number,
  options: { tag?: () => string; accepted?: () => string[]; bootId?: string } = {},
): TestNode {
  const { tag = () => "tag-1", accepted = () => ["tag-1"], bootId = `boot-${number}` } = options;
  const links = [testLink("eth0", `192.0.2.${number}`)];
  const seen: Candidate[] = [];
  let read = 0;
  return {
    links,
    seen,
    discovery: createLanDiscovery({
      clusterTag: tag,
      acceptedTags: accepted,
      bootId,
      clock,
      openSocket: network.open,
      watch: createLinkWatch({ clock, links: () => links }),
      random: () => 0.5,
    }),
    news: () => {
      const fresh = seen.slice(read).map(({ present, address }) => (present ? address : `-${address}`));
      read = seen.length;
      return fresh;
    },
  };
}

const any = { host: "0.0.0.0", port: 7443 };
const watch = (it: TestNode) => it.discovery.browse((candidate) => it.seen.push(candidate));
const source = (number: number) => ({ address: `192.0.2.${number}`, port: 5353 });
const announcement = (number: number, over: object = {}) => ({
  instance: `instance-${number}`,
  port: 7443,
  bootId: `boot-${number}`,
  tag: "tag-1",
  addresses: [`192.0.2.${number}`],
  ...over,
});

describe("finding each other", () => {
  it("whoever comes first, both find the other and not themselves", async () => {
    const [a, b] = [node(1), node(2)];
    watch(a);
    a.discovery.advertise(any);
    await clock.advance(10_000);
    expect(a.news()).toEqual([]);
    watch(b);
    b.discovery.advertise(any);
    await clock.advance(1_500);
    expect(a.news()).toEqual(["192.0.2.2:7443"]);
    expect(b.news()).toEqual(["192.0.2.1:7443"]);
    expect(a.seen[0]).toEqual({ transport: "lan", address: "192.0.2.2:7443", source: "mdns", present: true });
  });

  it("a listener that does not search is found all the same", async () => {
    const [a, b] = [node(1), node(2)];
    b.discovery.advertise(any);
    await clock.advance(5_000);
    watch(a);
    await clock.advance(300);
    expect(a.news()).toEqual(["192.0.2.2:7443"]);
  });

  it("says neither hub nor key: only version, boot id and tag", async () => {
    const a = node(1);
    a.discovery.advertise(any);
    await clock.advance(2_000);
    const announced = network.take().filter(({ message }) => message.type === "response");
    expect(announced.length).toBe(2);
    const text = announced[0]!.message.answers.find(({ type }) => type === "TXT")!;
    expect((text.data as Uint8Array[]).map(String)).toEqual(["txtvers=1", "p=1", "b=boot-1", "c=tag-1"]);
    expect(text.name).toMatch(/^[a-z2-7]{26}\._aiappuse\._tcp\.local$/);
    expect(announced[0]!.message.answers.every(({ ttl }) => ttl === 120)).toBe(true);
  });

  it("other clusters are neither reported nor remembered", async () => {
    const [a, b] = [node(1), node(2, { tag: () => "tag-other" })];
    watch(a);
    b.discovery.advertise(any);
    await clock.advance(3_000);
    expect(a.news()).toEqual([]);
  });

  it("a tag that changes is announced at once and still recognised", async () => {
    let day = 1;
    const a = node(1, { accepted: () => [`tag-${day}`, `tag-${day - 1}`] });
    const b = node(2, { tag: () => `tag-${day}` });
    watch(a);
    b.discovery.advertise(any);
    await clock.advance(3_000);
    expect(a.news()).toEqual(["192.0.2.2:7443"]);
    day = 2;
    await clock.advance(200_000);
    expect(a.news()).toEqual([]);
    day = 4;
    await clock.advance(1_000);
    expect(a.news()).toEqual([]);
  });
});

describe("leaving", () => {
  it("a goodbye is seen, and believed if nobody contradicts it for a second", async () => {
    const [a, b] = [node(1), node(2)];
    watch(a);
    const advertised = b.discovery.advertise(any);
    await clock.advance(2_000);
    a.news();
    const closing = advertised.close();
    await clock.advance(0);
    await closing;
    await clock.advance(900);
    expect(a.news()).toEqual([]);
    await clock.advance(200);
    expect(a.news()).toEqual(["-192.0.2.2:7443"]);
    expect(b.discovery.state().status).toBe("idle");
  });

  it("a hub that vanishes is asked for before it expires after 120 s", async () => {
    const a = node(1);
    watch(a);
    await clock.advance(1_000);
    network.inject(announce(announcement(2)), source(2));
    await clock.advance(95_000);
    expect(a.news()).toEqual(["192.0.2.2:7443"]);
    network.take();
    await clock.advance(24_000);
    const asked = network.take().filter(({ message }) => message.type === "query");
    expect(asked.length).toBeGreaterThanOrEqual(3);
    expect(a.news()).toEqual([]);
    await clock.advance(4_000);
    expect(a.news()).toEqual(["-192.0.2.2:7443"]);
  });

  it("a hub that lives does not flap", async () => {
    const [a, b] = [node(1), node(2)];
    watch(a);
    b.discovery.advertise(any);
    await clock.advance(600_000);
    expect(a.news()).toEqual(["192.0.2.2:7443"]);
  });

  it("a hub that crashed and came back at its address is not withdrawn when the old entry expires", async () => {
    const a = node(1);
    watch(a);
    await clock.advance(100);
    network.inject(announce(announcement(2)), source(2));
    await clock.advance(30_000);
    network.inject(announce(announcement(2, { instance: "instance-new", bootId: "boot-new" })), source(2));
    await clock.advance(100_000);
    expect(a.news()).toEqual(["192.0.2.2:7443", "192.0.2.2:7443"]);
  });
});

describe("changes", () => {
  it("a new port, address or boot id is an update", async () => {
    const a = node(1);
    watch(a);
    await clock.advance(100);
    const say = async (over: object) => {
      network.inject(announce(announcement(2, over)), source(2));
      await clock.advance(10);
      return a.news();
    };
    expect(await say({})).toEqual(["192.0.2.2:7443"]);
    expect(await say({})).toEqual([]);
    // The new comes before the old goes: whoever holds candidates never holds none.
    expect(await say({ port: 7444 })).toEqual(["192.0.2.2:7444", "-192.0.2.2:7443"]);
    await clock.advance(2_000);
    const both = "192.0.2.2:7444,192.0.2.3:7444";
    expect(await say({ port: 7444, addresses: ["192.0.2.3"] })).toEqual([both, "-192.0.2.2:7444"]);
    await clock.advance(1_000);
    expect(a.news()).toEqual(["192.0.2.3:7444", `-${both}`]);
    const restarted = { port: 7444, addresses: ["192.0.2.3"], bootId: "boot-b" };
    expect(await say(restarted)).toEqual(["192.0.2.3:7444"]);
  });

  it("an interface that is re-created gets a new socket; one that goes takes its candidates with it", async () => {
    const a = node(1);
    watch(a);
    await clock.advance(100);
    network.inject(announce(announcement(2)), source(2));
    await clock.advance(100);
    expect(a.news()).toEqual(["192.0.2.2:7443"]);
    a.links[0] = testLink("eth0", "192.0.2.1", 7);
    network.take();
    await clock.advance(2_100);
    expect(network.count()).toBe(1);
    expect(network.take().some(({ message }) => message.type === "query")).toBe(true);
    expect(a.news()).toEqual([]);
    a.links.length = 0;
    await clock.advance(2_000);
    expect(network.count()).toBe(0);
    expect(a.news()).toEqual(["-192.0.2.2:7443"]);
    expect(a.discovery.state()).toMatchObject({ status: "multicast-unavailable", reason: "no-interface" });
  });

  it("records that were left out are asked for", async () => {
    const a = node(1);
    watch(a);
    await clock.advance(3_500);
    const { pointer, service, text, addresses } = announcementRecords(announcement(2));
    const response = (...answers: DnsMessage["answers"]): DnsMessage => ({
      type: "response",
      questions: [],
      answers,
      additionals: [],
    });
    network.take();
    network.inject(response(pointer), source(2));
    await clock.advance(600);
    const asked = network.take().flatMap(({ message }) => message.questions.map(({ type }) => type));
    expect(asked).toEqual(["SRV", "TXT"]);
    network.inject(response(service, text), source(2));
    await clock.advance(600);
    network.inject(response(...addresses), source(2));
    await clock.advance(10);
    expect(a.news()).toEqual(["192.0.2.2:7443"]);
  });
});

describe("what is not believed", () => {
  it("addresses off the link, and packets from off the link, are dropped", async () => {
    const a = node(1);
    watch(a);
    await clock.advance(100);
    const addresses = ["198.51.100.1", "127.0.0.1", "192.0.2.2", "2001:db8::1"];
    network.inject(announce(announcement(2, { addresses })), source(2));
    network.inject(announce(announcement(3)), { address: "198.51.100.9", port: 5353 });
    network.inject(announce(announcement(4)), { address: "192.0.2.4", port: 1024 });
    await clock.advance(10);
    expect(a.news()).toEqual(["192.0.2.2:7443"]);
  });

  it("at most 8 addresses of an instance, 32 instances of a source and 256 of all are kept", async () => {
    const a = node(1);
    watch(a);
    await clock.advance(100);
    const addresses = Array.from({ length: 12 }, (_, i) => `192.0.2.${i + 10}`);
    network.inject(announce(announcement(2, { addresses })), source(2));
    await clock.advance(10);
    expect(a.news().map((line) => line.split(",").length)).toEqual([8]);
    const flood = async (from: number, count: number) => {
      for (let i = 0; i < count; i++) {
        network.inject(announce(announcement(3, { instance: `flood-${from}-${i}`, port: 1000 + i })), source(from));
        await clock.advance(10);
      }
      return a.news().length;
    };
    expect(await flood(100, 400)).toBe(32);
    for (let from = 101; from < 107; from++) expect(await flood(from, 40)).toBe(32);
    expect(await flood(107, 40)).toBe(31);
    // A flood from everywhere takes no place of those who have few.
    network.inject(announce(announcement(4)), source(4));
    await clock.advance(10);
    expect(a.news().filter((line) => !line.startsWith("-"))).toEqual(["192.0.2.4:7443"]);
  });

  it("many instances of one host cost one look at each of its addresses", async () => {
    const a = node(1);
    watch(a);
    await clock.advance(100);
    const hostOf = (over: object) => ({ ...announcement(3, over), addresses: [] });
    for (let i = 0; i < 256; i++) {
      const { service } = announcementRecords(hostOf({ instance: `flood-${i}` }));
      const data = { ...(service.data as object), target: "one.local" };
      network.inject({ type: "response", questions: [], answers: [{ ...service, data }], additionals: [] }, source(3));
      await clock.advance(20);
    }
    const check = vi.spyOn(BlockList.prototype, "check");
    const answers = Array.from({ length: 128 }, (_, i) => ({
      name: "one.local",
      type: "A",
      ttl: 120,
      data: `198.51.100.${i}`,
    }));
    network.inject({ type: "response", questions: [], answers, additionals: [] }, source(3));
    await clock.advance(10);
    expect(check.mock.calls.length).toBeGreaterThanOrEqual(128);
    expect(check.mock.calls.length).toBeLessThan(256);
    check.mockRestore();
  });

  it("a storm of packets is cut to 100 a second", async () => {
    const a = node(1);
    a.discovery.advertise(any);
    await clock.advance(3_000);
    network.take();
    const query: DnsMessage = {
      type: "query",
      questions: [{ name: serviceType, type: "PTR" }],
      answers: [],
      additionals: [],
    };
    for (let i = 0; i < 1_000; i++) network.inject(query, { address: "192.0.2.9", port: 4_000 });
    await clock.advance(0);
    expect(network.take().length).toBeLessThanOrEqual(200);
  });
});

describe("answering", () => {
  const ask = (name: string, type: string, answers: DnsMessage["answers"] = []): DnsMessage => ({
    type: "query",
    id: 77,
    questions: [{ name, type }],
    answers,
    additionals: [],
  });

  async function quiet(): Promise<TestNode> {
    const a = node(1);
    a.discovery.advertise(any);
    await clock.advance(5_000);
    network.take();
    return a;
  }

  it("one answer for all who ask at once, after a little, with everything needed", async () => {
    await quiet();
    network.inject(ask(serviceType, "PTR"), source(2));
    network.inject(ask("_AIAPPUSE._tcp.local", "PTR"), source(3));
    await clock.advance(10);
    expect(network.take()).toEqual([]);
    await clock.advance(120);
    const [sent, ...more] = network.take();
    expect(more).toEqual([]);
    expect(sent!.message.answers.map(({ type }) => type)).toEqual(["PTR"]);
    expect(sent!.message.additionals.map(({ type }) => type)).toEqual(["SRV", "TXT", "A"]);
  });

  it("nothing is multicast twice within a second", async () => {
    await quiet();
    network.inject(ask(serviceType, "PTR"), source(2));
    await clock.advance(200);
    expect(network.take().length).toBe(1);
    network.inject(ask(serviceType, "PTR"), source(2));
    await clock.advance(700);
    expect(network.take().length).toBe(0);
    await clock.advance(300);
    expect(network.take().length).toBe(1);
  });

  it("nobody is answered at port 0, which dgram throws at", async () => {
    await quiet();
    network.inject(ask(serviceType, "PTR"), { address: "192.0.2.9", port: 0 });
    await clock.advance(200);
    expect(network.take()).toEqual([]);
  });

  it("who knows us already gets no answer", async () => {
    const a = await quiet();
    watch(a);
    await clock.advance(300);
    // Its own question listed itself, so it did not answer that one either.
    const own = network.take();
    expect(own.map(({ message }) => message.type)).toEqual(["query"]);
    const pointer = own[0]!.message.answers[0]!;
    network.inject(ask(serviceType, "PTR", [pointer]), source(2));
    await clock.advance(500);
    expect(network.take()).toEqual([]);
    network.inject(ask(serviceType, "PTR", [{ ...pointer, ttl: 59 }]), source(2));
    await clock.advance(150);
    expect(network.take().filter(({ message }) => message.type === "response").length).toBe(1);
  });

  it("a plain resolver is answered alone, with its id, its question, short lifetimes and no flush bit", async () => {
    await quiet();
    const resolver = { address: "192.0.2.9", port: 40_000 };
    network.inject(ask(serviceType, "PTR"), resolver);
    await clock.advance(0);
    const [sent] = network.take();
    expect(sent!.to).toEqual(resolver);
    expect(sent!.message.id).toBe(77);
    expect(sent!.message.questions[0]).toMatchObject({ name: serviceType, type: "PTR" });
    for (const record of [...sent!.message.answers, ...sent!.message.additionals]) {
      expect(record.ttl).toBeLessThanOrEqual(10);
      expect(record.flush).toBeFalsy();
    }
  });

  it("the list of service types names ours", async () => {
    await quiet();
    network.inject(ask("_services._dns-sd._udp.local", "PTR"), source(2));
    await clock.advance(200);
    expect(network.take()[0]!.message.answers).toMatchObject([{ type: "PTR", data: serviceType }]);
  });

  it("other names are not ours", async () => {
    await quiet();
    network.inject(ask("_ipp._tcp.local", "PTR"), source(2));
    network.inject(ask("x._aiappuse._tcp.local", "SRV"), source(2));
    await clock.advance(2_000);
    expect(network.take()).toEqual([]);
  });
});

describe("where multicast does not work", () => {
  it("says why, and tries again", async () => {
    const a = node(1);
    expect(a.discovery.state().status).toBe("idle");
    network.failWith("EADDRINUSE");
    watch(a);
    expect(a.discovery.state().status).toBe("starting");
    await clock.advance(10);
    expect(a.discovery.state()).toEqual({
      status: "multicast-unavailable",
      reason: "EADDRINUSE",
      interfaces: [{ name: "eth0", family: 4, status: "failed", reason: "EADDRINUSE" }],
    });
    network.failWith(undefined);
    await clock.advance(12_100);
    expect(a.discovery.state().status).toBe("running");
  });

  it("a second watcher hears at once what is known", async () => {
    const a = node(1);
    watch(a);
    await clock.advance(100);
    network.inject(announce(announcement(2)), source(2));
    await clock.advance(10);
    const late: string[] = [];
    const second = a.discovery.browse(({ address }) => late.push(address));
    await clock.advance(0);
    expect(late).toEqual(["192.0.2.2:7443"]);
    await second.close();
  });
});
