/** DNS-SD on every usable interface: keeps one socket per interface and family, and makes it anew when the interface is. */
import { type Candidate, type Clock, encodeBase32, randomBytes } from "@fed/core";
import { createBrowser } from "./browser.js";
import type { Announcement } from "./dns-records.js";
import { isWildcard, type NetworkLink, usableLinks } from "./interfaces.js";
import type { LinkWatch } from "./link-watch.js";
import { createMdnsLink, type InterfaceState, type MdnsLink } from "./mdns-link.js";
import { type OpenMdnsSocket, openMdnsSocket } from "./mdns-socket.js";

/** What is announced, and what is taken notice of. */
export interface DiscoveryOptions {
  /** What our announcements say at that time: recognised by members, meaningless to others. 1..64 characters. */
  clusterTag(atMs: number): string;
  /** Tags whose announcements become candidates at that time: today's and, around midnight, its neighbours'. */
  acceptedTags(atMs: number): readonly string[];
  /** New at every start. 1..64 characters. */
  readonly bootId: string;
  /** Names of the interfaces to use. Default: all but loopback; loopback where there is nothing else. */
  readonly interfaces?: readonly string[];
}

/** Whether multicast works here. */
export interface DiscoveryState {
  /** `off`: not asked for. `idle`: neither listening nor searching. */
  readonly status: "off" | "idle" | "starting" | "running" | "multicast-unavailable";
  /** Why it is unavailable: `no-interface`, or the system's code. */
  readonly reason?: string;
  readonly interfaces: readonly InterfaceState[];
}

/** What {@link createLanDiscovery} is made from. */
export interface LanDiscoveryOptions extends DiscoveryOptions {
  readonly clock: Clock;
  readonly watch: LinkWatch;
  /** The address that will be bound, which decides the interfaces until something is advertised. */
  readonly host?: string | undefined;
  readonly openSocket?: OpenMdnsSocket;
  /** 0 <= x < 1. */
  readonly random?: () => number;
  /** A new label, 26 characters of base32: names neither hub nor machine. */
  readonly newInstance?: () => string;
}

/** Announcing and searching on this machine's interfaces. */
export interface LanDiscovery {
  /** Announces a listening socket until closed; one at a time, the newest. */
  advertise(listening: { readonly host: string; readonly port: number }): { close(): Promise<void> };
  /** Reports candidates until closed. What is known already is reported at once. */
  browse(onCandidate: (candidate: Candidate) => void): { close(): Promise<void> };
  state(): DiscoveryState;
}

/** A socket that failed is tried again after this, doubled each time. */
const retryMs = 2_000;
const longestRetryMs = 60_000;
/** Longer between two looks, and the machine has slept: whatever was said meanwhile was not heard. */
const sleptMs = 10_000;
export const maxAnnouncedAddresses = 8;
/** Addresses of this machine that are remembered, so that a late echo of an old one is not taken for a rival. */
const maxOwnAddresses = 256;
/** RFC 6762 §8.1: after 15 conflicts in 10 s, 5 s before the next claim. */
const conflictWindowMs = 10_000;
const manyConflicts = 15;
const conflictPauseMs = 5_000;

interface OpenLink {
  readonly openedAtMs: number;
  readonly failures: number;
  readonly mdns: MdnsLink;
}

