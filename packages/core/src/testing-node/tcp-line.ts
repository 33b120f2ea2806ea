/**
 * A cable between two ends of TCP connections, under a test's control: the counterpart of `createEmulator` for real sockets.
 * It carries bytes, so TLS and WebSockets run over it as they are.
 */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { type LineConditions, OneWay, resetSocket } from "./one-way.js";

/** Undoes a fault. Idempotent. */
type Heal = () => void;

/** From who dials to who is dialled, or the other way. */
export type LineDirection = "there" | "back";

/** Options of {@link createTcpLine}. */
export interface TcpLineOptions {
  /** Where it leads. */
  readonly host: string;
  readonly port: number;
  /** Default: no latency, no jitter, 1 Gbit/s, 256 KiB. */
  readonly conditions?: Partial<LineConditions>;
  /** 0 ≤ x < 1, for the jitter. Default `Math.random`. */
  readonly random?: () => number;
}

/** A line on 127.0.0.1 that leads somewhere. Closing it breaks its connections. */
export interface TcpLine extends AsyncDisposable {
  readonly host: string;
  readonly port: number;
  /** `host:port`. */
  readonly address: string;
  /** Connections now. */
  readonly connections: number;
  /** What is not named stays as it is. */
  change(conditions: Partial<LineConditions>): void;
  /**
   * Nothing arrives in this direction, or in neither, until healed: no bytes, no end, no new connection; nobody is told. Then
   * TCP sends again what is not acknowledged, 0.2, 0.6, 1.4 s … after it began to, and asks for a connection after 1, 3, 7 s ….
   */
  blackhole(direction?: LineDirection): Heal;
  /** Like {@link blackhole}, but as when the far end stops reading: connections are made, and all goes on at once. */
  stall(direction?: LineDirection): Heal;
  /** Nothing arrives for `downMs`, then all does for `upMs`, `times` times over. */
  flap(times: number, downMs: number, upMs: number): Promise<void>;
  /** New connections are reset until healed. */
  refuse(): Heal;
  /** Resets every connection at both ends. Returns how many there were. */
  reset(): number;
  /** Resets every connection at one end alone: the other sends on into nothing. Returns how many there were. */
  halfOpen(told: "dialler" | "dialled"): number;
}

interface Pair {
  readonly near: Socket;
  readonly far: Socket;
}

const standard: LineConditions = { latencyMs: 0, jitterMs: 0, rate: 125_000_000, bufferBytes: 256 * 1024 };
/** After which TCP first sends bytes, or the wish for a connection, again; doubled each time. */
const firstRetryMs = { bytes: 200, connection: 1000 };

/** A line to `host` and `port` that behaves until told otherwise. */
export async function createTcpLine(options: TcpLineOptions): Promise<TcpLine> {
  const { host, port, random = Math.random } = options;
  let conditions = { ...standard, ...options.conditions };
  const ways = { there: new OneWay(conditions, random), back: new OneWay(conditions, random) };
  const pairs = new Set<Pair>();
  const closing = new AbortController();
  const healed = new Set<() => void>();
  let refusals = 0;
  let holes = 0;

  const server = createServer({ noDelay: true, allowHalfOpen: true, pauseOnConnect: true }, (near) => {
    near.on("error", () => {});
    if (refusals > 0) resetSocket(near);
    else void join(near);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const own = server.address() as AddressInfo;

  /** Leads on to the far end, once the wish for it gets there. */
  async function join(near: Socket): Promise<void> {
    const askedAtMs = performance.now();
    while (holes > 0 && !closing.signal.aborted) {
      await new Promise<void>((resolve) => void healed.add(resolve));
      const delayMs = retryInMs(askedAtMs, firstRetryMs.connection);
      await pause(delayMs, undefined, { signal: closing.signal }).catch(() => {});
    }
    if (near.destroyed || closing.signal.aborted) return resetSocket(near);
    const far = connect({ host, port, noDelay: true, allowHalfOpen: true });
    const pair = { near, far };
    pairs.add(pair);
    far.on("error", () => {});
    for (const socket of [near, far]) {
      socket.on("close", () => {
        if (near.destroyed && far.destroyed) pairs.delete(pair);
      });
    }
    ways.there.carry(near, far);
    ways.back.carry(far, near);
  }

  function hold(direction: LineDirection | undefined, heal: () => number): Heal {
    const held = direction ? [ways[direction]] : [ways.there, ways.back];
    for (const way of held) way.hold();
    let done = false;
    return () => {
      if (done) return;
      done = true;
      const delayMs = heal();
      for (const way of held) way.release(delayMs);
    };
  }

  function blackhole(direction?: LineDirection): Heal {
    const sinceMs = performance.now();
    holes++;
    return hold(direction, () => {
      if (--holes === 0) {
        for (const go of healed) go();
        healed.clear();
      }
      return retryInMs(sinceMs, firstRetryMs.bytes);
    });
  }

  function breakAll(which: (pair: Pair) => readonly Socket[]): number {
    for (const pair of pairs) for (const socket of which(pair)) resetSocket(socket);
    return pairs.size;
  }

  return {
    host: own.address,
    port: own.port,
    address: `${own.address}:${own.port}`,
    get connections() {
      return pairs.size;
    },
    change(changed) {
      conditions = { ...conditions, ...changed };
      for (const way of [ways.there, ways.back]) way.conditions = conditions;
    },
    blackhole,
    stall: (direction) => hold(direction, () => 0),
    async flap(times, downMs, upMs) {
      for (let n = 0; n < times; n++) {
        const heal = blackhole();
        await pause(downMs);
        heal();
        await pause(upMs);
      }
    },
    refuse() {
      refusals++;
      let done = false;
      return () => {
        if (!done) refusals--;
        done = true;
      };
    },
    reset: () => breakAll(({ near, far }) => [near, far]),
    halfOpen: (told) => breakAll(({ near, far }) => [told === "dialler" ? near : far]),
    async [Symbol.asyncDispose]() {
      closing.abort();
      for (const go of healed) go();
      for (const way of [ways.there, ways.back]) way.close();
      breakAll(({ near, far }) => [near, far]);
      if (!server.listening) return;
      server.close();
      await once(server, "close");
    },
  };
}

/** When something that was tried then, and is tried again after pauses that double, is tried next. */
function retryInMs(sinceMs: number, firstMs: number): number {
  const elapsedMs = performance.now() - sinceMs;
  let at = firstMs;
  for (let wait = firstMs; at < elapsedMs; at += wait) wait *= 2;
  return at - elapsedMs;
}
