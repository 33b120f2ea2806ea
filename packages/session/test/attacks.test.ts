/** A member that turns hostile: each cap of a session under attack. Every test says with which code it ends and what it cost. */
import { type Connection, FedError, type Stream } from "@fed/core";
import { createTestClock, expectCode } from "@fed/core/testing";
import { afterEach, describe, expect, it, vi } from "vitest";
import {
  encodeCountFrame,
  encodeFrame,
  encodeFrameHeader,
  FRAME_ACK,
  FRAME_CLOSE,
  FRAME_CREDIT,
  FRAME_DATA,
  FRAME_FROM,
  FRAME_GOAWAY,
  FRAME_OPEN,
  FRAME_PING,
  FRAME_PONG,
  FRAME_RESET,
  FRAME_STOP,
  HEADER_BYTES,
  writeU32,
} from "../src/frame.js";
import { createSession, createSessions } from "../src/index.js";
import { resolveLimits } from "../src/limits.js";
import { encodeReason } from "../src/reason.js";
import { SendHalf } from "../src/send-half.js";
import { bob, connectionPair, epochOf, noStreams, type RawPeer, rawPeer } from "./fixture.js";

const reason = encodeReason(new FedError({ code: "APP_FAILED", message: "No." }));
const nothing = new Uint8Array(0);
/** Frames of abuse that are forgiven at once, and after which the session ends. */
const burst = 2048;

afterEach(() => {
  vi.restoreAllMocks();
});

const open = (id: number, header = nothing) => encodeFrame(FRAME_OPEN, 1, id, header);
const data = (id: number, length: number, flags = 1) => encodeFrame(FRAME_DATA, flags, id, new Uint8Array(length));

function credit(id: number, bytes: number): Uint8Array {
  const body = new Uint8Array(4);
  writeU32(body, 0, bytes);
  return encodeFrame(FRAME_CREDIT, 0, id, body);
}

async function pingThrough(peer: RawPeer): Promise<void> {
  peer.send(encodeFrame(FRAME_PING, 0, 0, new Uint8Array(8)));
  await peer.next(FRAME_PONG);
}

/** How many bytes the session has answered with. */
function answered(peer: RawPeer): number {
  return peer.frames.reduce((sum, { body }) => sum + HEADER_BYTES + body.length, 0);
}

/** Sends `frames` in small messages until the session ends. Returns its code, and how many frames that took. */
async function flood(
  peer: RawPeer,
  frames: (i: number) => readonly Uint8Array[],
): Promise<[string | undefined, number]> {
  let code: string | undefined;
  void peer.session.closed.then((error) => {
    code = error?.code;
  });
  let sent = 0;
  while (code === undefined && sent < 3 * burst) {
    for (let i = 0; i < 64 && code === undefined; i++) {
      try {
        peer.send(...frames(sent));
      } catch {
        // The connection is over, so the session is.
      }
      sent++;
    }
    await new Promise((resolve) => setTimeout(resolve));
  }
  return [code, sent];
}

