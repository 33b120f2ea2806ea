/** Several connections under one session, on memory networks and emulated ones. */
import { type Connection, encodeBase64Url, FedError, type Session, type Stream } from "@fed/core";
import { createMemoryNetwork } from "@fed/core/memory";
import { createEmulator, createTestClock, createVirtualClock, expectCode, patternBytes } from "@fed/core/testing";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createSessions, type SessionLimits } from "../src/index.js";
import { alice, bob, epochOf, noStreams } from "./fixture.js";
import { hubs, openPair, type Pair } from "./hubs.js";

describe("several connections at once", () => {
  it("are one session, whoever dialled first", async () => {
    const pair = await hubs();
    const pairs = await Promise.all([pair.connect(), pair.connect({ dialledBy: "far" })]);
    const [[near, far], [near2, far2]] = pairs;
    expect(near2).toBe(near);
    expect(far2).toBe(far);
    expect(near.paths.map(({ role }) => role).sort()).toEqual(["initiator", "responder"]);
    expect([near.role, far.role]).toEqual(["initiator", "responder"]);
    const [here, there] = await openPair(pair, near);
    await here.send(patternBytes(3, 3));
    expect(await there.receive()).toEqual(patternBytes(3, 3));
  });

  it("carry everything once, whichever is used, and one that ends loses nothing", async () => {
    const pair = await hubs();
    const [near, far] = await pair.connect();
    await pair.connect();
    const [first, second] = near.paths;
    const [here, there] = await openPair(pair, near);
    const uses = [[first!], [second!], [first!, second!], [second!, first!], [first!]];
    for (const [i, use] of uses.entries()) {
      near.use(...use);
      await here.send(patternBytes(100, i));
      await here.send(patternBytes(100, i + 100));
    }
    first!.close();
    await here.send(patternBytes(5, 5), { end: true });
    for (const i of uses.keys()) {
      expect(await there.receive()).toEqual(patternBytes(100, i));
      expect(await there.receive()).toEqual(patternBytes(100, i + 100));
    }
    expect(await there.receive()).toEqual(patternBytes(5, 5));
    expect(await there.receive()).toBeUndefined();
    expect([near.paths.length, far.paths.length]).toEqual([1, 1]);
    expect(await first!.closed).toBeUndefined();
    await expectCode(first!.ping(), "CLOSED");
    expect(await second!.ping({ bytes: 16_374 })).toBe(0);
  });

  it("break all at the same moment without ending a session that finds another one in time", async () => {
    const pair = await hubs();
    const [near, far] = await pair.connect();
    await pair.connect();
    const [here] = await openPair(pair, near);
    pair.drop();
    await pair.clock.advance(0);
    expect([near.paths, far.paths]).toEqual([[], []]);
    await pair.connect();
    await pair.clock.advance(120_000);
    expect([near.paths.length, far.paths.length]).toEqual([1, 1]);
    await here.send(patternBytes(5, 5));
  });

  /** A session over two networks, and a stream on it: alice's end, bob's. */
  async function overTwo(limits: Partial<SessionLimits> = {}) {
    const clock = createTestClock();
    const near = createSessions({ epoch: epochOf(1), clock, limits });
    const far = createSessions({ epoch: epochOf(2), clock, limits });
    const met = Promise.withResolvers<Stream>();
    const networks = [createMemoryNetwork({ clock }), createMemoryNetwork({ clock })] as const;
    const sessions: [Session, Session][] = [];
    for (const network of networks) {
      const accepted = Promise.withResolvers<Connection>();
      await network.transport({ identity: bob }).listen({ connection: accepted.resolve });
      const opening = [
        near.open(await network.transport({ identity: alice }).dial(bob.hubId), noStreams),
        far.open(await accepted.promise, { stream: met.resolve }),
      ] as const;
      sessions.push(await Promise.all(opening));
    }
    const [here, there] = sessions[0]!;
    const toBob = here.open(new Uint8Array(1));
    return { clock, networks, here, there, toBob, toAlice: await met.promise };
  }

  it("are told of a move to one that was in use already: the peer may have left it since", async () => {
    const { clock, networks, here, there, toBob, toAlice } = await overTwo();
    // Bob goes to the second one and comes back; alice goes on sending there as well.
    await toAlice.send(patternBytes(10, 0));
    expect(await toBob.receive()).toEqual(patternBytes(10, 0));
    there.use(there.paths[1]!);
    await clock.advance(0);
    there.use(there.paths[0]!);
    await toBob.send(patternBytes(10, 1));
    await toAlice.send(patternBytes(10, 2));
    expect(await toAlice.receive()).toEqual(patternBytes(10, 1));
    expect(await toBob.receive()).toEqual(patternBytes(10, 2));
    networks[0].cut(alice.hubId, bob.hubId);
    await toBob.send(patternBytes(10, 3));
    expect(await toAlice.receive()).toEqual(patternBytes(10, 3));
    await toAlice.send(patternBytes(10, 4));
    let answered = false;
    const answer = toBob.receive().finally(() => {
      answered = true;
    });
    await clock.advance(100);
    expect(answered).toBe(false);
    here.use(here.paths[1]!, here.paths[0]!);
    await clock.advance(0);
    expect(await answer).toEqual(patternBytes(10, 4));
  });

  it("one that loses acknowledgements does not stop the peer for good: they are told again on the other", async () => {
    const { clock, networks, here, there, toBob, toAlice } = await overTwo({ maxResendMessages: 4 });
    await clock.advance(300);
    for (let i = 0; i < 4; i++) {
      void toAlice.send(patternBytes(3_000, i));
      await clock.advance(0);
    }
    networks[0].cut(alice.hubId, bob.hubId);
    // Told into the void.
    await clock.advance(300);
    const rest = toAlice.send(patternBytes(3_000, 4), { end: true });
    there.use(there.paths[1]!);
    await clock.advance(300);
    for (let i = 0; i < 5; i++) {
      const message = toBob.receive();
      await clock.advance(300);
      expect(await message).toEqual(patternBytes(3_000, i));
    }
    await rest;
    expect(here.paths.length).toBe(2);
    here.close();
  });

  it("that both sides have left again carries nothing, though it is the faster one", async () => {
    const clock = createTestClock();
    const near = createSessions({ epoch: epochOf(1), clock });
    const far = createSessions({ epoch: epochOf(2), clock });
    const met = Promise.withResolvers<Stream>();
    let overFast = 0;
    const join = async (latencyMs: number): Promise<[Session, Session]> => {
      const network = createMemoryNetwork({ clock, latencyMs });
      const accepted = Promise.withResolvers<Connection>();
      await network.transport({ identity: bob }).listen({ connection: accepted.resolve });
      const dialling = network.transport({ identity: alice }).dial(bob.hubId);
      await clock.advance(1000);
      const ends = [await dialling, await accepted.promise] as const;
      for (const end of latencyMs === 1 ? ends : []) {
        const { send } = end;
        end.send = (bytes) => {
          overFast++;
          return send.call(end, bytes);
        };
      }
      const opening = Promise.all([near.open(ends[0], noStreams), far.open(ends[1], { stream: met.resolve })]);
      await clock.advance(1000);
      return opening;
    };
    const [here, there] = await join(100);
    await join(1);
    const toBob = here.open(new Uint8Array(1));
    await clock.advance(1000);
    const toAlice = await met.promise;
    const talk = async (ms: number) => {
      for (let at = 0; at < ms; at += 100) {
        for (const stream of [toBob, toAlice]) {
          await stream.send(new Uint8Array(8));
          void stream.receive();
        }
        await clock.advance(100);
      }
    };
    for (const session of [here, there]) session.use(session.paths[1]!);
    await talk(3_000);
    // One leaves it before the other, and follows the other back until that one leaves, too.
    for (const session of [here, there]) {
      session.use(session.paths[0]!);
      await talk(3_000);
    }
    await talk(25_000);
    const before = overFast;
    await talk(10_000);
    // Its keepalive alone.
    expect(overFast - before).toBeLessThan(8);
    here.close();
  });

  it("end together with the session", async () => {
    const pair = await hubs();
    const [near, far] = await pair.connect();
    await pair.connect();
    near.close();
    expect(await far.closed).toBeUndefined();
    expect([near.paths, far.paths]).toEqual([[], []]);
  });

  it("a silent one is given up, and the session goes on over the other", async () => {
    const pair = await hubs();
    const [near] = await pair.connect();
    const heal = pair.cut();
    const [old] = near.paths;
    await pair.clock.advance(15_000);
    heal();
    await pair.clock.advance(0);
    expect(near.paths).toEqual([old]);
    pair.cut();
    await pair.clock.advance(45_000);
    expect(await old!.closed).toMatchObject({ code: "UNRESPONSIVE" });
    expect(near.paths).toEqual([]);
  });
});

