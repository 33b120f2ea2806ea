/** One socket on one interface and family: announces and answers for us, asks for others, says goodbye. */
import type { Clock, Timer } from "@fed/core";
import { inSubnet } from "./address.js";
import type { Browser } from "./browser.js";
import {
  type Announcement,
  announcementRecords,
  type DnsMessage,
  type DnsQuestion,
  serviceType,
} from "./dns-records.js";
import type { NetworkLink } from "./interfaces.js";
import { mdnsPort, type OpenMdnsSocket, type PacketSource } from "./mdns-socket.js";
import { createRateLimit } from "./rate-limit.js";
import { announce, answerTo, legacyAnswer } from "./responder.js";

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
  /** 0 <= x < 1. */
  random(): number;
}

/** A running socket. */
export interface MdnsLink {
  /** Announces again: two packets a second apart. */
  announce(): void;
  /** Asks at once and then ever less often. */
  ask(): void;
  state(): InterfaceState;
  /** Takes back what was announced. Resolves when it has left, or after half a second. */
  goodbye(): Promise<void>;
  close(): void;
}

const announceGapMs = 1_000;
/** Nothing is multicast twice within this (RFC 6762 §6). */
const repeatGapMs = 1_000;
const longestQueryGapMs = 60_000;
const goodbyeTimeoutMs = 500;
/** Packets per second that are looked at; the rest are dropped. */
const packetsPerSecond = 100;
const packetBurst = 200;
const maxPendingQueries = 64;
/** Hubs that start together do not ask together (RFC 6762 §5.2). */
const firstQueryJitterMs = 100;

export function createMdnsLink(options: MdnsLinkOptions): MdnsLink {
  const { link, family, clock, browser } = options;
  const packets = createRateLimit(clock, packetsPerSecond, packetBurst);
  const timers = new Map<"announce" | "answer" | "ask" | "follow-up", Timer>();
  let state: InterfaceState = { name: link.name, family, status: "opening" };
  let closed = false;
  let lastMulticastMs = Number.NEGATIVE_INFINITY;
  let pendingQueries: DnsMessage[] = [];
  let pendingQuestions: DnsQuestion[] = [];

  const socket = options.openSocket(link, family, {
    ready() {
      state = { name: link.name, family, status: "running" };
      self.announce();
      self.ask();
    },
    message(message, from) {
      // Nobody is reached at port 0: answering there is an exception in dgram, where nothing catches it.
      if (!packets.take() || from.port === 0 || !isOnLink(link, family, from)) return;
      if (message.type === "query") answer(message, from);
      else if (options.isBrowsing() && from.port === mdnsPort) followUp(browser.heard(link, message));
    },
    failed,
  });

  function failed(error: Error): void {
    const reason = (error as NodeJS.ErrnoException).code ?? error.message;
    state = { name: link.name, family, status: "failed", reason };
  }

  function after(name: "announce" | "answer" | "ask" | "follow-up", delayMs: number, run: () => void): void {
    timers.get(name)?.cancel();
    timers.set(
      name,
      clock.setTimer(delayMs, () => {
        timers.delete(name);
        if (!closed) run();
      }),
    );
  }

  function multicast(message: DnsMessage, done?: () => void): void {
    socket.send(message, undefined, (error) => {
      if (error) failed(error);
      else if (state.status === "failed") state = { name: link.name, family, status: "running" };
      done?.();
    });
  }

  function sendAnnouncement(ttl?: number, done?: () => void): boolean {
    const announcement = options.announcement(link);
    if (!announcement || state.status === "opening") return false;
    lastMulticastMs = clock.monotonicMs();
    multicast(announce(announcement, ttl), done);
    return true;
  }

  function answer(query: DnsMessage, from: PacketSource): void {
    const announcement = options.announcement(link);
    const answered = announcement && answerTo(query, announcement);
    if (!answered) return;
    if (from.port !== mdnsPort) {
      socket.send(legacyAnswer(query, answered), from);
      return;
    }
    // One packet answers all who ask while it waits.
    if (pendingQueries.length < maxPendingQueries) pendingQueries.push(query);
    if (pendingQueries.length > 1) return;
    const jitterMs = answered.shared ? 20 + options.random() * 100 : 0;
    const sinceMs = clock.monotonicMs() - lastMulticastMs;
    after("answer", Math.max(jitterMs, repeatGapMs - sinceMs), answerPending);
  }

  function answerPending(): void {
    const queries = pendingQueries;
    pendingQueries = [];
    const announcement = options.announcement(link);
    if (!announcement) return;
    const questions = queries.flatMap((query) => query.questions);
    // Whoever asked first alone decides what is known: with more askers somebody may still lack it.
    const answers = queries.length === 1 ? queries[0]!.answers : [];
    const answered = answerTo({ type: "query", questions, answers, additionals: [] }, announcement);
    if (!answered) return;
    lastMulticastMs = clock.monotonicMs();
    multicast(answered.message);
  }

  function followUp(questions: readonly DnsQuestion[]): void {
    if (questions.length === 0) return;
    const waiting = pendingQuestions.length > 0;
    pendingQuestions = [...pendingQuestions, ...questions].slice(0, 16);
    if (waiting) return;
    after("follow-up", repeatGapMs / 2, () => {
      multicast({ type: "query", questions: pendingQuestions, answers: [], additionals: [] });
      pendingQuestions = [];
    });
  }

  function query(gapMs: number): void {
    if (!options.isBrowsing()) return;
    const questions = [{ name: serviceType, type: "PTR" }];
    const announcement = options.announcement(link);
    // Multicast comes back to the sender: listing ourselves keeps us from answering our own question.
    const own = announcement ? [announcementRecords(announcement).pointer] : [];
    multicast({ type: "query", questions, answers: [...own, ...browser.knownAnswers(link.name)], additionals: [] });
    const refreshAtMs = browser.refreshAtMs(link.name) ?? Number.POSITIVE_INFINITY;
    const untilRefreshMs = Math.max(1_000, refreshAtMs - clock.monotonicMs());
    after("ask", Math.min(gapMs, untilRefreshMs), () => query(Math.min(gapMs * 2, longestQueryGapMs)));
  }

  const self: MdnsLink = {
    announce() {
      if (sendAnnouncement()) after("announce", announceGapMs, () => sendAnnouncement());
    },
    ask() {
      if (state.status !== "opening") after("ask", options.random() * firstQueryJitterMs, () => query(1_000));
    },
    state: () => state,
    goodbye() {
      timers.get("announce")?.cancel();
      timers.get("answer")?.cancel();
      return new Promise((resolve) => {
        const limit = clock.setTimer(goodbyeTimeoutMs, resolve);
        const done = (): void => {
          limit.cancel();
          resolve();
        };
        if (!sendAnnouncement(0, done)) done();
      });
    },
    close() {
      if (closed) return;
      closed = true;
      for (const timer of timers.values()) timer.cancel();
      socket.close();
    },
  };
  return self;
}

/** Multicast crosses sockets: on Linux one hears what any other joined. The source tells the interface (RFC 6762 §11). */
function isOnLink(link: NetworkLink, family: 4 | 6, { address }: PacketSource): boolean {
  const [host = "", zone] = address.split("%");
  if (zone !== undefined) return zone === link.name;
  return link.addresses.some((own) => own.family === family && inSubnet(host, own.address, own.prefixLength));
}
