import { encodeUtf8, FedError, PeerError, type Stream } from "@fed/core";
import { createTestClock, expectCode } from "@fed/core/testing";
import fc from "fast-check";
import { describe, expect, it, vi } from "vitest";
import {
  encodeFrame,
  FRAME_ACK,
  FRAME_CLOSE,
  FRAME_CREDIT,
  FRAME_DATA,
  FRAME_END,
  FRAME_GOAWAY,
  FRAME_OPEN,
  FRAME_PING,
  FRAME_PONG,
  FRAME_RESET,
  FRAME_STOP,
  readU32,
  readU64,
} from "../src/frame.js";
import { SessionError } from "../src/index.js";
import { decodeReason, encodeReason } from "../src/reason.js";
import { StreamTable } from "../src/stream-table.js";
import { type RawPeer, rawPeer, sessionPair } from "./fixture.js";
import { hubs, openPair } from "./hubs.js";

const failure = new FedError({ code: "APP_FAILED", message: "The app gave up.", hint: "Try later.", retryable: true });
const reason = encodeReason(failure);
const ignore = { stream: (stream: Stream) => void stream.receive().catch(() => {}) };

function open(id: number): Uint8Array {
  return encodeFrame(FRAME_OPEN, 1, id);
}

function data(id: number, length: number, flags = 1): Uint8Array {
  return encodeFrame(FRAME_DATA, flags, id, new Uint8Array(length));
}

async function pingThrough(peer: RawPeer): Promise<void> {
  peer.send(encodeFrame(FRAME_PING, 0, 0, new Uint8Array(8)));
  await peer.next(FRAME_PONG);
}

describe("ends", () => {
  it("carry the whole reason to the peer, as the peer's word", async () => {
    const [near] = await sessionPair({ responder: { stream: (stream) => stream.reset(failure) } });
    const error = await near.open(new Uint8Array(0)).closed;
    expect(error).toBeInstanceOf(PeerError);
    expect(error).toMatchObject({ code: failure.code, message: failure.message, hint: failure.hint, retryable: true });
  });

  it("of a session with an error tell the peer why; its streams are CLOSED", async () => {
    const [near, far] = await sessionPair();
    const stream = far.open(new Uint8Array(0));
    const pending = expectCode(stream.send(new Uint8Array(2 ** 20)), "CLOSED");
    near.close(failure);
    expect(await far.closed).toMatchObject({ code: failure.code });
    expect(await far.closed).toBeInstanceOf(PeerError);
    await pending;
  });

  it("let what was sent in the same turn arrive", async () => {
    const got = Promise.withResolvers<Uint8Array | undefined>();
    const [near] = await sessionPair({ responder: { stream: (stream) => void stream.receive().then(got.resolve) } });
    void near.open(new Uint8Array(0)).send(new Uint8Array(7), { end: true });
    near.close();
    expect((await got.promise)?.length).toBe(7);
  });

  it("cut long reasons and hide codes the peer would refuse", () => {
    const long = new FedError({ code: "no code", message: "\u20ac".repeat(5000), hint: "\n\ud800".repeat(5000) });
    const bytes = encodeReason(long);
    expect(bytes.length).toBeLessThanOrEqual(2048);
    expect(decodeReason(bytes)).toMatchObject({ code: "INTERNAL", retryable: false });
  });
});

describe("STOP", () => {
  it("ends what is sent and leaves what is received", async () => {
    const served = Promise.withResolvers<Stream>();
    const peer = await rawPeer({ handler: { stream: served.resolve } });
    peer.send(open(1));
    const stream = await served.promise;
    const pending = expectCode(stream.send(new Uint8Array(2 ** 20)), failure.code);
    peer.send(encodeFrame(FRAME_STOP, 0, 1, reason), data(1, 5, 3));
    await pending;
    await peer.next(FRAME_CLOSE);
    expect((await stream.receive())?.length).toBe(5);
    expect(await stream.receive()).toBeUndefined();
    expect(await stream.closed).toMatchObject({ code: failure.code });
  });

  it("answers a message above the limit, however it is cut, and the answer can still be sent", async () => {
    for (const frames of [[data(1, 101)], [data(1, 60, 0), data(1, 60, 0), data(1, 1)]]) {
      const served = Promise.withResolvers<Stream>();
      const peer = await rawPeer({ handler: { stream: served.resolve }, limits: { maxMessageBytes: 100 } });
      peer.send(open(1), ...frames);
      const stream = await served.promise;
      expect(decodeReason((await peer.next(FRAME_STOP)).body).code).toBe("MESSAGE_TOO_LARGE");
      await expectCode(stream.receive(), "MESSAGE_TOO_LARGE");
      await stream.send(new Uint8Array(9), { end: true });
      expect((await peer.next(FRAME_DATA)).body.length).toBe(9);
      peer.send(encodeFrame(FRAME_CLOSE, 0, 1));
      expect(await stream.closed).toMatchObject({ code: "MESSAGE_TOO_LARGE" });
    }
  });
});