describe("two connections under bulk", () => {
  it("bring each acknowledgement twice, and nobody takes that for a flood", async () => {
    const clock = createVirtualClock();
    const near = createSessions({ epoch: epochOf(1), clock });
    const far = createSessions({ epoch: epochOf(2), clock });
    const networks = [
      { latencyMs: 0.3, rate: 50_000_000, bufferBytes: 1024 * 1024 },
      { latencyMs: 20, rate: 2_500_000, bufferBytes: 256 * 1024 },
    ].map((conditions) => createEmulator({ clock, random: () => 0.5, conditions }));
    let read = 0;
    const serve = async (stream: Stream) => {
      for (let message = await stream.receive(); message; message = await stream.receive()) read += message.length;
    };
    const met: Promise<Session>[] = [];
    const sessions: Session[] = [];
    for (const network of networks) {
      await network.transport({ identity: bob }).listen({
        connection: (connection) =>
          void met.push(far.open(connection, { stream: (stream) => void serve(stream).catch(() => {}) })),
      });
      const opening = network
        .transport({ identity: alice })
        .dial(bob.hubId)
        .then((connection) => near.open(connection, noStreams));
      await clock.advance(1000);
      sessions.push(await opening);
    }
    const here = sessions[0]!;
    const there = await met[0]!;
    for (const session of [here, there]) session.use(...session.paths);
    const bulk = here.open(new Uint8Array(1), { priority: "bulk" });
    const keepOn = async () => {
      for (;;) await bulk.send(new Uint8Array(65_536));
    };
    const over = expectCode(keepOn(), "CLOSED");
    await clock.advance(15_000);
    expect(read).toBeGreaterThan(15 * 0.9 * 50_000_000);
    for (const session of [here, there]) {
      expect(session.paths.length).toBe(2);
      session.open(new Uint8Array(1)).end();
    }
    here.close();
    await over;
  });
});

