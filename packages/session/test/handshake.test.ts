import { type Connection, encodeUtf8, FedError, PeerError, type Session, type Stream } from "@fed/core";
import { createMemoryNetwork, type MemoryNetwork } from "@fed/core/memory";
import { createTestClock, expectCode, patternBytes, type TestClock } from "@fed/core/testing";
import { beforeEach, describe, expect, it } from "vitest";
import { encodeFrame, FLAG_END_MESSAGE, FRAME_DATA, FRAME_END, FRAME_OPEN, FRAME_RESUME } from "../src/frame.js";
import { createSessions, encodeGreeting, type Sessions } from "../src/index.js";
import { resolveLimits } from "../src/limits.js";
import { encodeReason } from "../src/reason.js";
import { alice, bob, epochOf, noStreams, resumeFrame } from "./fixture.js";

/** One process of a hub, on a network where everything takes 10 ms one way. */
interface Hub {
  readonly sessions: Sessions;
  /** The texts of the streams that it has taken, each answered with the same. */
  readonly taken: string[];
  /** Dials, and calls `text` on the session that begins early, if one does. */
  dial(text?: string): Dialled;
  close(): Promise<void>;
}

interface Dialled {
  readonly session: Promise<Session>;
  /** What the early call ended in: its answer, or a code; undefined: there was none, or it has no end yet. */
  answer: string | undefined;
  early: Session | undefined;
  connection: Connection | undefined;
}

const oneWayMs = 10;
const lost = new FedError({ code: "CABLE_CUT", message: "The cable is cut." });
let clock: TestClock;
let network: MemoryNetwork;

beforeEach(() => {
  clock = createTestClock();
  network = createMemoryNetwork({ clock, latencyMs: oneWayMs });
});

async function start(who: "alice" | "bob", epoch: number, options: { refuses?: FedError } = {}): Promise<Hub> {
  const [identity, other] = who === "alice" ? [alice, bob] : [bob, alice];
  const sessions = createSessions({ epoch: epochOf(epoch), clock });
  const taken: string[] = [];
  const handler = { stream: (stream: Stream) => answer(stream, taken) };
  const { refuses } = options;
  const transport = network.transport({
    identity,
    greeting: encodeGreeting(epochOf(epoch)),
    ...(refuses && {
      authenticator: {
        authenticate() {
          throw refuses;
        },
      },
    }),
  });
  const listener = await transport.listen({
    connection: (connection) => void sessions.open(connection, handler).catch(() => {}),
  });
  return {
    sessions,
    taken,
    dial(text) {
      const dialled: Dialled = {
        session: transport.dial(other.hubId).then((connection) => {
          dialled.connection = connection;
          return sessions.open(connection, handler, {
            early(session) {
              dialled.early = session;
              if (text !== undefined) call(session, text).then((end) => (dialled.answer = end));
            },
          });
        }),
        answer: undefined,
        early: undefined,
        connection: undefined,
      };
      dialled.session.catch(() => {});
      return dialled;
    },
    close: () => listener.close(),
  };
}

async function answer(stream: Stream, taken: string[]): Promise<void> {
  const message = (await stream.receive())!;
  taken.push(new TextDecoder().decode(stream.header));
  await stream.send(message, { end: true });
}

async function call(session: Session, text: string): Promise<string> {
  const stream = session.open(encodeUtf8(text));
  void stream.send(encodeUtf8(text), { end: true }).catch(() => {});
  return stream.receive().then(
    (message) => new TextDecoder().decode(message),
    (error) => (error as FedError).code,
  );
}

