import { type Connection, decodeBase64Url, encodeUtf8, FedError, PeerError, type Session } from "@fed/core";
import { createTestClock, expectCode, readConnection } from "@fed/core/testing";
import { describe, expect, it } from "vitest";
import { encodeFrame, FRAME_END, FRAME_OPEN } from "../src/frame.js";
import { createSession, createSessions } from "../src/index.js";
import { resolveLimits } from "../src/limits.js";
import { connectionPair, epochOf, noStreams, rawPeer, resumeFrame, sessionPair } from "./fixture.js";

const options = { epoch: epochOf(1), handler: noStreams };
const freshResume = resumeFrame({ epoch: epochOf(2) });

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
    const [narrow] = await connectionPair({ maxMessageBytes: 65_545 });
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
      freshResume.subarray(0, 69),
    ]) {
      const [near, far] = await connectionPair();
      const reader = readConnection(near);
      near.send(first);
      await expectCode(createSession(far, options), "PROTOCOL_ERROR");
      expect((await reader.next())[0]).toBe(FRAME_END);
    }
  });

  it("takes no peer that shows this hub's own boot nonce, or none", async () => {
    for (const epoch of [options.epoch, new Uint8Array(16)]) {
      const [near, far] = await connectionPair();
      far.send(resumeFrame({ epoch }));
      await expectCode(createSession(near, options), "PROTOCOL_ERROR");
    }
  });

  it("hears why the other side refuses", async () => {
    const [near, far] = await connectionPair();
    far.send(encodeFrame(FRAME_END, 0, 0, encodeUtf8('{"code":"MAINTENANCE","message":"Come back later."}')));
    expect(await expectCode(createSession(near, options), "MAINTENANCE")).toBeInstanceOf(PeerError);
  });

  it.each(["initiator", "responder"])("hears why the other side, the %s, opens none", async (role) => {
    const pair = await connectionPair();
    const [near, far] = role === "responder" ? pair : pair.toReversed();
    const error = new FedError({ code: "BUSY", message: "Full.", retryable: true });
    createSessions({ epoch: epochOf(7) }).refuse(far!, error);
    const heard = await expectCode(createSession(near!, options), "BUSY");
    expect([heard instanceof PeerError, heard.message, heard.retryable]).toEqual([true, "Full.", true]);
  });

  it("hands out the session before its first stream", async () => {
    const [near, far] = await connectionPair();
    const [first, second] = [encodeFrame(FRAME_OPEN, 1, 2), encodeFrame(FRAME_OPEN, 1, 4)];
    near.send(new Uint8Array([...freshResume, ...first, ...second]));
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
