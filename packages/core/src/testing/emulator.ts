/**
 * A network with the faults of real ones, in this process, on a clock that a test moves and from a seed: latency, jitter,
 * rate, loss (which a stream shows as a stall or a reset), one-way blackholes, half-open connections and resets.
 */
import type { Clock } from "../clock.js";
import { abortedError, CoreError } from "../errors.js";
import type { HubId } from "../identity.js";
import { createMemoryNetwork, type MemoryTransportOptions } from "../memory/network.js";
import type { Connection, Transport } from "../transport.js";
import { EmulatedEnd } from "./emulated-end.js";

/** How one direction between two hubs behaves. */
export interface Conditions {
  /** One way, ms. */
  readonly latencyMs: number;
  /** Added to it, anything from 0 to this; order is kept. */
  readonly jitterMs: number;
  /** Bytes per second. */
  readonly rate: number;
  /** Chance that a message is lost on the way, 0..1: it and all behind it come 200 ms later, or twice that, and so on. */
  readonly loss: number;
  /** Bytes that may be on their way before a sender is asked to wait. */
  readonly bufferBytes: number;
}

/** Options of {@link createEmulator}. */
export interface EmulatorOptions {
  readonly clock: Clock;
  /** 0 ≤ x < 1. */
  readonly random: () => number;
  readonly conditions?: Partial<Conditions>;
}

/** Undoes a fault. Idempotent. */
type Heal = () => void;

/** A network under a test's control. */
export interface Emulator {
  /** Takes no guests. */
  transport(options: MemoryTransportOptions): Transport;
  /** From `from` to `to` nothing arrives until healed, and dials fail; nobody is told. */
  blackhole(from: HubId, to: HubId): Heal;
  /** Breaks every connection between two hubs; both ends hear of it. Returns how many there were. */
  reset(a: HubId, b: HubId): number;
  /** Breaks every connection at `told` alone: the other end sends on into nothing. Returns how many there were. */
  halfOpen(told: HubId, untold: HubId): number;
  /** Most bytes that one connection ever held on their way. */
  readonly mostQueuedBytes: number;
}

const standard: Conditions = { latencyMs: 1, jitterMs: 0, rate: 125_000_000, loss: 0, bufferBytes: 256 * 1024 };
/** How long a dial into a blackhole takes to fail. */
const connectTimeoutMs = 5_000;

/** A network without hubs. */
export function createEmulator(options: EmulatorOptions): Emulator {
  const { clock, random } = options;
  const conditions = { ...standard, ...options.conditions };
  const inner = createMemoryNetwork({ clock });
  const holes = new Set<string>();
  const counts = new Map<string, number>();
  const ends = new Set<EmulatedEnd>();
  let mostQueuedBytes = 0;

  const key = (from: HubId | undefined, to: HubId | undefined) => `${from} ${to}`;
  const isHole = (from: HubId | undefined, to: HubId | undefined) => holes.has(key(from, to));

  function emulate(self: HubId, connection: Connection): Connection {
    const peer = connection.peer?.hubId;
    const end = new EmulatedEnd(connection, {
      self,
      peer,
      clock,
      random,
      conditions,
      isHole: () => isHole(self, peer),
      queued: (bytes) => {
        mostQueuedBytes = Math.max(mostQueuedBytes, bytes);
      },
      over: () => ends.delete(end),
    });
    ends.add(end);
    return end;
  }

  function between(a: HubId, b: HubId): EmulatedEnd[] {
    return [...ends].filter(({ self, peerId }) => (self === a && peerId === b) || (self === b && peerId === a));
  }

  function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
    if (signal?.aborted) return Promise.reject(abortedError(signal));
    return new Promise((resolve, reject) => {
      const abort = () => {
        timer.cancel();
        if (signal) reject(abortedError(signal));
      };
      const timer = clock.setTimer(ms, () => {
        signal?.removeEventListener("abort", abort);
        resolve();
      });
      signal?.addEventListener("abort", abort, { once: true });
    });
  }

  return {
    transport(given) {
      const { hubId } = given.identity;
      const { dial, listen, guestAddresses: _none, ...rest } = inner.transport(given);
      return {
        ...rest,
        async dial(address, dialOptions = {}) {
          const { latencyMs } = conditions;
          await pause(2 * latencyMs, dialOptions.signal);
          if (isHole(hubId, address) || isHole(address, hubId)) {
            await pause(connectTimeoutMs, dialOptions.signal);
            throw new CoreError({ code: "UNREACHABLE", message: `Nobody answers at ${address}.`, retryable: true });
          }
          return emulate(hubId, await dial(address, dialOptions));
        },
        listen: (handler, listenOptions) =>
          listen(
            { ...handler, connection: (connection) => handler.connection(emulate(hubId, connection)) },
            listenOptions,
          ),
      };
    },
    blackhole(from, to) {
      const hole = key(from, to);
      counts.set(hole, (counts.get(hole) ?? 0) + 1);
      holes.add(hole);
      let healed = false;
      return () => {
        if (healed) return;
        healed = true;
        const left = counts.get(hole)! - 1;
        counts.set(hole, left);
        if (left > 0) return;
        holes.delete(hole);
        for (const end of ends) if (end.self === from && end.peerId === to) end.flush();
      };
    },
    reset(a, b) {
      const broken = between(a, b);
      for (const end of broken) end.break();
      return broken.length / 2;
    },
    halfOpen(told, untold) {
      const broken = between(told, untold).filter(({ self }) => self === told);
      for (const end of broken) end.break();
      return broken.length;
    },
    get mostQueuedBytes() {
      return mostQueuedBytes;
    },
  };
}
