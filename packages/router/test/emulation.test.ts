/**
 * Twenty hubs on an emulated LAN and relay that fail in every way, on a clock of their own: a scenario for each seed.
 * `FED_SOAK=1` runs thousands; `FED_SEED=n` runs one.
 */
import { encodeUtf8, type HubId, type PeerIdentity, type Session, type Stream } from "@fed/core";
import { createEmulator, createVirtualClock, type Emulator, seededRandom } from "@fed/core/testing";
import { encodeGreeting } from "@fed/session";
import { expect, it } from "vitest";
import { createFleet, type Hub, identityOf } from "./fleet.js";

const isSoak = process.env.FED_SOAK === "1";
const hubCount = 20;
const runs = isSoak ? 3000 : 80;
/** What a path may hold beyond its high-water mark: the message that crosses it, and answers. */
const mostQueuedBytes = (256 + 128) * 1024;

/** Two hubs that know each other, and what happened between them. */
interface Pair {
  readonly a: Hub;
  readonly b: Hub;
  /** Faults that began or ended. */
  events: number;
  sent: number;
  /** That of `a`, which outlives everything. */
  session: Session | undefined;
  readonly received: number[];
}

interface Call {
  readonly id: string;
  outcome: string | undefined;
}

async function scenario(seed: number): Promise<void> {
  const random = seededRandom(seed);
  const between = (from: number, to: number) => from + random() * (to - from);
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)]!;
  const clock = createVirtualClock();
  const fleet = createFleet(clock);
  const lan = createEmulator({ clock, random, conditions: { latencyMs: between(0.2, 5), jitterMs: between(0, 3) } });
  const relay = createEmulator({
    clock,
    random,
    conditions: { latencyMs: between(10, 80), jitterMs: between(0, 20), rate: 2_500_000, loss: between(0, 0.02) },
  });

  const ran = new Map<string, number>();
  const counted = new Map<string, number[]>();
  const hubs = Array.from({ length: hubCount }, (_, i) => {
    const identity = identityOf(`hub${String(i).padStart(2, "0")}`);
    const epoch = Uint8Array.from({ length: 16 }, () => Math.floor(random() * 256));
    const greeting = encodeGreeting(epoch);
    const transports = [
      { ...lan.transport({ identity, name: "lan", preference: 10, greeting }), discover: undefined as never },
      { ...relay.transport({ identity, name: "relay", preference: 50 }), discover: undefined as never },
    ].map(({ discover: _discover, ...transport }) => transport);
    const hub = fleet.hub(identity.name, {
      epoch,
      transports,
      random,
      protocols: { count: (_session, stream, header) => void count(stream, String(header.pair)) },
    });
    hub.shared.add("echo");
    hub.apps.set("echo", async ({ params }) => {
      const { id, takesMs, text } = params as { id: string; takesMs: number; text: string };
      ran.set(id, (ran.get(id) ?? 0) + 1);
      await new Promise<void>((resolve) => void clock.setTimer(takesMs, resolve));
      return text;
    });
    return hub;
  });

  async function count(stream: Stream, pair: string): Promise<void> {
    const numbers = counted.get(pair) ?? [];
    counted.set(pair, numbers);
    for (let message = await stream.receive(); message; message = await stream.receive()) {
      numbers.push(new DataView(message.buffer, message.byteOffset).getUint32(0));
    }
    stream.end();
  }

  const pairs: Pair[] = hubs.map((a, i) => ({
    a,
    b: hubs[(i + 1) % hubCount]!,
    events: 0,
    sent: 0,
    session: undefined,
    received: [],
  }));
  await Promise.all(hubs.map(({ router }) => router.start()));
  for (const hub of hubs) {
    const known = pairs.flatMap(({ a, b }) => (a === hub ? [b] : b === hub ? [a] : []));
    hub.router.setMembers(
      known.map(({ identity }) => ({
        ...identity,
        addresses: ["lan", "relay"].map((transport) => ({ transport, address: identity.hubId })),
      })),
    );
  }

  const calls: Call[] = [];
  const later = (ms: number, work: () => void) => void clock.setTimer(ms, work);
  const call = (from: Hub, to: Hub, id: string) => {
    const made: Call = { id, outcome: undefined };
    calls.push(made);
    const text = "x".repeat(random() < 0.2 ? 60_000 : 50);
    const params = { id, takesMs: between(0, 4_000), text };
    from.router
      .call({ hub: to.identity.hubId, app: "echo", method: "x", params }, { caller: from.caller, deadlineMs: 200_000 })
      .then(
        (result) => (made.outcome = result === text ? "ran" : "changed"),
        (error) => (made.outcome = error.code),
      );
  };

  // What cannot wait: calls while everybody dials, on networks that fail already.
  for (const [index, pair] of pairs.entries()) {
    const { a, b } = pair;
    const [x, y] = [a.identity.hubId, b.identity.hubId];
    later(0, () => call(a, b, `${index}-early-0`));
    later(between(0, 10), () => call(b, a, `${index}-early-1`));
    later(between(0, 20), () => call(a, b, `${index}-early-2`));
    if (random() < 0.5) continue;
    pair.events += 4;
    const atMs = between(0, 40);
    const breakMs = between(0, 400);
    const kinds = [
      () => void lan.reset(x, y),
      () => void lan.halfOpen(x, y),
      () => void lan.halfOpen(y, x),
      () => later(breakMs, lan.blackhole(x, y)),
      () => later(breakMs, lan.blackhole(y, x)),
    ];
    later(atMs, pick(kinds));
  }
  await clock.advance(10_000);

  // What goes on.
  const busyMs = 40_000;
  for (const [index, pair] of pairs.entries()) {
    const { a, b } = pair;
    const session = a.router.session(b.identity.hubId);
    expect(session, `${a.identity.name} reaches ${b.identity.name} at the start`).toBeDefined();
    pair.session = session;
    const stream = session!.open(encodeUtf8(JSON.stringify({ k: "count", pair: `${index}` })), { priority: "event" });
    counted.set(`${index}`, pair.received);
    for (let at = 0; at < busyMs; at += between(300, 1500)) {
      later(at, () => {
        const message = new Uint8Array(random() < 0.1 ? 20_000 : 40);
        new DataView(message.buffer).setUint32(0, pair.sent++);
        void stream.send(message);
      });
    }
    later(busyMs, () => stream.end());
    void stream.receive();
    for (let n = 0; n < 4; n++) {
      later(between(0, busyMs), () => {
        const [from, to] = random() < 0.5 ? [a, b] : [b, a];
        call(from, to, `${index}-${n}`);
      });
    }
  }

  // What goes wrong.
  const fault = (pair: Pair, network: Emulator) => {
    const [x, y] = [pair.a.identity.hubId, pair.b.identity.hubId];
    const during = (begin: () => () => void) => {
      const heal = begin();
      pair.events++;
      later(between(500, 12_000), () => {
        heal();
        pair.events++;
      });
    };
    const cut = (from: HubId, to: HubId) => () => network.blackhole(from, to);
    const kinds = [
      () => {
        network.reset(x, y);
        pair.events += 2;
      },
      () => {
        network.halfOpen(random() < 0.5 ? x : y, random() < 0.5 ? y : x);
        pair.events += 2;
      },
      () => during(random() < 0.5 ? cut(x, y) : cut(y, x)),
      () =>
        during(() => {
          const heals = [network.blackhole(x, y), network.blackhole(y, x)];
          return () => heals.forEach((heal) => void heal());
        }),
      () => {
        for (let n = 0; n < 3; n++) later(n * between(200, 1500), () => void network.reset(x, y));
        pair.events += 6;
      },
    ];
    pick(kinds)();
  };
  for (const pair of pairs) {
    for (let n = 0; n < 2; n++) later(between(0, busyMs - 10_000), () => fault(pair, random() < 0.7 ? lan : relay));
  }
  if (random() < 0.5) {
    later(between(0, busyMs), () => {
      for (const pair of pairs) {
        relay.reset(pair.a.identity.hubId, pair.b.identity.hubId);
        pair.events += 2;
      }
    });
  }

  await clock.advance(busyMs + 120_000);

  for (const { id, outcome } of calls) {
    // A call that could not be sent says so; every other one has run, and once.
    expect([outcome, ran.get(id) ?? 0], `call ${id}`).toEqual(
      outcome === "HUB_UNREACHABLE" ? [outcome, 0] : ["ran", 1],
    );
  }
  for (const { a, b, session, received, sent, events } of pairs) {
    const name = `${a.identity.name} and ${b.identity.name}`;
    expect(a.router.session(b.identity.hubId), name).toBe(session);
    expect(received, name).toEqual(Array.from({ length: sent }, (_, i) => i));
    for (const [hub, other] of [
      [a, b],
      [b, a],
    ] as const) {
      const { hubId } = other.identity;
      expect(hub.router.paths(hubId)[0], name).toMatchObject({ transport: "lan", state: "confirmed", best: true });
      const chosen = hub.router.pathHistory(hubId).filter(({ event }) => event === "chosen").length;
      expect(chosen, `switches of ${name}`).toBeLessThanOrEqual(2 + events);
    }
  }
  expect(Math.max(lan.mostQueuedBytes, relay.mostQueuedBytes)).toBeLessThanOrEqual(mostQueuedBytes);
  await fleet.close();
}

