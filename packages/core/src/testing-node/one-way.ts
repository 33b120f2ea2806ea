/** One direction of a line: every byte waits its turn, travels for a while, and arrives in order or not at all. */
import type { Socket } from "node:net";

/** How each direction of a line behaves. Connections share it, as they share the cable. */
export interface LineConditions {
  /** One way, ms. */
  readonly latencyMs: number;
  /** Added to it, anything from 0 to this; order is kept. */
  readonly jitterMs: number;
  /** Bytes per second. */
  readonly rate: number;
  /** Bytes that wait for their turn or travel, above which senders have to wait. */
  readonly bufferBytes: number;
}

/** What arrives: bytes, the end of what is sent, or the end of the connection. */
type Arrival = Uint8Array | "end" | "reset";

interface Segment {
  readonly to: Socket;
  readonly arrival: Arrival;
  readonly dueMs: number;
}

/** So large that few timers are needed, so small that connections take turns. */
const segmentBytes = 8 * 1024;

/**
 * Resets a connection. One whose end is on its way to the kernel in this turn is closed without: Node fails to reset it, keeps
 * its handle, and then never exits.
 */
export function resetSocket(socket: Socket): void {
  if (socket.writableEnded && !socket.writableFinished) socket.destroy();
  else socket.resetAndDestroy();
}

/** See the module header. */
export class OneWay {
  readonly #random: () => number;
  /** Who is read from, and where it goes. */
  readonly #carried = new Map<Socket, Socket>();
  #conditions: LineConditions;
  #queue: Segment[] = [];
  #queuedBytes = 0;
  #busyUntilMs = 0;
  #lastDueMs = 0;
  /** Ends for which something is sent again only later. */
  readonly #deferred = new Set<Socket>();
  /** How many want that nothing arrives. */
  #holds = 0;
  #timer: NodeJS.Timeout | undefined;
  readonly #timers = new Set<NodeJS.Timeout>();

  constructor(conditions: LineConditions, random: () => number) {
    this.#conditions = conditions;
    this.#random = random;
  }

  set conditions(conditions: LineConditions) {
    this.#conditions = conditions;
  }

  /** Whether nothing arrives now. */
  get held(): boolean {
    return this.#holds > 0;
  }

  hold(): void {
    this.#holds++;
  }

  /** What has waited so far goes on after `delayMs`; what comes on other connections is not held up. */
  release(delayMs: number): void {
    this.#holds--;
    const waiting = new Set(delayMs > 0 ? this.#queue.map(({ to }) => to) : []);
    for (const to of waiting) this.#deferred.add(to);
    if (waiting.size > 0) {
      const timer = setTimeout(() => {
        this.#timers.delete(timer);
        for (const to of waiting) this.#deferred.delete(to);
        this.#deliver();
      }, delayMs);
      this.#timers.add(timer);
    }
    this.#deliver();
  }

  /** Takes what `from` sends to `to` from now on. */
  carry(from: Socket, to: Socket): void {
    this.#carried.set(from, to);
    from.on("data", (bytes: Uint8Array) => {
      for (let at = 0; at < bytes.length; at += segmentBytes) this.#push(to, bytes.subarray(at, at + segmentBytes));
    });
    from.on("end", () => this.#push(to, "end"));
    from.on("error", () => this.#push(to, "reset"));
    from.on("close", () => this.#carried.delete(from));
    to.on("drain", () => this.#flow());
    this.#flow();
  }

  /** What is under way is lost. */
  close(): void {
    clearTimeout(this.#timer);
    for (const timer of this.#timers) clearTimeout(timer);
    this.#queue = [];
  }

  #push(to: Socket, arrival: Arrival): void {
    const { latencyMs, jitterMs, rate } = this.#conditions;
    const nowMs = performance.now();
    const bytes = lengthOf(arrival);
    this.#busyUntilMs = Math.max(this.#busyUntilMs, nowMs) + (bytes * 1000) / rate;
    this.#lastDueMs = Math.max(this.#lastDueMs, this.#busyUntilMs + latencyMs + this.#random() * jitterMs);
    this.#queue.push({ to, arrival, dueMs: this.#lastDueMs });
    this.#queuedBytes += bytes;
    this.#deliver();
    this.#flow();
  }

  #deliver(): void {
    clearTimeout(this.#timer);
    if (this.held) return;
    const nowMs = performance.now();
    const left: Segment[] = [];
    for (const segment of this.#queue) {
      const { to, arrival, dueMs } = segment;
      if (dueMs > nowMs || this.#deferred.has(to)) {
        left.push(segment);
        continue;
      }
      this.#queuedBytes -= lengthOf(arrival);
      if (to.destroyed) continue;
      if (arrival === "reset") resetSocket(to);
      else if (arrival === "end") to.end();
      else to.write(arrival);
    }
    this.#queue = left;
    const next = left.find(({ to }) => !this.#deferred.has(to));
    if (next) this.#timer = setTimeout(() => this.#deliver(), next.dueMs - nowMs);
    this.#flow();
  }

  /** Who sends more than fits, or to somebody who reads nothing, has to wait. */
  #flow(): void {
    const isFull = this.#queuedBytes >= this.#conditions.bufferBytes;
    for (const [from, to] of this.#carried) {
      if (isFull || to.writableNeedDrain) from.pause();
      else from.resume();
    }
  }
}

function lengthOf(arrival: Arrival): number {
  return typeof arrival === "string" ? 0 : arrival.length;
}
