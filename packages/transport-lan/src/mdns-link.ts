/** One socket on one interface and family, and what is said and asked over it. */
import type { Clock } from "@fed/core";
import { inSubnet } from "./address.js";
import { createAnnouncer } from "./announcer.js";
import { createAsker } from "./asker.js";
import type { Browser } from "./browser.js";
import { type Announcement, announcementRecords, type DnsMessage } from "./dns-records.js";
import type { NetworkLink } from "./interfaces.js";
import { mdnsPort, type OpenMdnsSocket, type PacketSource } from "./mdns-socket.js";
import { createQueryAssembly } from "./query-assembly.js";
import { createRateLimit, createSourceRateLimit } from "./rate-limit.js";

/** How one interface fares. */
export interface InterfaceState {
  readonly name: string;
  readonly family: 4 | 6;
  readonly status: "opening" | "running" | "failed";
  /** Why it failed: the system's code, e.g. EADDRINUSE, EPERM, ENODEV. */
  readonly reason?: string;
}

/** Options of {@link createMdnsLink}. */
export interface MdnsLinkOptions {
  readonly link: NetworkLink;
  readonly family: 4 | 6;
  readonly clock: Clock;
  readonly openSocket: OpenMdnsSocket;
  readonly browser: Browser;
  /** What to say of us on this interface; undefined: nothing. */
  announcement(link: NetworkLink): Announcement | undefined;
  /** Whether anybody wants to know of others. */
  isBrowsing(): boolean;
  /** Whether an address is, or was, this machine's. */
  isOwnAddress(address: string): boolean;
  /** Somebody else holds our name there. */
  conflict(on: MdnsLink): void;
  /** 0 <= x < 1. */
  random(): number;
}

/** A running socket. */
export interface MdnsLink {
  /** Announces, after the name was claimed where it was not yet: three probes, `delayMs` later. */
  announce(delayMs?: number): void;
  /** Gives up the name; `goodbye` takes back what was announced under it. */
  release(goodbye: boolean): void;
  /** Asks at once and then ever less often. */
  ask(): void;
  state(): InterfaceState;
  /** Takes back what was announced. Resolves when it has left, or after half a second. */
  goodbye(): Promise<void>;
  close(): void;
}

/** Packets per second that are read, and at once; the rest are dropped unread. */
const packetsPerSecond = 500;
const packetBurst = 1_000;
/** The same for one source, so that it does not use up what all share. */
const packetsPerSourcePerSecond = 100;
const packetSourceBurst = 200;

export function createMdnsLink(options: MdnsLinkOptions): MdnsLink {
  const { link, family, clock, browser, random } = options;
  const packets = createRateLimit(clock, packetsPerSecond, packetBurst);
  const packetsBySource = createSourceRateLimit(clock, packetsPerSourcePerSecond, packetSourceBurst);
  let state: InterfaceState = { name: link.name, family, status: "opening" };
  let closed = false;

  const announcer = createAnnouncer({
    clock,
    random,
    announcement: () => (state.status === "opening" ? undefined : options.announcement(link)),
    isOwnAddress: options.isOwnAddress,
    send,
    conflict: () => options.conflict(self),
  });
  const asker = createAsker({
    clock,
    random,
    linkName: link.name,
    browser,
    isBrowsing: options.isBrowsing,
    ownPointer() {
      const own = options.announcement(link);
      return own && announcementRecords(own).pointer;
    },
    send,
  });
  const queries = createQueryAssembly({
    clock,
    random,
    whole(query, from) {
      announcer.asked(query, from);
      if (options.isBrowsing() && from.port === mdnsPort && !options.isOwnAddress(hostOf(from))) asker.overheard(query);
    },
  });

  const socket = options.openSocket(link, family, {
    ready() {
      state = { name: link.name, family, status: "running" };
      self.announce();
      self.ask();
    },
    // Nobody is reached at port 0: answering there is an exception in dgram, where nothing catches it.
    admit: (from) =>
      !closed &&
      from.port !== 0 &&
      isOnLink(link, family, from) &&
      packetsBySource.take(from.address) &&
      packets.take(),
    message(message, from) {
      if (message.type === "query") {
        queries.take(message, from);
      } else if (from.port === mdnsPort) {
        announcer.heard(message);
        if (options.isBrowsing()) asker.heard(browser.heard(link, message, from.address));
      }
    },
    failed,
  });

  function failed(error: Error): void {
    const reason = (error as NodeJS.ErrnoException).code ?? error.message;
    state = { name: link.name, family, status: "failed", reason };
  }

  function send(message: DnsMessage, to?: PacketSource, done?: () => void): void {
    socket.send(message, to, (error) => {
      // Somebody who cannot be answered says nothing of the interface.
      if (error && !to) failed(error);
      else if (!error && state.status === "failed") state = { name: link.name, family, status: "running" };
      done?.();
    });
  }

  const self: MdnsLink = {
    announce: (delayMs) => announcer.announce(delayMs),
    release: (goodbye) => announcer.release(goodbye),
    ask() {
      if (state.status !== "opening") asker.ask();
    },
    state: () => state,
    goodbye: () => announcer.goodbye(),
    close() {
      if (closed) return;
      closed = true;
      announcer.close();
      asker.close();
      queries.close();
      socket.close();
    },
  };
  return self;
}

/** Multicast crosses sockets: on Linux one hears what any other joined. The source tells the interface (RFC 6762 §11). */
function isOnLink(link: NetworkLink, family: 4 | 6, from: PacketSource): boolean {
  const [host = "", zone] = from.address.split("%");
  if (zone !== undefined) return zone === link.name;
  return link.addresses.some((own) => own.family === family && inSubnet(host, own.address, own.prefixLength));
}

function hostOf({ address }: PacketSource): string {
  return address.split("%")[0]!;
}
