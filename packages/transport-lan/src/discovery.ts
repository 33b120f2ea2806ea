/** DNS-SD on every usable interface: keeps one socket per interface and family, and makes it anew when the interface is. */
import { type Candidate, type Clock, encodeBase32, randomBytes, type Timer } from "@fed/core";
import { createBrowser } from "./browser.js";
import type { Announcement } from "./dns-records.js";
import { isWildcard, listLinks, type NetworkLink, usableLinks } from "./interfaces.js";
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
  /** The address that will be bound, which decides the interfaces until something is advertised. */
  readonly host?: string | undefined;
  readonly openSocket?: OpenMdnsSocket;
  readonly links?: () => NetworkLink[];
  readonly random?: () => number;
}

/** Announcing and searching on this machine's interfaces. */
export interface LanDiscovery {
  /** Announces a listening socket until closed; one at a time, the newest. */
  advertise(listening: { readonly host: string; readonly port: number }): { close(): Promise<void> };
  /** Reports candidates until closed. What is known already is reported at once. */
  browse(onCandidate: (candidate: Candidate) => void): { close(): Promise<void> };
  state(): DiscoveryState;
}

/** How often interfaces are looked at. */
const pollMs = 2_000;
/** A socket that failed is tried again after this. */
const retryMs = 10_000;
const maxAnnouncedAddresses = 8;

interface OpenLink {
  readonly openedAtMs: number;
  readonly mdns: MdnsLink;
}

export function createLanDiscovery(options: LanDiscoveryOptions): LanDiscovery {
  const { clock, openSocket = openMdnsSocket, links = listLinks, random = Math.random } = options;
  const instance = encodeBase32(randomBytes(16));
  const open = new Map<string, OpenLink>();
  const watchers = new Set<(candidate: Candidate) => void>();
  let listening: { readonly host: string; readonly port: number } | undefined;
  let announcedTag = "";
  let poll: Timer | undefined;

  const browser = createBrowser({ clock, instance, acceptedTags: options.acceptedTags, onCandidate });

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

  /** Brings the sockets in line with the interfaces, and everything else up to the time. */
  function sync(): void {
    const wanted = new Map<string, { link: NetworkLink; family: 4 | 6 }>();
    const usable = usableLinks(links(), { names: options.interfaces, host: listening?.host ?? options.host });
    for (const link of usable) {
      for (const family of families(link)) wanted.set(`${family} ${link.key}`, { link, family });
    }
    for (const [key, { mdns, openedAtMs }] of [...open]) {
      const retry = mdns.state().status === "failed" && clock.monotonicMs() - openedAtMs >= retryMs;
      if (wanted.has(key) && !retry) continue;
      mdns.close();
      open.delete(key);
    }
    for (const [key, { link, family }] of wanted) {
      if (open.has(key)) continue;
      const mdns = createMdnsLink({
        link,
        family,
        clock,
        openSocket,
        browser,
        announcement,
        isBrowsing: () => watchers.size > 0,
        random,
      });
      open.set(key, { openedAtMs: clock.monotonicMs(), mdns });
    }
    browser.expire();
    browser.keepOnly(new Set(usable.map(({ name }) => name)));
    const tag = options.clusterTag(clock.nowMs());
    if (tag !== announcedTag) {
      announcedTag = tag;
      for (const { mdns } of open.values()) mdns.announce();
    }
  }

  function run(): void {
    poll?.cancel();
    sync();
    poll = clock.setTimer(pollMs, run);
  }

  function stopIfIdle(): void {
    if (listening || watchers.size > 0) return;
    poll?.cancel();
    poll = undefined;
    for (const { mdns } of open.values()) mdns.close();
    open.clear();
  }

  return {
    advertise(next) {
      listening = next;
      run();
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
      run();
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

/** IPv6 multicast needs a link-local address and does not work on loopback. */
function families({ addresses, internal }: NetworkLink): (4 | 6)[] {
  const found: (4 | 6)[] = [];
  if (addresses.some(({ family }) => family === 4)) found.push(4);
  if (!internal && addresses.some(({ address }) => address.startsWith("fe80:"))) found.push(6);
  return found;
}