describe("a session that begins early", () => {
  it("carries a call in the flight of RESUME, and both sides hold the same session", async () => {
    const [a, b] = [await start("alice", 1), await start("bob", 2)];
    const dialled = a.dial("hello");
    await clock.advance(2 * oneWayMs);
    expect(dialled.early).toBeDefined();
    await clock.advance(oneWayMs);
    expect(b.taken).toEqual(["hello"]);
    expect(dialled.answer).toBeUndefined();
    await clock.advance(oneWayMs);
    expect(dialled.answer).toBe("hello");
    expect(await dialled.session).toBe(dialled.early);
    expect(dialled.early!.paths.length).toBe(1);
    const again = call(dialled.early!, "again");
    await clock.advance(2 * oneWayMs);
    expect(await again).toBe("again");
  });

  it("is the same whichever side has the smaller boot nonce", async () => {
    const [a, b] = [await start("alice", 9), await start("bob", 2)];
    const dialled = a.dial("hello");
    await clock.advance(4 * oneWayMs);
    expect([dialled.answer, b.taken]).toEqual(["hello", ["hello"]]);
    expect((await dialled.session).role).toBe("responder");
  });

  it("is bound by the limits that the peer greets with", async () => {
    const limits = { streamCreditBytes: 16_384, sessionCreditBytes: 16_384, maxMessageBytes: 100_000, maxStreams: 1 };
    const b = createSessions({ epoch: epochOf(2), clock, limits });
    const received = Promise.withResolvers<Uint8Array | undefined>();
    const listening = network.transport({ identity: bob, greeting: encodeGreeting(epochOf(2), limits) });
    await listening.listen({
      connection: (connection) =>
        void b.open(connection, { stream: (stream) => void stream.receive().then(received.resolve) }),
    });
    const a = createSessions({ epoch: epochOf(1), clock });
    const dialling = network.transport({ identity: alice }).dial(bob.hubId);
    await clock.advance(2 * oneWayMs);
    const opening = a.open(await dialling, noStreams, {
      early(session) {
        expect(session.maxMessageBytes).toBe(100_000);
        const stream = session.open(new Uint8Array(0));
        expect(() => session.open(new Uint8Array(0))).toThrow();
        void stream.send(patternBytes(90_000, 1));
      },
    });
    await clock.advance(20 * oneWayMs);
    expect(await received.promise).toEqual(patternBytes(90_000, 1));
    expect((await opening).paths.length).toBe(1);
  });

  it("does not begin without a greeting, without asking for it, or beside one that stands", async () => {
    const [a] = [await start("alice", 1), await start("bob", 2)];
    const first = a.dial();
    await clock.advance(4 * oneWayMs);
    const session = await first.session;
    expect(first.early).toBe(session);
    const second = a.dial("late");
    await clock.advance(4 * oneWayMs);
    expect(second.early).toBeUndefined();
    expect(await second.session).toBe(session);
    expect(session.paths.length).toBe(2);
  });

  it("goes on over another connection when the first is lost: the call runs once, whether it had arrived or not", async () => {
    for (const lostAfterMs of [0, oneWayMs - 1, oneWayMs, 2 * oneWayMs - 1]) {
      const [a, b] = [await start("alice", 1), await start("bob", 2)];
      const dialled = a.dial("once");
      await clock.advance(2 * oneWayMs + lostAfterMs);
      network.drop(alice.hubId, bob.hubId, lost);
      await clock.advance(0);
      await expectCode(dialled.session, "CABLE_CUT");
      expect(dialled.early!.paths).toEqual([]);
      const again = a.dial("never");
      await clock.advance(6 * oneWayMs);
      expect(await again.session).toBe(dialled.early);
      expect(again.early).toBeUndefined();
      expect([dialled.answer, b.taken], `lost after ${lostAfterMs} ms`).toEqual(["once", ["once"]]);
      await Promise.all([a.close(), b.close()]);
    }
  });

  it("is one session when both dial at once, with each call taken once", async () => {
    const [a, b] = [await start("alice", 1), await start("bob", 2)];
    const [here, there] = [a.dial("from alice"), b.dial("from bob")];
    await clock.advance(6 * oneWayMs);
    expect([here.answer, there.answer]).toEqual(["from alice", "from bob"]);
    expect([a.taken, b.taken]).toEqual([["from bob"], ["from alice"]]);
    expect(await here.session).toBe(here.early);
    expect(await there.session).toBe(there.early);
    expect([here.early!.paths.length, there.early!.paths.length]).toEqual([2, 2]);
  });

  it("waits for a connection as long as every other, then nobody knows of its calls", async () => {
    const [a] = [await start("alice", 1), await start("bob", 2)];
    const dialled = a.dial("lost");
    await clock.advance(2 * oneWayMs);
    network.cut(alice.hubId, bob.hubId);
    await clock.advance(5_000);
    await expectCode(dialled.session, "HANDSHAKE_TIMEOUT");
    await clock.advance(59_999);
    expect(dialled.answer).toBeUndefined();
    await clock.advance(1);
    expect(dialled.answer).toBe("SESSION_EXPIRED");
  });

  it("ends with what it had sent when the peer starts anew before it has answered", async () => {
    const a = await start("alice", 1);
    const before = await start("bob", 2);
    const dialled = a.dial("lost");
    await clock.advance(3 * oneWayMs);
    expect(before.taken).toEqual(["lost"]);
    await before.close();
    network.drop(alice.hubId, bob.hubId, lost);
    const after = await start("bob", 3);
    const again = a.dial("new");
    await clock.advance(6 * oneWayMs);
    expect(dialled.answer).toBe("HUB_RESTARTED");
    expect(after.taken).toEqual([]);
    expect(await again.session).not.toBe(dialled.early);
  });

  it("begins anew with a peer that has started anew since the last one ended", async () => {
    const a = await start("alice", 1);
    const before = await start("bob", 2);
    const first = a.dial("one");
    await clock.advance(4 * oneWayMs);
    (await first.session).close();
    await clock.advance(oneWayMs);
    await before.close();
    const after = await start("bob", 3);
    const second = a.dial("two");
    await clock.advance(4 * oneWayMs);
    expect([second.answer, after.taken]).toEqual(["two", ["two"]]);
  });

  it("takes the place of the one that the peer still holds, though it never heard of its end", async () => {
    const [a, b] = [await start("alice", 1), await start("bob", 2)];
    const first = a.dial("one");
    await clock.advance(4 * oneWayMs);
    // The end is lost with the connection.
    (await first.session).close(lost);
    network.drop(alice.hubId, bob.hubId, lost);
    const second = a.dial("two");
    await clock.advance(4 * oneWayMs);
    expect(second.early).not.toBe(first.early);
    expect([second.answer, b.taken]).toEqual(["two", ["one", "two"]]);
  });
});

