import type { Priority, Stream } from "@fed/core";
import { createTestClock, expectCode } from "@fed/core/testing";
import { describe, expect, it, vi } from "vitest";
import {
  CUT_FRAME_BYTES,
  encodeFrame,
  FRAME_CREDIT,
  FRAME_DATA,
  FRAME_OPEN,
  FRAME_PING,
  FRAME_PONG,
  writeU32,
} from "../src/frame.js";
import { createSession } from "../src/index.js";
import { connectionPair, epochOf, noStreams, type RawPeer, rawPeer, sessionPair } from "./fixture.js";

const nothing = new Uint8Array(0);

function dataStreams(peer: RawPeer): number[] {
  return peer.frames.filter(({ type }) => type === FRAME_DATA).map(({ stream }) => stream);
}

async function pingThrough(peer: RawPeer): Promise<void> {
  peer.send(encodeFrame(FRAME_PING, 0, 0, new Uint8Array(8)));
  await peer.next(FRAME_PONG);
}

describe("what leaves first", () => {
  it("control before call before event before bulk, whatever was sent first", async () => {
    const peer = await rawPeer();
    const order: Priority[] = ["bulk", "event", "call", "control"];
    const streams = order.map((priority) => peer.session.open(nothing, { priority }));
    for (const stream of streams) void stream.send(new Uint8Array(40_000));
    await pingThrough(peer);
    const ids = streams.map(({ id }) => id);
    expect([...new Set(dataStreams(peer))]).toEqual(ids.reverse());
  });

  it("a control message overtakes a backlog of bulk", async () => {
    const peer = await rawPeer({ clock: createTestClock() });
    const bulk = peer.session.open(nothing, { priority: "bulk" });
    void bulk.send(new Uint8Array(1024 * 1024)).catch(() => {});
    await pingThrough(peer);
    peer.acknowledge();
    await pingThrough(peer);
    const sentBefore = dataStreams(peer).length;
    expect(sentBefore).toBe(16);
    const control = peer.session.open(nothing, { priority: "control" });
    await control.send(new Uint8Array(100));
    const credit = new Uint8Array(4);
    writeU32(credit, 0, 128 * 1024);
    peer.send(encodeFrame(FRAME_CREDIT, 0, bulk.id, credit));
    await pingThrough(peer);
    expect(dataStreams(peer)[sentBefore]).toBe(control.id);
    expect(dataStreams(peer).length).toBe(sentBefore + 1 + 8);
  });

  it("streams of one class take turns", async () => {
    const peer = await rawPeer();
    const streams = [1, 2, 3].map(() => peer.session.open(nothing, { priority: "bulk" }));
    for (const stream of streams) void stream.send(new Uint8Array(40_000));
    await pingThrough(peer);
    const [a, b, c] = streams.map(({ id }) => id);
    expect(dataStreams(peer).slice(0, 9)).toEqual([a, b, c, a, b, c, a, b, c]);
  });

  it("a small call is one message each way", async () => {
    const [near, far] = await connectionPair();
    const answer = async (stream: Stream) => {
      await stream.receive();
      await stream.send(new Uint8Array(100), { end: true });
    };
    const [initiator] = await Promise.all([
      createSession(near, { epoch: epochOf(1), handler: noStreams }),
      createSession(far, { epoch: epochOf(2), handler: { stream: (stream) => void answer(stream) } }),
    ]);
    const there = vi.spyOn(near, "send");
    const back = vi.spyOn(far, "send");
    for (let i = 1; i <= 10; i++) {
      const stream = initiator.open(new Uint8Array(50));
      void stream.send(new Uint8Array(200), { end: true });
      expect((await stream.receive())?.length).toBe(100);
      expect([there.mock.calls.length, back.mock.calls.length]).toEqual([i, i]);
    }
  });

  it("stops when the transport says so, and goes on when it has drained", async () => {
    const [near, far] = await connectionPair();
    const received = Promise.withResolvers<number>();
    const [initiator] = await Promise.all([
      createSession(near, { epoch: epochOf(1), handler: noStreams }),
      createSession(far, {
        epoch: epochOf(2),
        handler: { stream: (stream) => void stream.receive().then((message) => received.resolve(message!.length)) },
      }),
    ]);
    const send = near.send.bind(near);
    let drained = Promise.withResolvers<void>();
    const spy = vi.spyOn(near, "send").mockImplementation((message) => {
      send(message);
      return false;
    });
    vi.spyOn(near, "drained").mockImplementation(() => drained.promise);
    const bulk = initiator.open(nothing, { priority: "bulk" });
    const sending = bulk.send(new Uint8Array(100_000), { end: true });
    // What may be under way allows more; a message is one frame of it.
    for (let sent = 1; sent <= 7; sent++) {
      await new Promise((resolve) => setTimeout(resolve));
      expect(spy.mock.calls.length).toBe(sent);
      expect(spy.mock.calls.at(-1)?.[0].length).toBeLessThanOrEqual(CUT_FRAME_BYTES);
      const { resolve } = drained;
      drained = Promise.withResolvers();
      resolve();
    }
    await sending;
    expect(await received.promise).toBe(100_000);
  });

  it("ends the session when a peer makes it answer without reading", async () => {
    const peer = await rawPeer({ limits: { maxQueuedFrames: 8, maxStreams: 1 } });
    // A transport that is stuck: it takes one message and never drains.
    peer.connection.pause();
    const flood = Array.from({ length: 40 }, (_, i) => encodeFrame(FRAME_OPEN, 1, 2 * i + 1));
    const stuck = peer.session.open(nothing, { priority: "control" });
    const failing = expectCode(
      (async () => {
        for (;;) await stuck.send(new Uint8Array(200_000));
      })(),
      "FLOOD",
    );
    const more = Array.from({ length: 3 }, () => peer.session.open(nothing, { priority: "control" }));
    for (const stream of more) void stream.send(new Uint8Array(250_000)).catch(() => {});
    await new Promise((resolve) => setTimeout(resolve));
    peer.send(...flood);
    expect(await peer.session.closed).toMatchObject({ code: "FLOOD" });
    await failing;
  });
});

/** Reads one message, or all of a channel, then answers. */
async function answerAtEnd(stream: Stream): Promise<void> {
  while ((await stream.receive())?.length === 5000);
  await stream.send(new Uint8Array(3), { end: true });
}

describe("head of line", () => {
  it("streams that nobody reads leave room for a call", async () => {
    const unread: Stream[] = [];
    const serve = (stream: Stream) => {
      if (stream.header.length === 0) {
        unread.push(stream);
        return;
      }
      void answerAtEnd(stream);
    };
    const [near] = await sessionPair({ responder: { stream: serve } });
    const channel = near.open(new Uint8Array(2));
    for (let i = 0; i < 20; i++) await channel.send(new Uint8Array(5000));
    for (let i = 0; i < 12; i++) {
      void near
        .open(nothing)
        .send(new Uint8Array(1024 * 1024))
        .catch(() => {});
    }
    await near.ping();
    await near.ping();
    expect(unread.length).toBe(12);
    for (let i = 0; i < 20; i++) {
      const call = near.open(new Uint8Array(1));
      void call.send(new Uint8Array(20_000), { end: true });
      expect((await call.receive())?.length).toBe(3);
    }
    for (let i = 0; i < 200; i++) await channel.send(new Uint8Array(5000));
    await channel.send(new Uint8Array(0), { end: true });
    expect((await channel.receive())?.length).toBe(3);
    near.close();
  });
});
