/** Puts queries together whose known answers come in several packets (RFC 6762 §7.2). */
import type { Clock, Timer } from "@fed/core";
import type { DnsMessage } from "./dns-records.js";
import type { PacketSource } from "./mdns-socket.js";

/** Options of {@link createQueryAssembly}. */
export interface QueryAssemblyOptions {
  readonly clock: Clock;
  /** 0 <= x < 1. */
  random(): number;
  /** A query with all that its asker knows. */
  whole(query: DnsMessage, from: PacketSource): void;
}

/** Holds queries back while more of them is to come. */
export interface QueryAssembly {
  take(query: DnsMessage, from: PacketSource): void;
  close(): void;
}

/** RFC 6762 §7.2: the rest has 400 to 500 ms to come. */
const waitMs = 400;
const waitJitterMs = 100;
const maxHeld = 16;
/** Known answers of one query; above it the asker hears again what it knows. */
const maxKnown = 512;

export function createQueryAssembly({ clock, random, whole }: QueryAssemblyOptions): QueryAssembly {
  const held = new Map<string, { query: DnsMessage; readonly timer: Timer }>();
  return {
    take(query, from) {
      const key = `${from.address} ${from.port}`;
      const before = held.get(key);
      if (before && query.questions.length === 0) {
        const answers = [...before.query.answers, ...query.answers].slice(0, maxKnown);
        before.query = { ...before.query, answers };
      } else if (!query.truncated || query.questions.length === 0 || before || held.size >= maxHeld) {
        if (query.questions.length > 0) whole(query, from);
      } else {
        const timer = clock.setTimer(waitMs + random() * waitJitterMs, () => {
          const complete = held.get(key)!.query;
          held.delete(key);
          whole(complete, from);
        });
        held.set(key, { query, timer });
      }
    },
    close() {
      for (const { timer } of held.values()) timer.cancel();
      held.clear();
    },
  };
}
