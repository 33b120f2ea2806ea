import { type Connection, encodeBase64Url, FedError, type Session, type SessionHandler, type Stream } from "@fed/core";
import { createMemoryNetwork } from "@fed/core/memory";
import { createTestClock, expectCode, patternBytes, type TestClock } from "@fed/core/testing";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { encodeCountFrame, FRAME_FROM } from "../src/frame.js";
import { createSessions, type SessionLimits, type Sessions } from "../src/index.js";
import type { Resume } from "../src/resume.js";
import { alice, bob, epochOf, noStreams, resumeFrame } from "./fixture.js";

const lost = new FedError({ code: "CABLE_CUT", message: "The cable is cut." });

type Accept = (connection: Connection) => void;

interface ConnectOptions {
  readonly near?: Sessions;
  readonly far?: Sessions;
  readonly dialledBy?: "near" | "far";
}

interface Pair {
  readonly clock: TestClock;
  readonly near: Sessions;
  readonly far: Sessions;
  /** One more connection, dialled by alice unless told otherwise: her session, bob's. */
  connect(options?: ConnectOptions): Promise<[Session, Session]>;
  /** Breaks every connection; what is under way is lost. */
  drop(): void;
  /** Holds what is under way, both ways, until healed. */
  cut(): () => void;
  readonly handlers: { near: SessionHandler; far: SessionHandler };
}

async function hubs(limits: Partial<SessionLimits> = {}): Promise<Pair> {
  const clock = createTestClock();
  const network = createMemoryNetwork({ clock });
  const near = createSessions({ epoch: epochOf(1), clock, limits });
  const far = createSessions({ epoch: epochOf(2), clock, limits });
  const handlers = { near: noStreams, far: noStreams };
  const transports = { near: network.transport({ identity: alice }), far: network.transport({ identity: bob }) };
  const accepting = { near: [] as Accept[], far: [] as Accept[] };
  for (const side of ["near", "far"] as const) {
    await transports[side].listen({ connection: (connection) => accepting[side].shift()?.(connection) });
  }
  return {
    clock,
    near,
    far,
    handlers,
    async connect(options = {}) {
      const { dialledBy = "near" } = options;
      const accepted = Promise.withResolvers<Connection>();
      const queue = accepting[dialledBy === "near" ? "far" : "near"];
      queue.push(accepted.resolve);
      const dialled = transports[dialledBy].dial(dialledBy === "near" ? bob.hubId : alice.hubId);
      dialled.catch(() => queue.splice(queue.indexOf(accepted.resolve), 1));
      const [here, there] = dialledBy === "near" ? [dialled, accepted.promise] : [accepted.promise, dialled];
      return Promise.all([
        here.then((connection) =>
          (options.near ?? near).open(connection, { stream: (stream) => handlers.near.stream(stream) }),
        ),
        there.then((connection) =>
          (options.far ?? far).open(connection, { stream: (stream) => handlers.far.stream(stream) }),
        ),
      ]);
    },
    drop: () => void network.drop(alice.hubId, bob.hubId, lost),
    cut: () => network.cut(alice.hubId, bob.hubId),
  };
}

/** A stream that bob has met: alice's end, bob's. */
async function openPair(pair: Pair, session: Session): Promise<[Stream, Stream]> {
  const met = Promise.withResolvers<Stream>();
  pair.handlers.far = { stream: met.resolve };
  return [session.open(new Uint8Array(1)), await met.promise];
}

