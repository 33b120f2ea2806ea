/** The conformance suite of the session contract (src/session.ts): every implementation passes it unchanged. */
import { describe, expect, it } from "vitest";
import { decodeBase64Url, encodeUtf8, equalBytes } from "../bytes.js";
import { CoreError, FedError, isFedError } from "../errors.js";
import type { Session, Stream } from "../session.js";
import { expectCode } from "./expect-code.js";
import { patternBytes } from "./pattern-bytes.js";
import { describeEnding } from "./session-end-suite.js";
import {
  echo,
  receiveAll,
  type SessionBench,
  type SessionFixture,
  type SessionHandlers,
  withSessions,
} from "./session-fixture.js";

/** Runs the suite over what `setup` makes; it is called once for each test. */
export function testSession(name: string, setup: (handlers: SessionHandlers) => Promise<SessionFixture>): void {
  const test: SessionTest = (title, run) => it(title, () => withSessions(setup, run));
  describe(`${name}: session contract`, () => {
    describeMessages(test);
    describeCredit(test);
    describeOpening(test);
    describeEnding(test);
  });
}

/** Declares one test that gets fresh sessions. */
export type SessionTest = (title: string, run: (bench: SessionBench) => Promise<void>) => void;

function describeMessages(test: SessionTest): void {
  test("both ends know each other", async ({ initiator, responder, initiatorIdentity, responderIdentity }) => {
    expect(initiator.role).toBe("initiator");
    expect(responder.role).toBe("responder");
    expect(initiator.peer).toEqual(responderIdentity);
    expect(responder.peer).toEqual(initiatorIdentity);
    expect(decodeBase64Url(initiator.peerEpoch).length).toBe(16);
    expect(decodeBase64Url(responder.peerEpoch).length).toBe(16);
    expect(initiator.transport).not.toBe("");
    expect(initiator.maxMessageBytes).toBeGreaterThanOrEqual(512 * 1024);
  });

  test("messages keep their order and boundaries, both ways, empty ones included", async (bench) => {
    const sizes = [0, 1, 0, 0, 255, 16_383, 16_384, 16_385, 0, 70_000, 1, 0];
    for (const opener of ["initiator", "responder"] as const) {
      const streams = await bench.openPair(opener);
      const sending = streams.map(async (stream, side) => {
        for (const [number, size] of sizes.entries()) await stream.send(patternBytes(size, side + number));
        stream.end();
      });
      const received = await Promise.all(streams.map(receiveAll));
      await Promise.all(sending);
      for (const [side, messages] of received.entries()) {
        expect(messages).toEqual(sizes.map((size, number) => patternBytes(size, 1 - side + number)));
      }
      expect(await Promise.all(streams.map((stream) => stream.closed))).toEqual([undefined, undefined]);
    }
  });

  test("five thousand small messages arrive in order, and stay what they were", async (bench) => {
    const [sender, receiver] = await bench.openPair();
    const received = receiveAll(receiver);
    for (let i = 0; i < 5000; i++) await sender.send(encodeUtf8(`message ${i}`));
    sender.end();
    const messages = await received;
    expect(messages.length).toBe(5000);
    for (const [i, message] of messages.entries()) expect(message).toEqual(encodeUtf8(`message ${i}`));
  });

  test("a message can finish its direction, also an empty one", async (bench) => {
    for (const size of [0, 10]) {
      const [sender, receiver] = await bench.openPair();
      await sender.send(patternBytes(size, 1), { end: true });
      expect(await receiver.receive()).toEqual(patternBytes(size, 1));
      expect(await receiver.receive()).toBeUndefined();
      expect(await receiver.receive()).toBeUndefined();
      await expectCode(sender.send(new Uint8Array(1)), "CLOSED");
    }
  });

  test("one direction can end while the other goes on", async (bench) => {
    const [near, far] = await bench.openPair();
    near.end();
    near.end();
    expect(await far.receive()).toBeUndefined();
    await expectCode(near.send(new Uint8Array(1)), "CLOSED");
    for (let i = 0; i < 10; i++) {
      await far.send(patternBytes(i, i));
      expect(await near.receive()).toEqual(patternBytes(i, i));
    }
    far.end();
    expect(await near.receive()).toBeUndefined();
    expect(await near.closed).toBeUndefined();
    expect(await far.closed).toBeUndefined();
  });

  test("what was sent can be read after the stream has closed", async (bench) => {
    const [near, far] = await bench.openPair();
    await near.send(patternBytes(5, 1));
    await near.send(patternBytes(6, 2), { end: true });
    await far.send(patternBytes(7, 3), { end: true });
    expect(await near.closed).toBeUndefined();
    expect(await far.closed).toBeUndefined();
    expect(await receiveAll(far)).toEqual([patternBytes(5, 1), patternBytes(6, 2)]);
    expect(await receiveAll(near)).toEqual([patternBytes(7, 3)]);
  });

  test("receives that wait are served in order", async (bench) => {
    const [near, far] = await bench.openPair();
    const waiting = [far.receive(), far.receive(), far.receive()];
    await near.send(patternBytes(1, 1));
    await near.send(patternBytes(2, 2), { end: true });
    expect(await Promise.all(waiting)).toEqual([patternBytes(1, 1), patternBytes(2, 2), undefined]);
  });
}