describe("a session that begins early on a connection where nobody answers", () => {
  const connectionEnds: readonly [string, (answer: Connection, silent: MemoryNetwork) => void, string][] = [
    [
      "refused by the transport",
      (_, silent) => silent.drop(alice.hubId, bob.hubId, new PeerError({ code: "REVOKED", message: "Out." })),
      "REVOKED",
    ],
    [
      "refused with END",
      (far) =>
        void far.send(encodeFrame(FRAME_END, 0, 0, encodeReason(new FedError({ code: "BUSY", message: "Full." })))),
      "BUSY",
    ],
    ["broken by a breach", (far) => void far.send(resumeFrame({ epoch: epochOf(7) })), "PROTOCOL_ERROR"],
  ];

  /** Alice has called `text` over a network where bob does not answer, and bob is on another as well. */
  async function callIntoSilence(text: string) {
    const silent = createMemoryNetwork({ clock, latencyMs: oneWayMs });
    const accepted = Promise.withResolvers<Connection>();
    await silent.transport({ identity: bob, greeting: encodeGreeting(epochOf(2)) }).listen({
      connection(connection) {
        connection.start({ message() {}, closed() {} });
        accepted.resolve(connection);
      },
    });
    const [a, b] = [await start("alice", 1), await start("bob", 2)];
    const dialling = silent.transport({ identity: alice }).dial(bob.hubId);
    await clock.advance(2 * oneWayMs);
    const made: { answer?: string; early?: Session } = {};
    const first = a.sessions.open(await dialling, noStreams, {
      early(session) {
        made.early = session;
        void call(session, text).then((end) => (made.answer = end));
      },
    });
    first.catch(() => {});
    await clock.advance(oneWayMs);
    return { a, b, silent, first, made, far: await accepted.promise };
  }

  it.each(connectionEnds)("lives on where the peer has met it when that one is %s", async (_, end, code) => {
    const { a, b, silent, first, made, far } = await callIntoSilence("once");
    const second = a.dial();
    await clock.advance(4 * oneWayMs);
    expect(await second.session).toBe(made.early);
    made.early!.use(made.early!.paths[1]!);
    await clock.advance(2 * oneWayMs);
    expect([made.answer, b.taken]).toEqual(["once", ["once"]]);
    end(far, silent);
    await clock.advance(oneWayMs);
    await expectCode(first, code);
    expect(made.early!.paths.map(({ id }) => id)).toEqual([second.connection!.id]);
    const again = call(made.early!, "again");
    await clock.advance(2 * oneWayMs);
    expect([await again, b.taken]).toEqual(["again", ["once", "again"]]);
  });

  it.each(connectionEnds)("ends when that one is %s before the peer has met it on another", async (_, end, code) => {
    const { a, b, silent, first, made, far } = await callIntoSilence("never");
    const second = a.dial();
    await clock.advance(2 * oneWayMs);
    end(far, silent);
    await clock.advance(0);
    await clock.advance(oneWayMs);
    await expectCode(first, code);
    expect(made.answer).toBe(code === "PROTOCOL_ERROR" ? "PROTOCOL_ERROR" : "GOING_AWAY");
    expect(await made.early!.closed).toMatchObject({ code });
    await clock.advance(4 * oneWayMs);
    await expectCode(second.session, "SESSION_EXPIRED");
    expect(b.taken).toEqual([]);
  });
});

