import type { Candidate } from "@fed/core";
import { createTestClock, type TestClock } from "@fed/core/testing";
import { beforeEach, describe, expect, it } from "vitest";
import type { NetworkLink } from "../src/interfaces.js";
import { createLinkWatch } from "../src/link-watch.js";
import { createPeerCandidates, type PeerCandidates } from "../src/peer-candidates.js";
import { testLink } from "./fixture/mdns-network.js";

let clock: TestClock;
let links: NetworkLink[];
let looks: number;
let listening: { host: string; port: number } | undefined;
let peers: PeerCandidates;
let seen: string[];

const linkLocal = (link: NetworkLink, address: string): NetworkLink => ({
  ...link,
  addresses: [...link.addresses, { family: 6, address, prefixLength: 64 }],
});
const line = ({ address, present, hubId, source }: Candidate) => `${present ? "" : "-"}${address} ${hubId} ${source}`;

beforeEach(() => {
  clock = createTestClock();
  links = [testLink("eth0", "192.0.2.1")];
  looks = 0;
  listening = { host: "::", port: 7443 };
  seen = [];
  const read = () => {
    looks++;
    return links;
  };
  peers = createPeerCandidates({ watch: createLinkWatch({ clock, links: read }), listening: () => listening });
});

/** What was reported since the last call. */
const news = () => seen.splice(0);

describe("what members tell", () => {
  it("becomes one candidate of a hub, in place of what it told before, until it takes it back", () => {
    peers.browse((candidate) => seen.push(line(candidate)));
    peers.offer("b", ["192.0.2.7:1", "192.0.2.8:1"]);
    expect(news()).toEqual(["192.0.2.7:1,192.0.2.8:1 b peer"]);
    peers.offer("b", ["192.0.2.8:1", "192.0.2.7:1"]);
    expect(news()).toEqual([]);
    peers.offer("b", ["192.0.2.9:1"]);
    expect(news()).toEqual(["192.0.2.9:1 b peer", "-192.0.2.7:1,192.0.2.8:1 b peer"]);
    peers.offer("b", []);
    expect(news()).toEqual(["-192.0.2.9:1 b peer"]);
  });

  it("counts only where it lies on a network of ours, and names no interface of ours", () => {
    links = [
      linkLocal(testLink("eth0", "192.0.2.1"), "fe80::1"),
      linkLocal(testLink("wlan0", "10.0.0.1", 2), "fe80::2"),
    ];
    peers.browse((candidate) => seen.push(line(candidate)));
    const lies = [
      "198.51.100.1:22",
      "127.0.0.1:22",
      "[::1]:22",
      "[fe80::9%eth0]:22",
      "router.local:80",
      "nonsense",
      "",
    ];
    peers.offer("b", lies);
    expect(news()).toEqual([]);
    peers.offer("b", ["[fe80::9]:7"]);
    // Whose link it is nobody can tell but the one who tries.
    expect(news()).toEqual(["[fe80::9%eth0]:7,[fe80::9%wlan0]:7 b peer"]);
    peers.offer(
      "b",
      Array.from({ length: 20 }, (_, i) => `192.0.2.${i + 10}:1`),
    );
    expect(news()[0]!.split(",").length).toBe(8);
  });

  it("follows the interfaces", async () => {
    peers.browse((candidate) => seen.push(line(candidate)));
    peers.offer("b", ["10.0.0.7:1"]);
    expect(news()).toEqual([]);
    links = [testLink("eth0", "10.0.0.1")];
    await clock.advance(2_000);
    expect(news()).toEqual(["10.0.0.7:1 b peer"]);
    links = [];
    await clock.advance(2_000);
    expect(news()).toEqual(["-10.0.0.7:1 b peer"]);
  });

  it("is told to whoever begins to search later", async () => {
    const stop = peers.browse(() => {});
    peers.offer("b", ["192.0.2.7:1"]);
    peers.browse((candidate) => seen.push(line(candidate)));
    await clock.advance(0);
    expect(news()).toEqual(["192.0.2.7:1 b peer"]);
    stop();
  });
});

describe("what is told to members", () => {
  it("is where this hub is reached now, and again when that changes; nothing looks when nobody wants to know", async () => {
    const told: string[] = [];
    links = [linkLocal(testLink("eth0", "192.0.2.1"), "fe80::1")];
    const stop = peers.watchOwn((addresses) => told.push(addresses.join()));
    await clock.advance(10_000);
    expect(told.splice(0)).toEqual(["192.0.2.1:7443,[fe80::1]:7443"]);
    listening = { host: "0.0.0.0", port: 7443 };
    await clock.advance(2_000);
    expect(told.splice(0)).toEqual(["192.0.2.1:7443"]);
    links = [testLink("eth0", "192.0.2.2")];
    await clock.advance(2_000);
    expect(told.splice(0)).toEqual(["192.0.2.2:7443"]);
    listening = undefined;
    await clock.advance(2_000);
    expect(told.splice(0)).toEqual([""]);
    stop();
    looks = 0;
    await clock.advance(10_000);
    expect(looks).toBe(0);
  });
});