function describeCredit(test: SessionTest): void {
  test("the largest message passes; a larger one is refused and harms nothing", async (bench) => {
    const [near, far] = await bench.openPair();
    const limit = bench.initiator.maxMessageBytes;
    await expectCode(near.send(new Uint8Array(limit + 1)), "MESSAGE_TOO_LARGE");
    const received = receiveAll(far);
    await near.send(patternBytes(limit, 1));
    await near.send(patternBytes(1, 2), { end: true });
    const messages = await received;
    expect(messages.map((message) => message.length)).toEqual([limit, 1]);
    expect(equalBytes(messages[0]!, patternBytes(limit, 1))).toBe(true);
  });

  test("a sender waits for a receiver that does not read, and for nobody else", async (bench) => {
    const [near, far] = await bench.openPair();
    const size = 64 * 1024;
    let settled = 0;
    const sending = Array.from({ length: 32 }, (_, i) =>
      near.send(patternBytes(size, i)).then(() => {
        settled++;
      }),
    );
    await settle(bench.initiator);
    expect(settled).toBeGreaterThan(0);
    // 256 KiB of credit, and at most one message half on its way.
    expect(settled * size).toBeLessThanOrEqual(256 * 1024 + size);
    const [other, otherFar] = await bench.openPair();
    const echoed = echo(otherFar);
    await other.send(patternBytes(1000, 7), { end: true });
    expect(await receiveAll(other)).toEqual([patternBytes(1000, 7)]);
    expect(await echoed).toBeUndefined();
    near.end();
    const messages = await receiveAll(far);
    await Promise.all(sending);
    expect(messages.map((message, i) => equalBytes(message, patternBytes(size, i)))).toEqual(new Array(32).fill(true));
  });

  test("empty messages are bounded too", async (bench) => {
    const [near, far] = await bench.openPair();
    const count = 100_000;
    let settled = 0;
    const sending = Array.from({ length: count }, () =>
      near.send(new Uint8Array(0)).then(() => {
        settled++;
      }),
    );
    await settle(bench.initiator);
    expect(settled).toBeGreaterThan(0);
    expect(settled).toBeLessThan(count);
    const failed = Promise.allSettled(sending);
    far.reset(new CoreError({ code: "TOO_LARGE", message: "Enough of nothing." }));
    await failed;
  });

  test("two hundred streams at once each get their own answer", async (bench) => {
    bench.serve((stream) => void echo(stream));
    const streams = Array.from({ length: 200 }, (_, i) => bench.initiator.open(encodeUtf8(`${i}`)));
    expect(new Set(streams.map((stream) => stream.id)).size).toBe(200);
    const answers = await Promise.all(
      streams.map(async (stream, i) => {
        await stream.send(patternBytes(i * 50, i));
        await stream.send(patternBytes(3, i), { end: true });
        return receiveAll(stream);
      }),
    );
    for (const [i, answer] of answers.entries()) expect(answer).toEqual([patternBytes(i * 50, i), patternBytes(3, i)]);
  });

  test("megabytes flow both ways at once", async (bench) => {
    const streams = await bench.openPair();
    const sending = streams.map(async (stream) => {
      for (let i = 0; i < 20; i++) await stream.send(patternBytes(200_000, i));
      stream.end();
    });
    for (const messages of await Promise.all(streams.map(receiveAll))) {
      expect(messages.length).toBe(20);
      expect(equalBytes(messages[19]!, patternBytes(200_000, 19))).toBe(true);
    }
    await Promise.all(sending);
  });
}