/** A hub calls another one, which is killed and started again over and over, as soon as it is there. */
async function restarts(seed: number): Promise<void> {
  const random = seededRandom(seed);
  const between = (from: number, to: number) => from + random() * (to - from);
  const clock = createVirtualClock();
  const fleet = createFleet(clock);
  const lan = createEmulator({ clock, random, conditions: { latencyMs: between(1, 30), jitterMs: between(0, 10) } });
  const ran = new Map<string, number>();
  const [near, far] = [identityOf("near"), identityOf("far")];

  const boot = async (identity: PeerIdentity, other: PeerIdentity): Promise<Hub> => {
    const epoch = Uint8Array.from({ length: 16 }, () => Math.floor(random() * 256));
    const given = { identity, name: "lan", preference: 10, greeting: encodeGreeting(epoch) };
    const { discover: _none, ...transport } = lan.transport(given);
    const hub = fleet.hub(identity.name, { epoch, transports: [transport], random });
    hub.shared.add("echo");
    hub.apps.set("echo", async ({ params }) => {
      const { id, takesMs } = params as { id: string; takesMs: number };
      ran.set(id, (ran.get(id) ?? 0) + 1);
      await new Promise<void>((resolve) => void clock.setTimer(takesMs, resolve));
      return "done";
    });
    await hub.router.start();
    const addresses = [{ transport: "lan", address: other.hubId }];
    hub.router.setMembers([{ ...other, addresses }]);
    return hub;
  };

  const caller = await boot(near, far);
  let owner = await boot(far, near);
  const calls: Call[] = [];
  const call = () => {
    const made: Call = { id: `${calls.length}`, outcome: undefined };
    calls.push(made);
    const params = { id: made.id, takesMs: random() < 0.5 ? 0 : between(0, 300) };
    const key = random() < 0.3 ? { idempotencyKey: made.id } : {};
    caller.router
      .call(
        { hub: far.hubId, app: "echo", method: "x", params, ...key },
        { caller: caller.caller, deadlineMs: 300_000 },
      )
      .then(
        () => (made.outcome = "ran"),
        (error) => (made.outcome = error.code),
      );
  };
  for (let n = 0; n < 6; n++) {
    for (let at = 0; at < 4; at++) clock.setTimer(between(0, 400), call);
    if (random() < 0.5) clock.setTimer(between(0, 300), () => void lan.reset(near.hubId, far.hubId));
    await clock.advance(between(0, 500));
    // Killed: nobody hears of it but from the connections that break.
    const heals = [lan.blackhole(far.hubId, near.hubId), lan.blackhole(near.hubId, far.hubId)];
    await owner.router.close();
    lan.reset(near.hubId, far.hubId);
    for (const heal of heals) heal();
    owner = await boot(far, near);
  }
  await clock.advance(200_000);
  call();
  await clock.advance(10_000);
  const allowed: Record<string, readonly number[]> = { ran: [1], OUTCOME_UNKNOWN: [0, 1], HUB_UNREACHABLE: [0] };
  for (const { id, outcome } of calls) {
    expect(allowed[outcome ?? ""] ?? outcome, `call ${id}, ${outcome}`).toContain(ran.get(id) ?? 0);
  }
  expect(calls.at(-1)!.outcome).toBe("ran");
  await fleet.close();
}

it.each([
  ["twenty hubs lose nothing and double nothing, whatever their networks do", scenario],
  ["a hub that is started again and again runs no call twice, and none that was not sent", restarts],
])(
  "%s",
  async (_, run) => {
    const only = process.env.FED_SEED;
    const first = isSoak ? Math.floor(Math.random() * 1e9) : 1;
    const seeds = only ? [Number(only)] : Array.from({ length: runs }, (_, i) => first + i);
    for (const seed of seeds) {
      await run(seed).catch((error: Error) => {
        error.message = `FED_SEED=${seed}: ${error.message}`;
        throw error;
      });
    }
  },
  3_600_000,
);
