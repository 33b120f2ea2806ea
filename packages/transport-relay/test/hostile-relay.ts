/** Relays that do everything a relay can do to what it carries, from a seed and on a virtual clock. For tests. */
import { type Connection, encodeHex, type FedError, toFedError } from "@fed/core";
import { createVirtualClock, patternBytes, type TestClock } from "@fed/core/testing";
import { decodeFrame, encodeFrame } from "../src/frame.js";
import type { RekeyLimits } from "../src/key-renewal.js";
import { routeOf } from "../src/relay-keys.js";
import { createMemoryRelay, createTestHubs, type MemoryRelay, type TestHub, testRelayKeys } from "./memory-relay.js";

/** Everything a hostile relay may do to one payload on its way, or say besides. */
export const mischiefs = [
  "drop",
  "double",
  "delay",
  "delayLong",
  "replay",
  "flip",
  "truncate",
  "extend",
  "splice",
  "divert",
  "swapSource",
  "renumber",
  "sayAbsent",
  "sayPresent",
  "sayNoRoute",
  "sayReset",
  "sayRate",
  "sayUnknown",
  "swallow",
] as const;

/** One of {@link mischiefs}. */
export type Mischief = (typeof mischiefs)[number];

/** Hubs at relays, on a virtual clock; all listen. */
export interface HostileScene {
  readonly clock: TestClock;
  readonly relays: readonly MemoryRelay[];
  readonly hubs: readonly TestHub[];
  /** What was accepted, by the hub that did. */
  readonly accepted: readonly (readonly Connection[])[];
  readonly refused: readonly FedError[];
  /** The present route of a hub. */
  routeOf(hub: number): Uint8Array;
  /** What `promise` comes to, time being moved on until it does. */
  settle<T>(promise: Promise<T>): Promise<T>;
  close(): Promise<void>;
}

/** Options of {@link createHostileScene}. */
export interface HostileSceneOptions {
  readonly names?: readonly string[];
  readonly relays?: number;
  readonly rekey?: Partial<RekeyLimits>;
}

/** Relays with nothing to hide yet: what they do to credit is not what is tested, so they have plenty. */
export async function createHostileScene(options: HostileSceneOptions = {}): Promise<HostileScene> {
  const { names = ["a", "b"], relays: count = 1, rekey } = options;
  const clock = createVirtualClock();
  const relayKeys = testRelayKeys();
  const rate = { perSecond: 1e9, burst: 1e9 };
  const relays = Array.from({ length: count }, (_, i) =>
    createMemoryRelay([relayKeys], {
      clock,
      origin: `ws://relay${i}.test`,
      limits: {
        creditBytes: 2 ** 40,
        clusterCreditBytes: 2 ** 40,
        slowReaderMs: 1e9,
        socketMessages: rate,
        socketBytes: rate,
        clusterMessages: rate,
        clusterBytes: rate,
      },
    }),
  );
  const hubs = createTestHubs(names, {
    relays: relays.map(({ origin }) => origin),
    relayKeys,
    clock,
    connect: (url, protocols) => relays.find(({ origin }) => origin === url)!.connect(url, protocols),
    ...(rekey && { rekey }),
  });
  const accepted = hubs.map((): Connection[] => []);
  const refused: FedError[] = [];

  async function settle<T>(promise: Promise<T>): Promise<T> {
    let settled = false;
    const done = () => {
      settled = true;
    };
    promise.then(done, done);
    for (let i = 0; i < 600 && !settled; i++) await clock.advance(i < 20 ? 5 : 200);
    return promise;
  }

  await settle(
    Promise.all(
      hubs.map(({ transport }, i) =>
        transport.listen({
          connection: (connection) => void accepted[i]!.push(connection),
          refused: (_address, error) => void refused.push(error),
        }),
      ),
    ),
  );
  return {
    clock,
    relays,
    hubs,
    accepted,
    refused,
    routeOf: (hub) => routeOf(relayKeys.routeKey, hubs[hub]!.identity.hubId, clock.nowMs()),
    settle,
    async close() {
      for (const { transport } of hubs) await transport.close();
    },
  };
}

/** What the wire did. */
export interface HostileWire {
  readonly done: ReadonlyMap<Mischief, number>;
  /** From now on the relay is honest. */
  stop(): void;
}

interface Parcel {
  readonly source: Uint8Array;
  readonly target: Uint8Array;
  readonly payload: Uint8Array;
}

/** Options of {@link makeHostile}. */
export interface HostileOptions {
  readonly clock: TestClock;
  /** 0 ≤ x < 1. */
  readonly random: () => number;
  readonly kinds: readonly Mischief[];
  /** The share of payloads that something happens to. */
  readonly intensity: number;
}

