/** Our side of multicast DNS on one socket: claims the name, announces, answers, defends, says goodbye (RFC 6762 §6, §8-10). */
import type { Clock, Timer } from "@fed/core";
import {
  type Announcement,
  type DnsMessage,
  type DnsQuestion,
  type DnsRecord,
  sameName,
  serviceType,
} from "./dns-records.js";
import { mdnsPort, type PacketSource } from "./mdns-socket.js";
import { announce, answerTo, contradicts, isAboutUs, legacyAnswer, probe } from "./responder.js";

/** Options of {@link createAnnouncer}. */
export interface AnnouncerOptions {
  readonly clock: Clock;
  /** 0 <= x < 1. */
  random(): number;
  /** What to say of us on this interface; undefined: nothing. */
  announcement(): Announcement | undefined;
  /** Whether an address is, or was, this machine's: what bears it is our own echo. */
  isOwnAddress(address: string): boolean;
  send(message: DnsMessage, to?: PacketSource, done?: () => void): void;
  /** Somebody else holds our name, or is about to claim it. */
  conflict(): void;
}

/** Speaks for this hub on one socket. */
export interface Announcer {
  /** Says everything again, after the name has been claimed; claims it first, after `delayMs`, where it was not. */
  announce(delayMs?: number): void;
  /** Lets go of the name and whatever was under way; `goodbye` takes back what was announced. */
  release(goodbye: boolean): void;
  asked(query: DnsMessage, from: PacketSource): void;
  /** A response of anybody, ours included. */
  heard(message: DnsMessage): void;
  /** Takes back what was announced. Resolves when it has left, or after half a second. */
  goodbye(): Promise<void>;
  close(): void;
}

/** RFC 6762 §8.1: three probes, 250 ms apart, after up to 250 ms. */
const probeGapMs = 250;
const probeCount = 3;
const announceGapMs = 1_000;
/** Nothing is multicast twice within this (RFC 6762 §6); whoever claims our name hears sooner. */
const repeatGapMs = 1_000;
const defenceGapMs = 250;
const goodbyeTimeoutMs = 500;
const maxPendingQueries = 64;

interface PendingQuery {
  readonly questions: readonly DnsQuestion[];
  readonly known: readonly DnsRecord[];
}

export function createAnnouncer(options: AnnouncerOptions): Announcer {
  const { clock, announcement, send } = options;
  let state: "silent" | "claiming" | "holding" = "silent";
  let lastSaidMs = Number.NEGATIVE_INFINITY;
  let pending: PendingQuery[] = [];
  /** Whether somebody else has just told that our service type exists (RFC 6762 §7.4). */
  let typeTold = false;
  let speaking: Timer | undefined;
  let answering: { timer: Timer; atMs: number } | undefined;

  function say(ttl?: number, done?: () => void): boolean {
    const own = announcement();
    if (!own) return false;
    lastSaidMs = clock.monotonicMs();
    send(announce(own, ttl), undefined, done);
    return true;
  }

  function sayTwice(): void {
    if (!say()) return;
    speaking = clock.setTimer(announceGapMs, () => say());
  }

  function claim(sent: number): void {
    const own = announcement();
    if (!own) {
      state = "silent";
    } else if (sent < probeCount) {
      send(probe(own));
      speaking = clock.setTimer(probeGapMs, () => claim(sent + 1));
    } else {
      state = "holding";
      sayTwice();
    }
  }

  function stop(): void {
    speaking?.cancel();
    answering?.timer.cancel();
    answering = undefined;
    pending = [];
  }

  function answerAt(atMs: number): void {
    if (answering && answering.atMs <= atMs) return;
    answering?.timer.cancel();
    const timer = clock.setTimer(Math.max(0, atMs - clock.monotonicMs()), answerPending);
    answering = { timer, atMs };
  }

  /** One packet answers all who ask while it waits. */
  function answerPending(): void {
    const queries = pending;
    pending = [];
    answering = undefined;
    const own = announcement();
    if (!own || state !== "holding") return;
    const answered = answerTo(queries, own, { withoutType: typeTold });
    if (!answered) return;
    lastSaidMs = clock.monotonicMs();
    send(answered.message);
  }

  return {
    announce(delayMs = 0) {
      if (state === "claiming" || !announcement()) return;
      stop();
      if (state === "holding") return sayTwice();
      state = "claiming";
      speaking = clock.setTimer(delayMs + options.random() * probeGapMs, () => claim(0));
    },

    release(goodbye) {
      stop();
      if (goodbye && state === "holding") say(0);
      state = "silent";
    },

    asked(query, from) {
      const own = announcement();
      if (!own || state === "silent") return;
      const rivals = (query.authorities ?? []).filter((record) => contradicts(record, own, options.isOwnAddress));
      if (state === "claiming") {
        // Both give the name up: new ones cost nothing, so who would win need not be decided.
        if (rivals.length > 0) options.conflict();
        return;
      }
      const asking = { questions: query.questions, known: query.answers };
      const answered = answerTo([asking], own);
      if (!answered) return;
      if (from.port !== mdnsPort) return send(legacyAnswer(query, answered), from);
      if (pending.length === 0) typeTold = false;
      if (pending.length < maxPendingQueries) pending.push(asking);
      const gapMs = rivals.length > 0 ? defenceGapMs : repeatGapMs;
      const jitterMs = answered.shared ? 20 + options.random() * 100 : 0;
      answerAt(Math.max(clock.monotonicMs() + jitterMs, lastSaidMs + gapMs));
    },

    heard({ answers, additionals }) {
      const own = announcement();
      if (!own) return;
      typeTold ||= answers.some(({ type, ttl, data }) => ttl > 0 && type === "PTR" && isServiceType(data));
      if (state === "silent") return;
      const records = [...answers, ...additionals];
      if (records.some((record) => record.ttl > 0 && contradicts(record, own, options.isOwnAddress))) {
        options.conflict();
      } else if (state === "holding" && records.some((record) => record.ttl === 0 && isAboutUs(record, own))) {
        // Somebody took us back. Whoever heard it keeps us for a second: time to say that we are here.
        const atMs = Math.max(clock.monotonicMs(), lastSaidMs + repeatGapMs / 2);
        speaking?.cancel();
        speaking = clock.setTimer(atMs - clock.monotonicMs(), () => say());
      }
    },

    goodbye() {
      stop();
      const held = state === "holding";
      state = "silent";
      return new Promise((resolve) => {
        const limit = clock.setTimer(goodbyeTimeoutMs, resolve);
        const done = (): void => {
          limit.cancel();
          resolve();
        };
        if (!held || !say(0, done)) done();
      });
    },

    close: stop,
  };
}

function isServiceType(data: unknown): boolean {
  return typeof data === "string" && sameName(data, serviceType);
}
