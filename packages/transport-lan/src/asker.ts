/** Asking for others on one socket: at the start, ever less often, before something expires, and never twice (RFC 6762 §5.2, §7). */
import type { Clock, Timer } from "@fed/core";
import type { Browser } from "./browser.js";
import { type DnsMessage, type DnsQuestion, type DnsRecord, query, sameName, serviceType } from "./dns-records.js";

/** Options of {@link createAsker}. */
export interface AskerOptions {
  readonly clock: Clock;
  readonly linkName: string;
  readonly browser: Browser;
  /** Whether anybody wants to know of others. */
  isBrowsing(): boolean;
  /** Our own pointer, while we are announced. Multicast comes back: listing it keeps us from answering ourselves. */
  ownPointer(): DnsRecord | undefined;
  send(message: DnsMessage): void;
  /** 0 <= x < 1. */
  random(): number;
}

/** Asks. */
export interface Asker {
  /** Asks at once and then ever less often. */
  ask(): void;
  /** Asks a little later for what an answer left out; and again for what is known before it expires. */
  heard(missing: readonly DnsQuestion[]): void;
  /** Somebody else asked: what they asked for need not be asked again now (RFC 6762 §7.3). */
  overheard(message: DnsMessage): void;
  close(): void;
}

const firstGapMs = 1_000;
const longestGapMs = 60_000;
/** Hubs that start together do not ask together. */
const firstJitterMs = 100;
/** Nor do they all ask again for what they all heard at once; a fiftieth of a lifetime (RFC 6762 §5.2). */
const refreshJitterMs = 2_400;
const followUpMs = 500;
const maxFollowUps = 16;
/** Leaves room for IP and UDP headers in an Ethernet frame, bytes. */
const packetBytes = 1_400;
/** Name, type, class, lifetime and length of a pointer, bytes, without what it points to. */
const pointerBytes = serviceType.length + 2 + 10;

export function createAsker(options: AskerOptions): Asker {
  const { clock, browser, linkName } = options;
  let gapMs = firstGapMs;
  let next: { timer: Timer; atMs: number } | undefined;
  let missing: DnsQuestion[] = [];
  let followUp: Timer | undefined;

  function known(): DnsRecord[] {
    return [...[options.ownPointer() ?? []].flat(), ...browser.knownAnswers(linkName)];
  }

  function schedule(delayMs: number): void {
    next?.timer.cancel();
    next = { timer: clock.setTimer(delayMs, run), atMs: clock.monotonicMs() + delayMs };
  }

  /** After a question was asked, by whomever. */
  function scheduleNext(): void {
    schedule(Math.min(gapMs, untilRefreshMs()));
    gapMs = Math.min(gapMs * 2, longestGapMs);
  }

  function untilRefreshMs(): number {
    const refreshAtMs = browser.refreshAtMs(linkName) ?? Number.POSITIVE_INFINITY;
    return Math.max(firstGapMs, refreshAtMs - clock.monotonicMs() + options.random() * refreshJitterMs);
  }

  function run(): void {
    next = undefined;
    if (!options.isBrowsing()) return;
    for (const message of packets(browser.questions(linkName), known())) options.send(message);
    scheduleNext();
  }

  return {
    ask() {
      gapMs = firstGapMs;
      schedule(options.random() * firstJitterMs);
    },

    heard(questions) {
      const dueMs = clock.monotonicMs() + untilRefreshMs();
      if (next && dueMs < next.atMs) schedule(dueMs - clock.monotonicMs());
      if (questions.length === 0) return;
      missing = [...missing, ...questions].slice(0, maxFollowUps);
      followUp ??= clock.setTimer(followUpMs, () => {
        options.send(query(missing));
        missing = [];
        followUp = undefined;
      });
    },

    overheard({ questions, answers }) {
      if (!next || !questions.some(({ name, type }) => type === "PTR" && sameName(name, serviceType))) return;
      // Whatever else is due must still be asked for, and so must what they know and we do not.
      if (browser.questions(linkName).length > 1) return;
      const ours = new Set(known().map(({ data }) => String(data).toLowerCase()));
      const theirs = answers.filter(({ name, type }) => type === "PTR" && sameName(name, serviceType));
      if (theirs.every(({ data }) => ours.has(String(data).toLowerCase()))) scheduleNext();
    },

    close() {
      next?.timer.cancel();
      followUp?.cancel();
      next = undefined;
    },
  };
}

/** A query in as many packets as what is known needs: all but the last say that more follows (RFC 6762 §7.2). */
function packets(questions: readonly DnsQuestion[], known: readonly DnsRecord[]): DnsMessage[] {
  let room = packetBytes;
  for (const { name } of questions) room -= name.length + 6;
  const chunks: DnsRecord[][] = [[]];
  for (const record of known) {
    room -= pointerBytes + String(record.data).length + 2;
    if (room < 0) {
      chunks.push([]);
      room = packetBytes - pointerBytes - String(record.data).length - 2;
    }
    chunks.at(-1)!.push(record);
  }
  return chunks.map((answers, index) => ({
    ...query(index === 0 ? questions : [], answers),
    truncated: index < chunks.length - 1,
  }));
}