/** Makes a relay hostile to what it forwards. */
export function makeHostile(relay: MemoryRelay, { clock, random, kinds, intensity }: HostileOptions): HostileWire {
  const history: Parcel[] = [];
  const done = new Map<Mischief, number>();
  let swallowUntilMs = 0;
  let stopped = false;
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)]!;

  function deliver({ source, target, payload }: Parcel): void {
    for (const socket of relay.sockets) {
      if (encodeHex(socket.route) === encodeHex(target)) {
        socket.inject(encodeFrame({ type: "recv", route: source, payload }));
      }
    }
  }

  function say(target: Uint8Array, frame: Parameters<typeof encodeFrame>[0]): void {
    for (const socket of relay.sockets) {
      if (encodeHex(socket.route) === encodeHex(target)) socket.inject(encodeFrame(frame));
    }
  }

  /** What becomes of `parcel` at its place in the order; anything else is done here. */
  function harm(kind: Mischief, parcel: Parcel): readonly Uint8Array[] {
    const { source, target, payload } = parcel;
    const other = pick(history);
    const someone = pick([...relay.sockets]).route;
    switch (kind) {
      case "drop":
        return [];
      case "double":
        return [payload, payload];
      case "delay":
      case "delayLong":
        clock.setTimer(random() * (kind === "delay" ? 3_000 : 40_000), () => deliver(parcel));
        return [];
      case "replay":
        deliver(other);
        return [payload];
      case "flip": {
        const changed = payload.slice();
        changed[Math.floor(random() * changed.length)]! ^= 1 << Math.floor(random() * 8);
        return random() < 0.5 ? [changed] : [changed, payload];
      }
      case "truncate":
        return [payload.slice(0, Math.max(1, Math.floor(random() * payload.length)))];
      case "extend":
        return [new Uint8Array([...payload, 0])];
      case "splice": {
        const at = Math.floor(random() * Math.min(payload.length, other.payload.length));
        return [new Uint8Array([...payload.slice(0, at), ...other.payload.slice(at)])];
      }
      case "divert":
        deliver({ source, target: someone, payload });
        return random() < 0.5 ? [] : [payload];
      case "swapSource":
        deliver({ source: someone, target, payload });
        return random() < 0.5 ? [] : [payload];
      case "renumber": {
        // Under the index of another connection, or with the counter of another record.
        const changed = payload.slice();
        changed.set(other.payload.subarray(1, random() < 0.5 ? 5 : 13).subarray(0, changed.length - 1), 1);
        return [changed, payload];
      }
      case "sayAbsent":
      case "sayPresent":
        say(target, { type: "peer", route: random() < 0.5 ? source : someone, present: kind === "sayPresent" });
        return [payload];
      case "sayNoRoute":
        say(target, { type: "noRoute", route: source });
        return [payload];
      case "sayReset":
        say(target, { type: "reset", route: source, reason: 1 });
        return [payload];
      case "sayRate":
        say(target, { type: "rate", waitMs: Math.floor(random() * 300) });
        return [payload];
      case "sayUnknown":
        deliver({ source, target, payload: Uint8Array.of(4, ...payload.subarray(1, 5), Math.floor(random() * 5)) });
        return [payload];
      case "swallow":
        swallowUntilMs = clock.monotonicMs() + random() * 25_000;
        return [];
    }
  }

  relay.tamper = (bytes, direction, target) => {
    const frame = decodeFrame(bytes);
    // The honest core below must not hear how much a hub was really handed.
    if (direction === "up") return frame.type === "ack" ? [] : [bytes];
    if (frame.type !== "recv" || stopped) return [bytes];
    const parcel = { source: frame.route.slice(), target, payload: frame.payload.slice() };
    history.push(parcel);
    if (clock.monotonicMs() < swallowUntilMs) return [];
    if (random() >= intensity) return [bytes];
    const kind = pick(kinds);
    done.set(kind, (done.get(kind) ?? 0) + 1);
    return harm(kind, parcel).map((payload) => encodeFrame({ type: "recv", route: parcel.source, payload }));
  };
  return {
    done,
    stop() {
      stopped = true;
    },
  };
}

/** One direction of a connection: what was sent, and whether what came is the beginning of it. */
export interface Lane {
  readonly sent: number;
  readonly received: number;
  /** What `closed` told; undefined while it lasts. */
  readonly end: { readonly error: FedError | undefined } | undefined;
  /** Sends the next message; false once the connection is over. */
  send(): boolean;
}

/**
 * Both directions of one connection, whose messages say whose they are: `near` begins with a message that names it, and
 * every message's bytes are decided by connection, direction and number. What comes otherwise is told in {@link wrong}.
 */
export function createLanes(near: Connection, far: Connection, id: number): readonly [Lane, Lane] {
  const lengths = [12, 300, 1, 5_000, 40, 60_000, 900];
  const messageOf = (direction: number, number: number) =>
    patternBytes(lengths[number % lengths.length]! + direction, (id * 2 + direction) * 100_000 + number);
  const lanes = [near, far].map((connection, direction) => {
    let sent = 0;
    let received = 0;
    let end: Lane["end"];
    connection.start({
      message(bytes) {
        const expected = messageOf(1 - direction, received++);
        if (Buffer.compare(bytes, expected) !== 0) wrong.push(`connection ${id}: message ${received - 1} is wrong`);
      },
      closed(error) {
        end = { error };
      },
    });
    return {
      get sent() {
        return sent;
      },
      get received() {
        return received;
      },
      get end() {
        return end;
      },
      send() {
        if (end !== undefined) return false;
        try {
          connection.send(messageOf(direction, sent));
          sent++;
          return true;
        } catch (error) {
          if (toFedError(error).code !== "CLOSED") wrong.push(`connection ${id}: ${toFedError(error).code}`);
          return false;
        }
      },
    };
  });
  return lanes as unknown as readonly [Lane, Lane];
}

/** What must never come: a byte that was not sent so. Emptied by the test that looks. */
export const wrong: string[] = [];
