import { type Connection, encodeBase64Url, FedError, type Session } from "@fed/core";
import { createMemoryNetwork } from "@fed/core/memory";
import { expectCode, patternBytes } from "@fed/core/testing";
import { describe, expect, it } from "vitest";
import { encodeCountFrame, FRAME_FROM } from "../src/frame.js";
import { createSessions } from "../src/index.js";
import type { Resume } from "../src/resume.js";
import { alice, bob, epochOf, noStreams, resumeFrame } from "./fixture.js";
import { hubs, lost, openPair } from "./hubs.js";

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
