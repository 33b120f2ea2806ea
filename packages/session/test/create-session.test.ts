import { type Connection, decodeBase64Url, encodeUtf8, PeerError, type Session } from "@fed/core";
import { createTestClock, expectCode, readConnection } from "@fed/core/testing";
import { describe, expect, it } from "vitest";
import { encodeFrame, FLAG_CLOSE_SESSION, FRAME_GOAWAY, FRAME_OPEN, FRAME_RESUME, FrameReader } from "../src/frame.js";
import { createSession } from "../src/index.js";
import { resolveLimits } from "../src/limits.js";
import { decodeResume, encodeResume } from "../src/resume.js";
import { connectionPair, epochOf, noStreams, rawPeer, sessionPair } from "./fixture.js";

const options = { epoch: epochOf(1), handler: noStreams };
const freshResume = encodeFrame(
  FRAME_RESUME,
  0,
  0,
  encodeResume({ sessionId: epochOf(9), epoch: epochOf(2), nextSequence: 0, limits: resolveLimits() }),
);

describe("createSession", () => {
  it("tells each side the other's boot nonce", async () => {
    const [near, far] = await sessionPair();
    expect(decodeBase64Url(near.peerEpoch)).toEqual(epochOf(2));
    expect(decodeBase64Url(far.peerEpoch)).toEqual(epochOf(1));
  });

  it("refuses a peer nobody authenticated, and leaves the connection alone", async () => {
    const [near, far] = await connectionPair();
    const guest = Object.create(near, { peer: { value: undefined } }) as Connection;
    await expectCode(createSession(guest, options), "NOT_AUTHENTICATED");
    const reader = readConnection(far);
    near.send(new Uint8Array(1));
    expect((await reader.next()).length).toBe(1);
  });

  it("refuses options that make no sense", async () => {
    const [near] = await connectionPair();
    await expectCode(createSession(near, { ...options, epoch: new Uint8Array(15) }), "INVALID_OPTION");
    for (const limits of [
      { maxStreams: 0 },
      { maxMessageBytes: 1.5 },
      { sessionCreditBytes: 2 ** 31 },
      { streamCreditBytes: 16 * 1024 - 1 },
      { streamCreditBytes: 2 ** 21 },
    ]) {
      await expectCode(createSession(near, { ...options, limits }), "INVALID_OPTION");
    }
  });

  it("refuses a connection that carries too little", async () => {
    const [narrow] = await connectionPair({ maxMessageBytes: 4095 });
    await expectCode(createSession(narrow, options), "CONNECTION_TOO_NARROW");
  });

  it("gives up on a peer that does not answer", async () => {
    const clock = createTestClock();
    const [near, far] = await connectionPair();
    const { closed } = readConnection(far);
    const session = expectCode(createSession(near, { ...options, clock }), "HANDSHAKE_TIMEOUT");
    await clock.advance(5000);
    await session;
    expect(await closed).toBeDefined();
  });

  it("fails when the connection ends first", async () => {
    const [near, far] = await connectionPair();
    far.close();
    await expectCode(createSession(near, options), "CLOSED");
  });

  it("takes nothing but RESUME as the first frame", async () => {
    for (const first of [
      encodeFrame(FRAME_OPEN, 1, 1),
      encodeUtf8("GET / HTTP/1.1\r\n"),
      freshResume.subarray(0, 65),
    ]) {
      const [near, far] = await connectionPair();
      const reader = readConnection(near);
      near.send(first);
      await expectCode(createSession(far, options), "PROTOCOL_ERROR");
      expect((await reader.next())[0]).toBe(FRAME_GOAWAY);
    }
  });

  it("takes no answer for another session", async () => {
    const [near, far] = await connectionPair();
    far.send(freshResume);
    await expectCode(createSession(near, options), "PROTOCOL_ERROR");
  });

  it("hears why the other side refuses", async () => {
    const [near, far] = await connectionPair();
    const reason = encodeUtf8('\0\0\0\0{"code":"MAINTENANCE","message":"Come back later."}');
    far.send(encodeFrame(FRAME_GOAWAY, FLAG_CLOSE_SESSION, 0, reason));
    expect(await expectCode(createSession(near, options), "MAINTENANCE")).toBeInstanceOf(PeerError);
  });

  it("answers a fresh start with the same id, and a resume with another one", async () => {
    for (const nextSequence of [0, 5]) {
      const [near, far] = await connectionPair();
      const reader = readConnection(near);
      const asked = { sessionId: epochOf(9), epoch: epochOf(3), nextSequence, limits: resolveLimits() };
      near.send(encodeFrame(FRAME_RESUME, 0, 0, encodeResume(asked)));
      await createSession(far, options);
      const frames = new FrameReader();
      frames.load(await reader.next());
      expect(frames.next()).toBe(true);
      const answer = decodeResume(frames.body());
      expect(answer.nextSequence).toBe(0);
      expect(answer.epoch).toEqual(epochOf(1));
      if (nextSequence === 0) expect(answer.sessionId).toEqual(asked.sessionId);
      else expect(answer.sessionId).not.toEqual(asked.sessionId);
    }
  });

  it("hands out the session before its first stream", async () => {
    const [near, far] = await connectionPair();
    near.send(new Uint8Array([...freshResume, ...encodeFrame(FRAME_OPEN, 1, 1), ...encodeFrame(FRAME_OPEN, 1, 3)]));
    near.start({ message() {}, closed() {} });
    const served = Promise.withResolvers<Session | undefined>();
    let session: Session | undefined;
    const connect = async () => createSession(far, { ...options, handler: { stream: () => served.resolve(session) } });
    session = await connect();
    expect(await served.promise).toBe(session);
  });

  it("keeps to the limits the peer announces", async () => {
    const limits = { ...resolveLimits(), maxStreams: 2, maxMessageBytes: 10 };
    const { session } = await rawPeer({ resume: { limits } });
    expect(session.maxMessageBytes).toBe(10);
    const stream = session.open(new Uint8Array(0));
    await expectCode(stream.send(new Uint8Array(11)), "MESSAGE_TOO_LARGE");
    session.open(new Uint8Array(0));
    await expectCode(() => session.open(new Uint8Array(0)), "TOO_MANY_STREAMS");
  });
});