describe("a session", () => {
  it("outlives its connection: what was under way arrives once, in order, and streams go on", async () => {
    const pair = await hubs();
    const [near, far] = await pair.connect();
    const [here, there] = await openPair(pair, near);
    await here.send(patternBytes(10, 1));
    expect(await there.receive()).toEqual(patternBytes(10, 1));
    void here.send(patternBytes(20, 2));
    void there.send(patternBytes(30, 3));
    await Promise.resolve();
    pair.drop();
    await pair.clock.advance(0);
    expect([near.paths, far.paths]).toEqual([[], []]);
    await expectCode(near.ping(), "NO_PATH");
    void here.send(patternBytes(40, 4), { end: true });
    await pair.clock.advance(59_999);
    const again = await pair.connect();
    expect(again[0]).toBe(near);
    expect(again[1]).toBe(far);
    expect(await there.receive()).toEqual(patternBytes(20, 2));
    expect(await there.receive()).toEqual(patternBytes(40, 4));
    expect(await there.receive()).toBeUndefined();
    expect(await here.receive()).toEqual(patternBytes(30, 3));
    there.end();
    expect(await here.closed).toBeUndefined();
    await pair.clock.advance(120_000);
    expect(near.paths.length).toBe(1);
  });

  it("ends after 60 s without a connection, with SESSION_EXPIRED for its streams, and a new one begins", async () => {
    const pair = await hubs();
    const [near, far] = await pair.connect();
    const [here, there] = await openPair(pair, near);
    const waiting = [expectCode(here.receive(), "SESSION_EXPIRED"), expectCode(there.receive(), "SESSION_EXPIRED")];
    pair.drop();
    await pair.clock.advance(60_000);
    await Promise.all(waiting);
    expect(await near.closed).toMatchObject({ code: "SESSION_EXPIRED", cause: { code: "CABLE_CUT" } });
    expect(await far.closed).toMatchObject({ code: "SESSION_EXPIRED" });
    const [next] = await pair.connect();
    expect(next).not.toBe(near);
    expect(await next.ping()).toBe(0);
  });

  it("that one side has given up ends on the other when it comes back", async () => {
    const pair = await hubs();
    const [near, far] = await pair.connect();
    const [here] = await openPair(pair, near);
    const heal = pair.cut();
    far.close();
    heal();
    pair.drop();
    await pair.clock.advance(0);
    const [next, other] = await pair.connect();
    expect(next).not.toBe(near);
    expect(other).not.toBe(far);
    expect((await here.closed)?.code).toBeDefined();
    expect(near.paths).toEqual([]);
  });

  it("that was closed is never gone on with", async () => {
    const pair = await hubs();
    const [near, far] = await pair.connect();
    const [here, there] = await openPair(pair, near);
    const revoked = new FedError({ code: "REVOKED", message: "Out." });
    near.close(revoked);
    await expectCode(here.receive(), "REVOKED");
    await expectCode(there.receive(), "CLOSED");
    expect(await far.closed).toMatchObject({ code: "REVOKED" });
    const [next] = await pair.connect();
    expect(next).not.toBe(near);
    await expectCode(() => near.open(new Uint8Array(0)), "CLOSED");
  });

  it("waits without a connection until it is closed", async () => {
    const pair = await hubs();
    const [near] = await pair.connect();
    pair.drop();
    await pair.clock.advance(1000);
    near.close(lost);
    expect(await near.closed).toBe(lost);
    const [next] = await pair.connect();
    expect(next).not.toBe(near);
  });

  it("holds back what does not fit the resend buffer, and sends it when room is made", async () => {
    for (const limits of [{ maxResendBytes: 100_000 }, { maxResendMessages: 3 }]) {
      const pair = await hubs(limits);
      const [near] = await pair.connect();
      const [here, there] = await openPair(pair, near);
      await pair.clock.advance(250);
      const heal = pair.cut();
      let sent = 0;
      const sending = Array.from({ length: 50 }, async (_, i) => {
        await here.send(patternBytes(8000, i));
        sent++;
      });
      await pair.clock.advance(0);
      expect(sent).toBeLessThan(30);
      heal();
      for (let i = 0; i < 50; i++) {
        const message = there.receive();
        await pair.clock.advance(250);
        expect(await message).toEqual(patternBytes(8000, i));
      }
      await Promise.all(sending);
      near.close();
    }
  });
});

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

  it("one that loses acknowledgements does not stop the peer for good: they are told again on the other", async () => {
    const clock = createTestClock();
    const limits = { maxResendMessages: 4 };
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
    const toAlice = await met.promise;
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

describe("another process of the same hub", () => {
  it("takes the place of the one before, which hears HUB_DUPLICATE and is not let in again", async () => {
    const pair = await hubs();
    const [near, far] = await pair.connect();
    const [here, there] = await openPair(pair, near);
    const copy = createSessions({ epoch: epochOf(3), clock: pair.clock });
    const [, next] = await pair.connect({ near: copy });
    expect(next).not.toBe(far);
    expect(next.peerEpoch).toBe(encodeBase64Url(epochOf(3)));
    expect(await near.closed).toMatchObject({ code: "HUB_DUPLICATE" });
    expect(await far.closed).toMatchObject({ code: "HUB_RESTARTED" });
    await expectCode(there.receive(), "HUB_RESTARTED");
    await expectCode(here.receive(), "CLOSED");
    await expectCode(pair.connect(), "HUB_DUPLICATE");
    expect(next.paths.length).toBe(1);
  });

  it("never goes on with a session it did not hold, on either side", async () => {
    const pair = await hubs();
    const [near] = await pair.connect();
    pair.drop();
    await pair.clock.advance(0);
    const restarted = createSessions({ epoch: epochOf(9), clock: pair.clock });
    const [next] = await pair.connect({ far: restarted });
    expect(next).not.toBe(near);
    expect(await near.closed).toMatchObject({ code: "HUB_RESTARTED" });
    expect(await next.ping()).toBe(0);
  });
});

describe("a hostile peer", () => {
  /** Alice's end by hand, on a session that bob waits for her with, and a further connection. */
  async function raw(resume: Partial<Resume>): Promise<{ far: Session; answer: Promise<Session>; near: Connection }> {
    const pair = await hubs();
    const [, far] = await pair.connect();
    await far.open(new Uint8Array(0)).send(new Uint8Array(9));
    const network = createMemoryNetwork();
    const accepted = Promise.withResolvers<Connection>();
    await network.transport({ identity: bob }).listen({ connection: accepted.resolve });
    const near = await network.transport({ identity: alice }).dial(bob.hubId);
    near.start({ message() {}, closed() {} });
    near.send(resumeFrame({ peerEpoch: epochOf(2), ...resume }));
    return { far, near, answer: pair.far.open(await accepted.promise, noStreams) };
  }

  it("cannot claim to have received what was not sent", async () => {
    const { far, answer } = await raw({ received: 3 });
    await expectCode(answer, "PROTOCOL_ERROR");
    expect(far.paths.length).toBe(1);
    const honest = await raw({ received: 2 });
    expect(await honest.answer).toBe(honest.far);
  });

  it("cannot go on with a session that never was", async () => {
    const { far, answer } = await raw({ generation: 7, received: 1 });
    await expectCode(answer, "PROTOCOL_ERROR");
    expect(far.paths.length).toBe(1);
  });

  it("cannot go on under another boot nonce, or with one meant for another boot of this hub", async () => {
    const other = await raw({ epoch: epochOf(5), received: 2 });
    await expectCode(other.answer, "PROTOCOL_ERROR");
    expect(await other.far.closed).toMatchObject({ code: "HUB_RESTARTED" });
    const meantForAnother = await raw({ peerEpoch: epochOf(6), generation: 4, received: 100 });
    expect(await meantForAnother.answer).toBe(meantForAnother.far);
  });

  it("that goes back over and over is cut off", async () => {
    const { far, near, answer } = await raw({});
    await answer;
    for (let i = 0; i < 5000; i++) near.send(encodeCountFrame(FRAME_FROM, 0));
    expect(await far.closed).toMatchObject({ code: "FLOOD" });
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