describe("a flood of frames that cost the receiver more", () => {
  /** Streams 2, 4 … are this side's own; 1 is the attacker's and lives; 3 is the attacker's and over. */
  async function victim() {
    let served = 0;
    const peer = await rawPeer({
      clock: createTestClock(),
      handler: {
        stream(stream) {
          served++;
          void stream.receive().catch(() => {});
        },
      },
    });
    peer.session.open(nothing);
    peer.send(open(1), open(3), encodeFrame(FRAME_RESET, 0, 3, reason));
    await pingThrough(peer);
    return { peer, served: () => served };
  }

  it.each([
    ["opens that are refused", (i: number) => [open(2 * i + 5, new Uint8Array(1000))], 2 * burst + 1023],
    [
      "opens that are reset",
      (i: number) => [open(2 * i + 5), encodeFrame(FRAME_RESET, 0, 2 * i + 5, reason)],
      2 * burst,
    ],
    ["resets of a stream that is over", () => [encodeFrame(FRAME_RESET, 0, 3, reason)], 2 * burst],
    ["stops", () => [encodeFrame(FRAME_STOP, 0, 1, reason)], 2 * burst],
    ["crumbs of credit for the session", () => [credit(0, 1)], 2 * burst],
    ["crumbs of credit for a stream that is over", () => [credit(3, 1023)], 2 * burst],
    ["acknowledgements without news", () => [encodeCountFrame(FRAME_ACK, 1)], 2 * burst],
    ["starts over", () => [encodeCountFrame(FRAME_FROM, 0)], 2 * burst],
    ["goings away", () => [encodeFrame(FRAME_GOAWAY, 0, 0, new Uint8Array([0, 0, 0, 2, ...reason]))], 2 * burst + 1],
  ])("%s: first asked to stop, then ended, with little to show for it", async (_, frames, most) => {
    const { peer, served } = await victim();
    const [code, sent] = await flood(peer, frames);
    expect(code).toBe("FLOOD");
    expect(sent).toBeGreaterThan(burst);
    // In messages of its own each frame counts as soon as it is there; 64 are under way.
    expect(sent).toBeLessThanOrEqual(most + 64);
    expect(peer.frames.filter(({ type }) => type === FRAME_GOAWAY).length).toBe(1);
    // What came back is of the size of what was sent, and no handler has seen more than the streams that were taken.
    expect(answered(peer)).toBeLessThanOrEqual(200 * sent);
    expect(served()).toBeLessThanOrEqual(2 + burst);
  });

  it("empty frames: one that ends no message is a breach, and messages cost as much as they take", async () => {
    for (const frames of [[data(1, 0, 0)], Array.from({ length: 4 * 1024 + 1 }, (_, i) => data(1 + 2 * (i % 5), 0))]) {
      const peer = await rawPeer({ handler: { stream: () => {} } });
      peer.send(open(1), open(3), open(5), open(7), open(9));
      if (frames.length > 1) peer.send(...frames.slice(0, -1));
      await pingThrough(peer);
      peer.send(...frames.slice(-1));
      expect(await peer.session.closed).toMatchObject({ code: "PROTOCOL_ERROR" });
    }
  });

  it("pings: a second one before the answer is a breach, and so is an answer to none", async () => {
    const ping = encodeFrame(FRAME_PING, 0, 0, new Uint8Array(16_374));
    for (const frames of [[ping, ping], [encodeFrame(FRAME_PONG, 0, 0, new Uint8Array(8))]]) {
      const peer = await rawPeer();
      peer.send(...frames);
      expect(await peer.session.closed).toMatchObject({ code: "PROTOCOL_ERROR" });
      expect(answered(peer)).toBeLessThan(4096);
    }
  });
});

describe("credit", () => {
  it.each(["session", "stream"])("above 2^31-1 for a %s ends the session, however it is granted", async (what) => {
    for (const grants of [[0x7fffffff], [0x3fffffff, 0x3fffffff, 0x3fffffff], [0xffffffff]]) {
      const peer = await rawPeer();
      const stream = peer.session.open(nothing);
      peer.send(...grants.map((bytes) => credit(what === "session" ? 0 : stream.id, bytes)));
      expect(await peer.session.closed).toMatchObject({ code: "PROTOCOL_ERROR" });
    }
  });

  it("for the session wakes nobody whose own is used up, so that small grants do not cost much work", async () => {
    const limits = { ...resolveLimits(), streamCreditBytes: 16_384, sessionCreditBytes: 0x3fffffff };
    const peer = await rawPeer({ resume: { limits } });
    const streams = Array.from({ length: 200 }, () => peer.session.open(nothing));
    for (const stream of streams) void stream.send(new Uint8Array(20_000)).catch(() => {});
    while (peer.frames.filter(({ type }) => type === FRAME_DATA).length < 200) {
      peer.acknowledge();
      await pingThrough(peer);
    }
    const wake = vi.spyOn(SendHalf.prototype, "wake");
    for (let i = 0; i < 100; i++) peer.send(credit(0, 1024));
    await pingThrough(peer);
    expect(wake).not.toHaveBeenCalled();
    peer.session.close();
  });
});

describe("lengths", () => {
  it.each([
    ["a header", FRAME_OPEN, 65_537],
    ["data", FRAME_DATA, 16_375],
    ["a reason", FRAME_RESET, 2_049],
    ["anything", FRAME_PING, 0xffffffff],
  ])(
    "of %s that are too large are refused where they are announced, before memory is taken",
    async (_, type, length) => {
      let served = 0;
      const peer = await rawPeer({ handler: { stream: () => void served++ } });
      const header = new Uint8Array(HEADER_BYTES);
      encodeFrameHeader(header, 0, type, 0, type === FRAME_PING ? 0 : 1, length);
      const before = process.memoryUsage().arrayBuffers;
      peer.send(header);
      const error = await peer.session.closed;
      expect(error).toMatchObject({ code: "PROTOCOL_ERROR", cause: { code: "FRAME_TOO_LARGE" } });
      expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(1024 * 1024);
      expect(served).toBe(0);
    },
  );
});