describe("a peer that refuses", () => {
  it("has taken nothing: the calls say so, and the session is over", async () => {
    const a = await start("alice", 1);
    const b = await start("bob", 2, { refuses: new FedError({ code: "REVOKED", message: "Out." }) });
    const dialled = a.dial("refused");
    await clock.advance(4 * oneWayMs);
    await expectCode(dialled.session, "REVOKED");
    expect(await dialled.early!.closed).toBeInstanceOf(PeerError);
    expect([dialled.answer, b.taken]).toEqual(["GOING_AWAY", []]);
  });

  it("because a newer process has been there says so in place of RESUME", async () => {
    const b = await start("bob", 2);
    const first = await start("alice", 1);
    const one = first.dial();
    await clock.advance(4 * oneWayMs);
    await one.session;
    await first.close();
    const second = await start("alice", 3);
    const two = second.dial("newer");
    await clock.advance(5 * oneWayMs);
    expect(await one.early!.closed).toMatchObject({ code: "HUB_DUPLICATE" });
    const again = first.dial("older");
    await clock.advance(5 * oneWayMs);
    await expectCode(again.session, "HUB_DUPLICATE");
    expect([two.answer, again.answer, b.taken]).toEqual(["newer", "GOING_AWAY", ["newer"]]);
  });

  it("is not begun with when it is the process that a newer one has replaced", async () => {
    const a = await start("alice", 1);
    const old = await start("bob", 2);
    const one = a.dial();
    await clock.advance(4 * oneWayMs);
    (await one.session).close();
    await clock.advance(oneWayMs);
    await old.close();
    const newer = await start("bob", 3);
    const two = a.dial("two");
    await clock.advance(4 * oneWayMs);
    (await two.session).close();
    await newer.close();
    await clock.advance(oneWayMs);
    const heard: Uint8Array[] = [];
    await network.transport({ identity: bob, greeting: encodeGreeting(epochOf(2)) }).listen({
      connection: (connection) => connection.start({ message: (bytes) => void heard.push(bytes), closed() {} }),
    });
    const three = a.dial("three");
    await clock.advance(4 * oneWayMs);
    await expectCode(three.session, "HUB_DUPLICATE");
    expect(three.early).toBeUndefined();
    expect(heard.map(([type]) => type)).toEqual([FRAME_END]);
  });
});