export function createLanDiscovery(options: LanDiscoveryOptions): LanDiscovery {
  const { clock, watch, openSocket = openMdnsSocket, random = Math.random } = options;
  const { newInstance = () => encodeBase32(randomBytes(16)) } = options;
  const open = new Map<string, OpenLink>();
  const watchers = new Set<(candidate: Candidate) => void>();
  const ownAddresses = new Set<string>();
  let instance = newInstance();
  let conflicts: number[] = [];
  let listening: { readonly host: string; readonly port: number } | undefined;
  let announcedTag = "";
  let lookedAtMs = 0;
  let stopLooking: (() => void) | undefined;

  const isOwn = (label: string): boolean => label === instance;
  const browser = createBrowser({ clock, isOwn, acceptedTags: options.acceptedTags, onCandidate });

  function onCandidate(candidate: Candidate): void {
    for (const watcher of [...watchers]) watcher(candidate);
  }

  function announcement(link: NetworkLink): Announcement | undefined {
    if (!listening) return undefined;
    const { host, port } = listening;
    const addresses = link.addresses
      .filter(({ address, family }) => (isWildcard(host) ? host === "::" || family === 4 : address === host))
      .map(({ address }) => address)
      .slice(0, maxAnnouncedAddresses);
    if (addresses.length === 0) return undefined;
    return { instance, port, bootId: options.bootId, tag: options.clusterTag(clock.nowMs()), addresses };
  }

  /** Somebody else bears our name: a copy of this process, or somebody who wants us gone. A random one replaces it. */
  function rename(contested: MdnsLink): void {
    const nowMs = clock.monotonicMs();
    conflicts = [...conflicts.filter((atMs) => nowMs - atMs < conflictWindowMs), nowMs].slice(-manyConflicts);
    // Where the name is contested the other's records stand under it.
    for (const { mdns } of open.values()) mdns.release(mdns !== contested);
    instance = newInstance();
    const delayMs = conflicts.length >= manyConflicts ? conflictPauseMs : 0;
    for (const { mdns } of open.values()) mdns.announce(delayMs);
  }

  function openLink(link: NetworkLink, family: 4 | 6, failures: number): OpenLink {
    const mdns = createMdnsLink({
      link,
      family,
      clock,
      openSocket,
      browser,
      announcement,
      isBrowsing: () => watchers.size > 0,
      isOwnAddress: (address) => ownAddresses.has(address),
      conflict: rename,
      random,
    });
    return { openedAtMs: clock.monotonicMs(), failures, mdns };
  }

  /** Brings the sockets in line with the interfaces, and everything else up to the time. */
  function sync(links: readonly NetworkLink[]): void {
    const nowMs = clock.monotonicMs();
    const wanted = new Map<string, { link: NetworkLink; family: 4 | 6 }>();
    const usable = usableLinks(links, { names: options.interfaces, host: listening?.host ?? options.host });
    for (const link of usable) {
      for (const family of families(link)) wanted.set(`${family} ${link.key}`, { link, family });
    }
    rememberAddresses(links);
    for (const [key, { mdns }] of [...open]) {
      if (wanted.has(key)) continue;
      mdns.close();
      open.delete(key);
    }
    for (const [key, { link, family }] of wanted) {
      const before = open.get(key);
      const failed = before?.mdns.state().status === "failed";
      if (before && !(failed && nowMs - before.openedAtMs >= retryAfterMs(before.failures))) continue;
      before?.mdns.close();
      open.set(key, openLink(link, family, before ? before.failures + 1 : 0));
    }
    browser.expire();
    browser.keepOnly(new Set(usable.map(({ name }) => name)));
    const tag = options.clusterTag(clock.nowMs());
    const slept = lookedAtMs > 0 && nowMs - lookedAtMs >= sleptMs;
    for (const { mdns } of open.values()) {
      if (tag !== announcedTag || slept) mdns.announce();
      if (slept) mdns.ask();
    }
    announcedTag = tag;
    lookedAtMs = nowMs;
  }

  function rememberAddresses(links: readonly NetworkLink[]): void {
    if (ownAddresses.size > maxOwnAddresses) ownAddresses.clear();
    for (const { addresses } of links) for (const { address } of addresses) ownAddresses.add(address);
  }

  function look(): void {
    if (stopLooking) sync(watch.now());
    else stopLooking = watch.follow(sync);
  }

  function stopIfIdle(): void {
    if (listening || watchers.size > 0) return;
    stopLooking?.();
    stopLooking = undefined;
    lookedAtMs = 0;
    for (const { mdns } of open.values()) mdns.close();
    open.clear();
  }

  return {
    advertise(next) {
      listening = next;
      look();
      for (const { mdns } of open.values()) mdns.announce();
      return {
        async close() {
          if (listening !== next) return;
          await Promise.all([...open.values()].map(({ mdns }) => mdns.goodbye()));
          if (listening === next) listening = undefined;
          stopIfIdle();
        },
      };
    },

    browse(watcher) {
      const first = watchers.size === 0;
      watchers.add(watcher);
      look();
      if (first) {
        for (const { mdns } of open.values()) mdns.ask();
      } else {
        queueMicrotask(() => {
          for (const address of watchers.has(watcher) ? browser.addresses() : []) {
            watcher({ transport: "lan", address, source: "mdns", present: true });
          }
        });
      }
      return {
        async close() {
          watchers.delete(watcher);
          if (watchers.size === 0) browser.clear();
          stopIfIdle();
        },
      };
    },

    state() {
      const interfaces = [...open.values()].map(({ mdns }) => mdns.state());
      if (!listening && watchers.size === 0) return { status: "idle", interfaces };
      if (interfaces.some(({ status }) => status === "running")) return { status: "running", interfaces };
      if (interfaces.some(({ status }) => status === "opening")) return { status: "starting", interfaces };
      return { status: "multicast-unavailable", reason: interfaces[0]?.reason ?? "no-interface", interfaces };
    },
  };
}

function retryAfterMs(failures: number): number {
  return Math.min(longestRetryMs, retryMs * 2 ** failures);
}

/** IPv6 multicast needs a link-local address and does not work on loopback. */
function families({ addresses, internal }: NetworkLink): (4 | 6)[] {
  const found: (4 | 6)[] = [];
  if (addresses.some(({ family }) => family === 4)) found.push(4);
  if (!internal && addresses.some(({ address }) => address.startsWith("fe80:"))) found.push(6);
  return found;
}