/** What happens to two hubs, in any order. */
type Step =
  | { readonly do: "connect" | "drop" | "cut" | "heal" }
  | { readonly do: "use"; readonly side: 0 | 1; readonly which: number }
  | { readonly do: "send"; readonly side: 0 | 1; readonly stream: number; readonly bytes: number }
  | { readonly do: "wait"; readonly ms: number };

describe("any connections that come, go, stall and are used", () => {
  it("lose nothing, double nothing and keep the order", async () => {
    const side = fc.constantFrom<0 | 1>(0, 1);
    const send = fc.record({
      do: fc.constant("send" as const),
      side,
      stream: fc.nat(2),
      bytes: fc.oneof(fc.nat(200), fc.nat(70_000)),
    });
    const step: fc.Arbitrary<Step> = fc.oneof(
      { weight: 6, arbitrary: send },
      { weight: 3, arbitrary: fc.record({ do: fc.constantFrom("connect" as const, "drop", "cut", "heal") }) },
      { weight: 2, arbitrary: fc.record({ do: fc.constant("use" as const), side, which: fc.nat(7) }) },
      { weight: 2, arbitrary: fc.record({ do: fc.constant("wait" as const), ms: fc.nat(600) }) },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        const pair = await hubs({ maxResendMessages: 40, maxResendBytes: 200_000 });
        const met: Stream[] = [];
        pair.handlers.far = { stream: (stream) => void met.push(stream) };
        const sessions = await pair.connect();
        const opened = [0, 1, 2].map((number) => sessions[0].open(new Uint8Array([number])));
        await pair.clock.advance(0);
        const ends = [opened, met] as const;
        const expected: Uint8Array[][] = [[], [], [], [], [], []];
        const received = [...opened, ...met].map(readAll);
        let heal = () => {};
        let number = 0;
        for (const step of steps) {
          if (step.do === "connect") await settled(pair, pair.connect());
          else if (step.do === "drop") pair.drop();
          else if (step.do === "cut") heal = both(heal, pair.cut());
          else if (step.do === "heal") heal();
          else if (step.do === "wait") await pair.clock.advance(step.ms);
          else if (step.do === "use") {
            const { paths } = sessions[step.side];
            sessions[step.side].use(...paths.filter((_, i) => (step.which >> i) & 1));
          } else if (step.do === "send") {
            const message = patternBytes(step.bytes, number++);
            expected[step.stream + (step.side === 0 ? 3 : 0)]!.push(message);
            void ends[step.side][step.stream]!.send(message);
          }
          await Promise.resolve();
        }
        heal();
        pair.drop();
        await pair.clock.advance(0);
        await pair.connect();
        for (const stream of [...opened, ...met]) stream.end();
        await settled(pair, Promise.all(received));
        for (const [i, messages] of (await Promise.all(received)).entries()) {
          expect(messages.map(encodeBase64Url)).toEqual(expected[i]!.map(encodeBase64Url));
        }
        expect([sessions[0].paths.length, sessions[1].paths.length]).toEqual([1, 1]);
        sessions[0].close();
      }),
      { numRuns: 150 },
    );
  }, 60_000);
});

/** Lets time pass until `work` has come to an end, whichever. */
async function settled(pair: Pair, work: Promise<unknown>): Promise<void> {
  let over = false;
  work.then(
    () => (over = true),
    () => (over = true),
  );
  for (let turn = 0; turn < 400 && !over; turn++) await pair.clock.advance(50);
  if (!over) throw new FedError({ code: "NEVER", message: "It never came to an end." });
}

function both(first: () => void, second: () => void): () => void {
  return () => {
    first();
    second();
  };
}

async function readAll(stream: Stream): Promise<Uint8Array[]> {
  const messages: Uint8Array[] = [];
  for (let message = await stream.receive(); message; message = await stream.receive()) messages.push(message);
  return messages;
}