describe("memory", () => {
  it("a small header or message that waits does not keep its transport message alive", async () => {
    const served: Stream[] = [];
    const peer = await rawPeer({ handler: { stream: (stream) => void served.push(stream) } });
    peer.send(open(1), data(1, 10), encodeFrame(FRAME_OPEN, 1, 3, new Uint8Array(5)), data(3, 16_000));
    await pingThrough(peer);
    expect(served[1]!.header.buffer.byteLength).toBe(5);
    expect((await served[0]!.receive())!.buffer.byteLength).toBe(10);
    expect((await served[1]!.receive())!.length).toBe(16_000);
  });

  it("a peer that sends more than its credit is cut off, also with empty messages", async () => {
    for (const frames of [
      Array.from({ length: 17 }, () => data(1, 16_374)),
      Array.from({ length: 1025 }, () => data(1, 0)),
    ]) {
      const peer = await rawPeer({ handler: { stream: () => {} } });
      peer.send(open(1), ...frames.slice(0, -1));
      await pingThrough(peer);
      peer.send(...frames.slice(-1));
      expect(await peer.session.closed).toMatchObject({ code: "PROTOCOL_ERROR" });
    }
  });

  it("a message nobody waits for is granted no more than the credit", async () => {
    const served = Promise.withResolvers<Stream>();
    const peer = await rawPeer({ handler: { stream: served.resolve } });
    peer.send(open(1), ...Array.from({ length: 16 }, () => data(1, 16_374, 0)));
    await pingThrough(peer);
    expect(peer.frames.filter(({ type }) => type === FRAME_CREDIT)).toEqual([]);
    const message = (await served.promise).receive();
    const credit = await peer.next(FRAME_CREDIT);
    expect(readU32(credit.body, 0)).toBe(256 * 1024);
    peer.send(data(1, 1));
    expect((await message)?.length).toBe(16 * 16_374 + 1);
  });

  it("above the assembly budget only the oldest message is granted more, and the next one after it", async () => {
    const peer = await rawPeer({
      handler: ignore,
      limits: { maxAssemblyBytes: 50_000, streamCreditBytes: 16_384, sessionCreditBytes: 1 << 20 },
    });
    const chunk = (id: number) => data(id, 16_000, 0);
    const credited = () => peer.frames.filter(({ type }) => type === FRAME_CREDIT).map(({ stream }) => stream);
    for (const id of [1, 3, 5, 7]) peer.send(open(id), chunk(id));
    await pingThrough(peer);
    expect(credited()).toEqual([1, 3, 5]);
    peer.send(chunk(1));
    await pingThrough(peer);
    expect(credited()).toEqual([1, 3, 5, 1]);
    peer.send(chunk(3));
    await pingThrough(peer);
    expect(credited()).toEqual([1, 3, 5, 1]);
    peer.send(data(1, 1));
    await pingThrough(peer);
    expect(credited().slice(4)).toEqual([3]);
    peer.send(encodeFrame(FRAME_RESET, 0, 3, reason));
    await pingThrough(peer);
    expect(credited().slice(5)).toEqual([7]);
  });
});