function describeOpening(test: SessionTest): void {
  test("the opener's header arrives; ids tell who opened", async (bench) => {
    const served = Promise.withResolvers<Stream>();
    bench.serve(served.resolve);
    const stream = bench.initiator.open(patternBytes(64 * 1024, 1), { priority: "bulk" });
    const there = await served.promise;
    expect(there.header).toEqual(patternBytes(64 * 1024, 1));
    expect(stream.header).toEqual(there.header);
    expect(there.id).toBe(stream.id);
    expect(stream.id % 2).toBe(1);
    const [fromResponder] = await bench.openPair("responder");
    expect(fromResponder.id % 2).toBe(0);
    await expectCode(() => bench.initiator.open(new Uint8Array(64 * 1024 + 1)), "MESSAGE_TOO_LARGE");
    const [near, far] = await bench.openPair();
    await near.send(patternBytes(1, 1), { end: true });
    expect((await receiveAll(far)).length).toBe(1);
  });

  test("the streams that may be open are bounded, and slots come free", async (bench) => {
    bench.serve((stream) => void echo(stream).catch(() => {}));
    const streams: Stream[] = [];
    const open = () => {
      while (streams.length < 4096) streams.push(bench.initiator.open(new Uint8Array(0)));
    };
    await expectCode(open, "TOO_MANY_STREAMS");
    const limit = streams.length;
    for (const stream of streams) stream.end();
    await Promise.all(streams.splice(0).map((stream) => stream.closed));
    await expectCode(open, "TOO_MANY_STREAMS");
    expect(streams.length).toBe(limit);
    const answers = streams.map(async (stream, i) => {
      await stream.send(patternBytes(1, i), { end: true });
      return receiveAll(stream);
    });
    for (const [i, answer] of (await Promise.all(answers)).entries()) expect(answer).toEqual([patternBytes(1, i)]);
  });

  test("a handler that throws resets the stream with its code", async (bench) => {
    bench.serve(() => {
      throw new FedError({ code: "NO_SUCH_APP", message: "There is no such app." });
    });
    const stream = bench.initiator.open(new Uint8Array(0));
    await expectCode(stream.receive(), "NO_SUCH_APP");
    bench.serve(() => {
      throw new TypeError("A defect.");
    });
    const other = await bench.initiator.open(new Uint8Array(0)).closed;
    expect(isFedError(other)).toBe(true);
    bench.serve(async (stream) => {
      await stream.receive();
      throw new FedError({ code: "APP_GONE", message: "The app has ended." });
    });
    const late = bench.initiator.open(new Uint8Array(0));
    await late.send(new Uint8Array(1));
    await expectCode(late.receive(), "APP_GONE");
  });

  test("ping measures the round trip and can be cancelled", async (bench) => {
    expect(await bench.initiator.ping()).toBeGreaterThanOrEqual(0);
    expect(await bench.responder.ping({ signal: new AbortController().signal })).toBeGreaterThanOrEqual(0);
    await expectCode(bench.initiator.ping({ signal: AbortSignal.abort() }), "ABORTED");
    const controller = new AbortController();
    const ping = bench.initiator.ping({ signal: controller.signal });
    controller.abort();
    await expectCode(ping, "ABORTED");
    expect(await bench.initiator.ping()).toBeGreaterThanOrEqual(0);
  });
}

/** Round trips after which all that can go without the peer's application has gone. */
async function settle(session: Session): Promise<void> {
  for (let i = 0; i < 20; i++) await session.ping();
}
