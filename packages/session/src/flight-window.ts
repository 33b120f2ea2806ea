/**
 * How much may be under way to the peer: docs/spec/session.md §6. Whatever lies in the queues of the kernel, of the network
 * or of a relay can no longer be overtaken, so a sender that fills them makes its own calls wait. This window takes in what
 * the path holds anyway and a little more; the backlog stays in the outbox, where priorities count.
 *
 * Once a round trip, the last message of those that an acknowledgement covers is judged: by how long it was under way. Its
 * arrival made the peer answer, unless so little is acknowledged that the peer has rather waited for more. The window then
 * moves to the size at which that would have taken the shortest round trip known, and {@link QUEUE_MS}.
 */
import type { Clock } from "@fed/core";
import { Fifo } from "./fifo.js";
import { FULL_MESSAGE_BYTES, MAX_CHUNK_FRAME_BYTES } from "./frame.js";

/** How long what is sent may wait in queues on the way. */
const QUEUE_MS = 20;
const FIRST_BYTES = 128 * 1024;
/** Twice what the peer may leave unacknowledged for a while: so there is always something that makes it answer. */
const MIN_BYTES = 2 * MAX_CHUNK_FRAME_BYTES;
/** How long the shortest round trip holds. After that the queues are let run empty once, to see whether it still does. */
const SHORTEST_HOLDS_MS = 10_000;

/** Below it clocks do not tell. */
const MIN_TRIP_MS = 0.01;

/** A message that is not acknowledged. */
interface Cut {
  readonly bytes: number;
  /** How many frames have been sent with it. */
  readonly next: number;
  /** Bytes under way with it. */
  readonly underWay: number;
  readonly atMs: number;
}

/** See the module header. */
export class FlightWindow {
  readonly #clock: Clock;
  readonly #maxBytes: number;
  #bytes: number;
  #shortestMs = Number.POSITIVE_INFINITY;
  #shortestAtMs = 0;
  /** Runs the queues empty: only so much, until the next message that is judged. */
  #drainingTo: number | undefined;
  readonly #underWay = new Fifo<Cut>();
  #sent = 0;
  /** Frames sent before it last moved, or over another path: messages of these are not judged. */
  #before = 0;
  /** What the path itself measured last. */
  #pathMs: number | undefined;
  /** Somebody had to wait for it since it last moved. */
  #limiting = false;

  /** It never grows beyond `maxBytes`. */
  constructor(clock: Clock, maxBytes: number) {
    this.#clock = clock;
    this.#maxBytes = maxBytes;
    this.#bytes = Math.min(FIRST_BYTES, maxBytes);
  }

  /** Bytes that may be under way before a stream of no urgency has to wait. */
  get bytes(): number {
    return this.#drainingTo ?? this.#bytes;
  }

  /**
   * Whether a frame of class `rank` may join the `underWay` bytes that are not acknowledged. A call may take twice what is
   * left to events and bulk, so that it need not wait for their acknowledgements; control always goes.
   */
  admits(rank: number, underWay: number): boolean {
    if (rank === 0 || underWay < (rank === 1 ? 2 * this.bytes : this.bytes)) return true;
    this.#limiting = true;
    return false;
  }

  /** A message of `bytes` bytes has been cut: `next` frames have been sent with it, `underWay` bytes are under way. */
  cut(bytes: number, next: number, underWay: number): void {
    this.#sent = next;
    this.#underWay.push({ bytes, next, underWay, atMs: this.#clock.monotonicMs() });
  }

  /** The peer has received `count` frames. `pathMs`: the round trip that the path itself measured last, if any. */
  acknowledged(count: number, pathMs: number | undefined): void {
    let last: Cut | undefined;
    let bytes = 0;
    for (let cut = this.#underWay.peek(); cut && cut.next <= count; cut = this.#underWay.peek()) {
      last = this.#underWay.shift()!;
      bytes += last.bytes;
    }
    if (!last || bytes < FULL_MESSAGE_BYTES || last.next <= this.#before) return;
    this.#before = this.#sent;
    const nowMs = this.#clock.monotonicMs();
    const tookMs = Math.max(nowMs - last.atMs, MIN_TRIP_MS);
    const isStale = nowMs - this.#shortestAtMs > SHORTEST_HOLDS_MS;
    const isHonest = last.underWay === last.bytes || this.#drainingTo !== undefined;
    if (tookMs <= this.#shortestMs || (isStale && isHonest)) {
      this.#shortestMs = tookMs;
      this.#shortestAtMs = nowMs;
    }
    if (pathMs !== undefined && pathMs !== this.#pathMs) this.#shortestMs = Math.min(this.#shortestMs, pathMs);
    this.#pathMs = pathMs;
    if (this.#drainingTo === undefined) this.#move(last, tookMs);
    this.#drainingTo = isStale && !isHonest ? this.#emptyBytes() : undefined;
    this.#limiting = false;
  }

  /** Another path carries what is sent: nothing is known of it. `next` frames have been sent until now. */
  restart(next: number): void {
    this.#bytes = Math.min(FIRST_BYTES, this.#maxBytes);
    this.#shortestMs = Number.POSITIVE_INFINITY;
    this.#drainingTo = undefined;
    this.#underWay.clear();
    this.#before = next;
  }

  #move({ underWay }: Cut, tookMs: number): void {
    const ratio = (this.#shortestMs + QUEUE_MS) / tookMs;
    if (ratio < 1) this.#bytes = Math.max(Math.min(underWay * ratio, this.#bytes), this.#bytes / 2, MIN_BYTES);
    else if (this.#limiting) this.#bytes = Math.min(this.#bytes * Math.min(ratio, 2), this.#maxBytes);
  }

  /** Half of what the path itself holds: with that nothing lies in the queues. */
  #emptyBytes(): number {
    const held = (this.#bytes * this.#shortestMs) / (this.#shortestMs + QUEUE_MS);
    return Math.max(held / 2, MAX_CHUNK_FRAME_BYTES);
  }
}