describe("floods", () => {
  it("opens beyond the cap are refused before the handler sees them", async () => {
    let served = 0;
    const peer = await rawPeer({
      handler: { stream: () => void served++ },
      limits: { maxUntouchedStreams: 3, abuseBurst: 100 },
    });
    peer.send(...[1, 3, 5, 7].map(open));
    const refused = await peer.next(FRAME_RESET);
    expect(refused.stream).toBe(7);
    expect(decodeReason(refused.body)).toMatchObject({ code: "TOO_MANY_STREAMS", retryable: true });
    expect(served).toBe(3);
  });

  it("open streams beyond the cap are refused, touched or not", async () => {
    const peer = await rawPeer({ handler: ignore, limits: { maxStreams: 2 } });
    peer.send(...[1, 3, 5].map(open));
    expect((await peer.next(FRAME_RESET)).stream).toBe(5);
    peer.send(encodeFrame(FRAME_RESET, 0, 1, reason), open(7));
    await pingThrough(peer);
    expect(peer.frames.filter(({ type }) => type === FRAME_RESET).length).toBe(1);
  });

  it("resets are met with GOAWAY, then with the end; time forgives", async () => {
    const clock = createTestClock();
    const peer = await rawPeer({ handler: ignore, clock, limits: { abuseBurst: 10, abusePerSecond: 10 } });
    // One stream goes on all the time.
    peer.send(open(1));
    let id = 3;
    const resets = (count: number) => {
      for (let i = 0; i < count; i++, id += 2) peer.send(open(id), encodeFrame(FRAME_RESET, 0, id, reason));
    };
    resets(10);
    await pingThrough(peer);
    await clock.advance(1000);
    resets(10);
    await pingThrough(peer);
    expect(peer.frames.some(({ type }) => type === FRAME_GOAWAY)).toBe(false);
    resets(1);
    const goAway = await peer.next(FRAME_GOAWAY);
    expect(goAway.flags).toBe(0);
    expect(decodeReason(goAway.body.subarray(4)).code).toBe("FLOOD");
    resets(10);
    expect(await peer.session.closed).toMatchObject({ code: "FLOOD" });
  });

  it("a session that goes away for a flood ends with its last stream, or after 3 s, so that a new one can begin", async () => {
    for (const isOver of [false, true]) {
      const pair = await hubs({ abuseBurst: 2, abusePerSecond: 1 });
      const [near, far] = await pair.connect();
      const [here, there] = await openPair(pair, near);
      for (let i = 0; i < 3; i++) near.open(new Uint8Array(2)).reset(new FedError({ code: "NO", message: "No." }));
      await pair.clock.advance(0);
      for (const session of [near, far]) await expectCode(() => session.open(new Uint8Array(1)), "GOING_AWAY");
      await here.send(new Uint8Array(7), { end: true });
      expect((await there.receive())?.length).toBe(7);
      if (isOver) there.end();
      await pair.clock.advance(isOver ? 0 : 2999);
      expect(near.paths.length).toBe(isOver ? 0 : 1);
      await pair.clock.advance(isOver ? 0 : 1);
      expect(await far.closed).toMatchObject({ code: "FLOOD" });
      expect(await near.closed).toMatchObject({ code: "FLOOD" });
      const [next] = await pair.connect();
      expect(next).not.toBe(near);
      next.open(new Uint8Array(1)).end();
      next.close();
    }
  });

  it.each([
    ["control", 3 * 1024 * 1024, 4 * 1024 * 1024],
    ["call", 192 * 1024, 256 * 1024],
    ["bulk", 64 * 1024, 128 * 1024],
  ] as const)(
    "a peer that grants but acknowledges nothing gets so much %s, and no more",
    async (priority, least, most) => {
      const peer = await rawPeer();
      const stream = peer.session.open(new Uint8Array(0), { priority });
      let sent = 0;
      const sending = Array.from({ length: 200 }, () =>
        stream.send(new Uint8Array(64 * 1024)).then(
          () => sent++,
          () => {},
        ),
      );
      for (let i = 0; i < 40; i++) {
        const credit = new Uint8Array([0, 4, 0, 0]);
        peer.send(encodeFrame(FRAME_CREDIT, 0, stream.id, credit), encodeFrame(FRAME_CREDIT, 0, 0, credit));
        await pingThrough(peer);
      }
      // It has granted 10 MiB and acknowledged nothing.
      expect(sent * 64 * 1024).toBeGreaterThanOrEqual(least);
      expect(sent * 64 * 1024).toBeLessThanOrEqual(most + 64 * 1024);
      peer.session.close();
      await Promise.all(sending);
    },
  );

  it("repeated acknowledgements and crumbs of credit count too", async () => {
    const served = Promise.withResolvers<Stream>();
    const crumb = encodeFrame(FRAME_CREDIT, 0, 0, new Uint8Array([0, 0, 0, 1]));
    const ack = encodeFrame(FRAME_ACK, 0, 0, new Uint8Array(8));
    for (const frame of [crumb, ack]) {
      const peer = await rawPeer({ handler: { stream: served.resolve }, limits: { abuseBurst: 5, abusePerSecond: 1 } });
      await peer.session.open(new Uint8Array(0)).send(new Uint8Array(1000));
      peer.send(...Array.from({ length: 20 }, () => frame));
      expect(await peer.session.closed).toMatchObject({ code: "FLOOD" });
    }
  });
});

