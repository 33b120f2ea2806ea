/**
 * Hop credit: how much of what a relay forwarded a destination may leave unread, and who may have sent it. docs/spec/relay.md §3.
 *
 * A relay has no backpressure of its own (a Durable Object cannot even see what waits in a socket), so hubs acknowledge what
 * they have processed and the relay refuses the rest. Three bounds hold at once: a destination's credit, what its cluster
 * shares, and a sender's share of the destination. The shares follow the room that is left, so they shrink as more take
 * part and a newcomer always finds some.
 */
import { RelayError } from "./errors.js";

/** A reader that is well acknowledges this often, so less may rest unacknowledged for ever; it is not taken from the cluster. */
const restingBytes = 65_536;
/** Kept for senders that hold nothing at a destination. */
const newcomerBytes = 65_536;
/** A sender may hold this many times the room that it leaves: alone seven tenths, which is more than a connection has under way. */
const shareOfRoom = 3;

/** How far a destination has read; the part of a place that changes. Bytes of RECV payload since its admission. */
export interface HopCounts {
  sentBytes: number;
  ackedBytes: number;
}

/** What the destinations of one cluster share: all that each holds above 64 KiB. */
export interface CreditPool {
  readonly limitBytes: number;
  outstandingBytes: number;
}

/** The credit of one destination. */
export interface HopCredit<Sender> {
  /** Forwarded but not acknowledged. */
  readonly outstandingBytes: number;
  /** Takes room for `length` bytes, unless there is none for this sender. `bufferedBytes`: what the host knows to be unsent. */
  take(sender: Sender, length: number, bufferedBytes: number, atMs: number): boolean;
  /** The destination has processed so much in all. @throws {RelayError} PROTOCOL_ERROR when that cannot be. */
  acknowledge(processedBytes: number, atMs: number): void;
  /** Whether it holds more than a reader that is well would, and has read nothing for this long. */
  isStuck(forMs: number, atMs: number): boolean;
  /** A sender is gone; what it sent still waits. */
  forget(sender: Sender): void;
  /** The destination is gone: gives back what the cluster shares. */
  end(): void;
}

/** The credit of a destination that has read as far as `counts` says; `counts` is kept current. Times are monotonic. */
export function createHopCredit<Sender>(
  counts: HopCounts,
  pool: CreditPool,
  creditBytes: number,
  startMs: number,
): HopCredit<Sender> {
  const held = new Map<Sender, number>();
  let lastProgressMs = startMs;
  const outstanding = () => counts.sentBytes - counts.ackedBytes;
  const shared = () => Math.max(0, outstanding() - restingBytes);
  /** Changes the counts, and what is taken from the cluster with them. */
  const count = (sentBytes: number, ackedBytes: number) => {
    pool.outstandingBytes -= shared();
    counts.sentBytes = sentBytes;
    counts.ackedBytes = ackedBytes;
    pool.outstandingBytes += shared();
  };
  pool.outstandingBytes += shared();

  return {
    get outstandingBytes() {
      return outstanding();
    },
    take(sender, length, bufferedBytes, atMs) {
      const waiting = Math.max(outstanding(), bufferedBytes);
      // The fewer bytes the cluster has left, the less each destination may hold.
      const left = restingBytes + pool.limitBytes - pool.outstandingBytes;
      const room = Math.min(creditBytes, left) - waiting - length;
      const holds = held.get(sender) ?? 0;
      const isCrowded = waiting >= restingBytes && holds > 0;
      if (room < 0 || (isCrowded && holds + length > shareOfRoom * (room - newcomerBytes))) return false;
      if (waiting < restingBytes) lastProgressMs = atMs;
      held.set(sender, holds + length);
      count(counts.sentBytes + length, counts.ackedBytes);
      return true;
    },
    acknowledge(processedBytes, atMs) {
      if (processedBytes < counts.ackedBytes || processedBytes > counts.sentBytes) {
        throw new RelayError({ code: "PROTOCOL_ERROR", message: "An acknowledgement out of range." });
      }
      const before = outstanding();
      if (processedBytes === counts.ackedBytes) return;
      count(counts.sentBytes, processedBytes);
      lastProgressMs = atMs;
      // Whose bytes were read is not written down per message, which would cost more than the messages: all shares shrink alike.
      const rest = outstanding() / before;
      if (rest === 0) held.clear();
      else for (const [sender, bytes] of held) held.set(sender, bytes * rest);
    },
    isStuck: (forMs, atMs) => outstanding() >= restingBytes && atMs - lastProgressMs > forMs,
    forget: (sender) => void held.delete(sender),
    end() {
      count(counts.sentBytes, counts.sentBytes);
    },
  };
}