describe("a slow reader", () => {
  it("that acknowledges but grants nothing gets what it announced, and holds no more than that here", async () => {
    const peer = await rawPeer();
    const streams = Array.from({ length: 8 }, () => peer.session.open(nothing, { priority: "bulk" }));
    let sent = 0;
    for (const stream of streams) {
      for (let i = 0; i < 64; i++) {
        stream.send(new Uint8Array(16_374)).then(
          () => sent++,
          () => {},
        );
      }
    }
    for (let i = 0; i < 200; i++) {
      peer.acknowledge();
      await pingThrough(peer);
    }
    expect(sent * 16_384).toBeLessThanOrEqual(1024 * 1024);
    expect(sent * 16_384).toBeGreaterThan(512 * 1024);
    // A call still finds room.
    const call = peer.session.open(nothing);
    await call.send(new Uint8Array(1000));
    peer.session.close();
  });

  it("that makes this side answer is cut off when the answers pile up", async () => {
    const peer = await rawPeer({ limits: { maxQueuedFrames: 100, maxResendMessages: 10, maxStreams: 1 } });
    // It acknowledges nothing; each refusal is a frame in a message of its own.
    const [code, sent] = await flood(peer, (i) => [open(2 * i + 1)]);
    expect(code).toBe("FLOOD");
    // As many to a message as come in one turn.
    expect(sent).toBeLessThanOrEqual((10 + 1) * 64 + 100);
  });
});

describe("messages in the making", () => {
  it("of two hundred streams stay within the budget and one message more", async () => {
    const streams: Stream[] = [];
    const budget = 256 * 1024;
    const peer = await rawPeer({
      handler: {
        stream(stream) {
          streams.push(stream);
          void stream.receive().catch(() => {});
        },
      },
      limits: {
        maxAssemblyBytes: budget,
        streamCreditBytes: 16_384,
        sessionCreditBytes: 32 * 1024 * 1024,
        maxSessionCreditBytes: 32 * 1024 * 1024,
        maxStreamCreditBytes: 16_384,
      },
    });
    const left = new Map<number, number>();
    let taken = 0;
    let seen = 0;
    for (let id = 1; id < 400; id += 2) {
      peer.send(open(id));
      left.set(id, 16_384);
    }
    // It sends whatever it is let, and never ends a message.
    for (let round = 0; round < 30; round++) {
      for (const [id, bytes] of left) {
        if (bytes < 1024) continue;
        peer.send(data(id, Math.min(bytes, 16_384) - HEADER_BYTES, 0));
        left.set(id, 0);
        taken += bytes;
      }
      await pingThrough(peer);
      for (; seen < peer.frames.length; seen++) {
        const frame = peer.frames[seen]!;
        if (frame.type !== FRAME_CREDIT || frame.stream === 0) continue;
        left.set(frame.stream, left.get(frame.stream)! + new DataView(frame.body.slice().buffer).getUint32(0));
      }
    }
    expect(streams.length).toBe(200);
    // Each stream its credit once, the budget, and what the oldest is granted beyond it.
    expect(taken).toBeLessThanOrEqual(200 * 16_384 + budget + 30 * 16_384);
    expect([...left.values()].filter((bytes) => bytes > 0).length).toBeLessThanOrEqual(1);
    peer.session.close();
  });
});

describe("who only begins", () => {
  it("and says nothing is let go after 5 s", async () => {
    const clock = createTestClock();
    const opened = await Promise.all(
      Array.from({ length: 20 }, async () => {
        const [near, far] = await connectionPair();
        near.start({ message() {}, closed() {} });
        return expectCode(createSession(far, { epoch: epochOf(2), handler: noStreams, clock }), "HANDSHAKE_TIMEOUT");
      }).map(async (gone, i, all) => {
        if (i === all.length - 1) {
          await new Promise((resolve) => setTimeout(resolve));
          await clock.advance(5000);
        }
        return gone;
      }),
    );
    expect(opened.length).toBe(20);
  });

  it("under 16 384 names takes no more room than that", async () => {
    const sessions = createSessions({ epoch: epochOf(2), clock: createTestClock() });
    const as = (i: number): Connection => ({
      id: `${i}`,
      transport: "memory",
      role: "responder",
      peer: { ...bob, hubId: `hub${i}` },
      remoteAddress: "",
      maxMessageBytes: 65_546,
      start() {},
      send: () => true,
      drained: () => Promise.resolve(),
      pause() {},
      resume() {},
      close() {},
      [Symbol.asyncDispose]: () => Promise.resolve(),
    });
    for (let i = 0; i < 16_384; i++) void sessions.open(as(i), noStreams);
    await expectCode(sessions.open(as(16_384), noStreams), "TOO_MANY_PEERS");
  });

  it("sends nothing after the end of its direction", async () => {
    const peer = await rawPeer({ handler: { stream: () => {} } });
    peer.send(open(1), encodeFrame(FRAME_CLOSE, 0, 1), data(1, 10));
    expect(await peer.session.closed).toMatchObject({ code: "PROTOCOL_ERROR" });
  });
});