describe("time", () => {
  it("sequenced frames are acknowledged after 250 ms, or 15 356 bytes and 1 ms, or 256 frames, or 128 KiB", async () => {
    const clock = createTestClock();
    const peer = await rawPeer({ handler: ignore, clock });
    peer.send(open(1), data(1, 5));
    await pingThrough(peer);
    await clock.advance(249);
    expect(peer.frames.some(({ type }) => type === FRAME_ACK)).toBe(false);
    await clock.advance(1);
    expect(readU64((await peer.next(FRAME_ACK)).body, 0)).toBe(2);
    peer.send(...Array.from({ length: 256 }, () => data(1, 1)));
    expect(readU64((await peer.next(FRAME_ACK)).body, 0)).toBe(258);
    peer.send(data(1, 7_000));
    await pingThrough(peer);
    peer.send(data(1, 15_356 - 2 * 10 - 7_000));
    await pingThrough(peer);
    expect(peer.frames.filter(({ type }) => type === FRAME_ACK).length).toBe(2);
    await clock.advance(1);
    expect(readU64((await peer.next(FRAME_ACK)).body, 0)).toBe(260);
    peer.send(...Array.from({ length: 8 }, () => data(1, 16_374)));
    expect(readU64((await peer.next(FRAME_ACK)).body, 0)).toBe(268);
  });

  it("a silent peer is pinged, then given up", async () => {
    const clock = createTestClock();
    const peer = await rawPeer({ clock });
    await clock.advance(15_000);
    await peer.next(FRAME_PING);
    await clock.advance(29_999);
    const ping = expectCode(peer.session.ping(), "UNRESPONSIVE");
    await clock.advance(1);
    expect(await peer.session.closed).toMatchObject({ code: "UNRESPONSIVE" });
    await ping;
  });

  it("a peer that answers lives on, and is asked again", async () => {
    const clock = createTestClock();
    const [near] = await sessionPair({ sessionClock: clock });
    for (let i = 0; i < 20; i++) await clock.advance(15_000);
    expect(await near.ping()).toBe(0);
  });
});

describe("going away", () => {
  it("fails what the peer never took as retryable, and nothing else", async () => {
    const peer = await rawPeer();
    const [taken, late] = [peer.session.open(new Uint8Array(0)), peer.session.open(new Uint8Array(0))];
    const lastId = new Uint8Array([0, 0, 0, taken.id]);
    peer.send(encodeFrame(FRAME_GOAWAY, 0, 0, new Uint8Array([...lastId, ...reason])), data(taken.id, 3));
    expect(await late.closed).toMatchObject({ code: "GOING_AWAY", retryable: true });
    expect((await taken.receive())?.length).toBe(3);
    await expectCode(() => peer.session.open(new Uint8Array(0)), "GOING_AWAY");
  });

  it("is what a session does that has used up its ids: it ends with its last stream, so that a new one can begin", async () => {
    const [near] = await sessionPair({ responder: ignore });
    const exhausted = vi
      .spyOn(StreamTable.prototype, "exhausted", "get")
      .mockReturnValueOnce(false)
      .mockReturnValue(true);
    const last = near.open(new Uint8Array(0));
    await expectCode(() => near.open(new Uint8Array(0)), "GOING_AWAY");
    last.reset(failure);
    expect(await near.closed).toMatchObject({ code: "GOING_AWAY" });
    exhausted.mockRestore();
  });

  it("at once ends everything with the peer's reason", async () => {
    const peer = await rawPeer();
    peer.send(encodeFrame(FRAME_END, 0, 0, reason));
    expect(await peer.session.closed).toMatchObject({ code: failure.code });
  });
});

describe("any frames at all", () => {
  it("leave the session whole or end it with a typed error", async () => {
    const body = fc.oneof(
      fc.uint8Array({ maxLength: 40 }),
      fc.constantFrom(
        reason,
        encodeUtf8("{}"),
        new Uint8Array(8),
        new Uint8Array([0, 0, 8, 0]),
        new Uint8Array(16_374),
      ),
    );
    const frame = fc
      .tuple(
        fc.constantFrom(1, 1, 1, 2, 2, 2, 3, 4, 5, 6, 7, 8, 10, 12, 13),
        fc.constantFrom(0, 1, 1, 3),
        fc.constantFrom(0, 1, 1, 3, 5, 2),
        body,
      )
      .map(([type, flags, stream, bytes]) => encodeFrame(type, flags, stream, bytes));
    let survived = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(frame, { minLength: 1, maxLength: 8 }), async (frames) => {
        const peer = await rawPeer({ handler: { stream: (stream) => void readAll(stream) } });
        peer.send(open(1), ...frames);
        const alive = await Promise.race([pingThrough(peer).then(() => true), peer.session.closed.then(() => false)]);
        if (alive) survived++;
        peer.session.close();
        const error = await peer.session.closed;
        if (!alive && error) expect(error instanceof SessionError || error instanceof PeerError).toBe(true);
      }),
      // Few of those that are drawn are all legal.
      { numRuns: 200, examples: [[[encodeFrame(FRAME_DATA, 1, 1, new Uint8Array(8))]]] },
    );
    expect(survived).toBeGreaterThan(0);
  });
});

async function readAll(stream: Stream): Promise<void> {
  try {
    while (await stream.receive());
  } catch (error) {
    expect(error).toBeInstanceOf(FedError);
  }
}