describe("by hand", () => {
  /** Bob as `answers` say, to whom alice calls early. */
  async function against(...answers: readonly Uint8Array[]): Promise<Dialled> {
    await network.transport({ identity: bob, greeting: encodeGreeting(epochOf(2)) }).listen({
      connection(connection) {
        connection.start({ message() {}, closed() {} });
        for (const answer of answers) connection.send(answer);
      },
    });
    const dialled = (await start("alice", 1)).dial("call");
    await clock.advance(5 * oneWayMs);
    return dialled;
  }

  const answering = { epoch: epochOf(2), peerEpoch: epochOf(1) };

  it("END in place of RESUME, with a reason and without, means that nothing was taken", async () => {
    const error = new FedError({ code: "SESSION_EXPIRED", message: "Long ago." });
    for (const [end, code] of [
      [encodeFrame(FRAME_END, 0, 0, encodeReason(error)), "SESSION_EXPIRED"],
      [encodeFrame(FRAME_END, 0, 0), "CLOSED"],
    ] as const) {
      network = createMemoryNetwork({ clock, latencyMs: oneWayMs });
      const dialled = await against(end);
      await expectCode(dialled.session, code);
      expect(dialled.answer).toBe("GOING_AWAY");
    }
  });

  it.each([
    ["another boot than greeted", { ...answering, epoch: epochOf(4) }],
    ["another session than was begun", { ...answering, generation: 1 }],
    ["more than was sent", { ...answering, received: 3 }],
    ["an answer that is early", { ...answering, early: true }],
  ])("%s is a breach, and nobody knows of the calls", async (_, resume) => {
    const dialled = await against(resumeFrame(resume));
    await expectCode(dialled.session, "PROTOCOL_ERROR");
    expect(dialled.answer).toBe("PROTOCOL_ERROR");
    expect(dialled.early!.paths).toEqual([]);
  });

  it.each([
    ["of a side that knows no boot of this one", { peerEpoch: new Uint8Array(16), generation: 0 }],
    ["with a lower generation", { generation: 0 }],
  ])("an answer %s goes on with the session that was begun", async (_, resume) => {
    const a = await start("alice", 1);
    const answers = [resumeFrame(answering), resumeFrame({ ...answering, ...resume })];
    await network.transport({ identity: bob, greeting: encodeGreeting(epochOf(2)) }).listen({
      connection(connection) {
        connection.start({ message() {}, closed() {} });
        connection.send(answers.shift()!);
      },
    });
    const first = a.dial();
    await clock.advance(4 * oneWayMs);
    (await first.session).close();
    const second = a.dial();
    await clock.advance(4 * oneWayMs);
    expect(second.early).toBeDefined();
    expect(await second.session).toBe(second.early);
  });

  it("a peer that has begun several sessions meanwhile refuses one early session, and the next connection settles it", async () => {
    const [a, b] = [await start("alice", 1), await start("bob", 2)];
    const unheard = createMemoryNetwork({ clock });
    await unheard.transport({ identity: alice, greeting: encodeGreeting(epochOf(1)) }).listen({
      connection: (connection) => connection.start({ message() {}, closed() {} }),
    });
    for (let count = 0; count < 3; count++) {
      const connection = await unheard.transport({ identity: bob }).dial(alice.hubId);
      const opening = b.sessions.open(connection, noStreams, { early: (session) => session.close() });
      await Promise.all([expectCode(opening, "CLOSED"), clock.advance(0)]);
    }
    const first = a.dial("early");
    await clock.advance(5 * oneWayMs);
    await expectCode(first.session, "SESSION_EXPIRED");
    expect(first.answer).toBe("GOING_AWAY");
    const second = a.dial();
    await clock.advance(4 * oneWayMs);
    expect(second.early).toBeUndefined();
    const asked = call(await second.session, "settled");
    await clock.advance(2 * oneWayMs);
    expect([await asked, b.taken]).toEqual(["settled", ["settled"]]);
    // From here on both count alike, and sessions begin early again.
    (await second.session).close();
    await clock.advance(oneWayMs);
    const third = a.dial("third");
    await clock.advance(4 * oneWayMs);
    expect([third.answer, third.early === (await third.session)]).toEqual(["third", true]);
  });

  it("who claims to have received more than was sent is refused in place of RESUME, and the session stands", async () => {
    const b = await start("bob", 2);
    const dial = async (message: Uint8Array) => {
      const dialling = network.transport({ identity: alice }).dial(bob.hubId);
      await clock.advance(2 * oneWayMs);
      const connection = await dialling;
      const heard: number[] = [];
      connection.start({ message: ([type]) => void heard.push(type!), closed() {} });
      connection.send(message);
      await clock.advance(2 * oneWayMs);
      return heard;
    };
    const resume = { epoch: epochOf(1), peerEpoch: epochOf(2) };
    expect(await dial(resumeFrame(resume))).toEqual([FRAME_RESUME]);
    expect(await dial(resumeFrame({ ...resume, received: 1 }))).toEqual([FRAME_END]);
    expect(await dial(resumeFrame(resume))).toContain(FRAME_RESUME);
    expect(b.taken).toEqual([]);
  });

  it("what was received before the connection is told of in RESUME", async () => {
    const dialled = await against(resumeFrame({ ...answering, received: 2 }));
    expect(await dialled.session).toBe(dialled.early);
  });

  it("a greeting that is none is refused", async () => {
    const dial = (greeting: Uint8Array) => {
      network = createMemoryNetwork({ clock });
      return network
        .transport({ identity: bob, greeting })
        .listen({ connection() {} })
        .then(() => network.transport({ identity: alice }).dial(bob.hubId));
    };
    const { sessions } = await start("alice", 1);
    const open = async (greeting: Uint8Array) => sessions.open(await dial(greeting), noStreams, { early() {} });
    await expectCode(open(new Uint8Array(31)), "PROTOCOL_ERROR");
    await expectCode(open(new Uint8Array(32).fill(1)), "PROTOCOL_ERROR");
    await expectCode(open(encodeGreeting(epochOf(1))), "PROTOCOL_ERROR");
    await expectCode(open(new Uint8Array(32)), "FRAME_MALFORMED");
  });

  it("frames of another session than the one that stands are not taken: END, and it stands", async () => {
    const b = await start("bob", 2);
    const dial = async (...messages: Uint8Array[]) => {
      const dialling = network.transport({ identity: alice }).dial(bob.hubId);
      await clock.advance(2 * oneWayMs);
      const connection = await dialling;
      const heard: number[] = [];
      connection.start({ message: ([type]) => void heard.push(type!), closed() {} });
      for (const message of messages) connection.send(message);
      await clock.advance(2 * oneWayMs);
      return heard;
    };
    const open = encodeFrame(FRAME_OPEN, 1, 1, encodeUtf8("call"));
    const data = encodeFrame(FRAME_DATA, FLAG_END_MESSAGE, 1, encodeUtf8("call"));
    const early = { epoch: epochOf(1), peerEpoch: epochOf(2), early: true, limits: resolveLimits() };
    const [resumed] = await dial(resumeFrame({ ...early, generation: 3 }), open, data);
    expect(resumed).not.toBe(FRAME_END);
    expect(b.taken).toEqual(["call"]);
    // Of an earlier session than stands, and for another boot of bob.
    expect(await dial(resumeFrame({ ...early, generation: 2 }), open, data)).toEqual([FRAME_END]);
    expect(await dial(resumeFrame({ ...early, peerEpoch: epochOf(7) }), open, data)).toEqual([FRAME_END]);
    // The one that stands goes on, and takes each frame once.
    const [again] = await dial(resumeFrame({ ...early, generation: 3 }), open, data);
    expect(again).not.toBe(FRAME_END);
    expect(b.taken).toEqual(["call"]);
  });
});
