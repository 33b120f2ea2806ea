/** The part of the session suite about ends: resets, cancellation, going away and closing. */
import { expect } from "vitest";
import { CoreError, FedError, isFedError } from "../errors.js";
import type { Stream } from "../session.js";
import { expectCode } from "./expect-code.js";
import { patternBytes } from "./pattern-bytes.js";
import { receiveAll } from "./session-fixture.js";
import type { SessionTest } from "./session-suite.js";

const failure = new FedError({ code: "APP_FAILED", message: "The app gave up." });

/** Ending streams and sessions. */
export function describeEnding(test: SessionTest): void {
  describeReset(test);
  describeAbort(test);
  describeGoAway(test);
  describeClose(test);
}

function describeReset(test: SessionTest): void {
  for (const resetter of ["opener", "other side"] as const) {
    test(`a reset by the ${resetter} fails everything on both ends with its code`, async (bench) => {
      for (const pending of [(stream: Stream) => stream.receive(), fill]) {
        const pair = await bench.openPair();
        const failing = pair.map((stream) => expectCode(pending(stream), failure.code));
        await bench.initiator.ping();
        const stream = pair[resetter === "opener" ? 0 : 1];
        stream.reset(failure);
        stream.reset(new FedError({ code: "LATE", message: "Too late." }));
        await Promise.all(failing);
        for (const end of pair) {
          expect(await end.closed).toMatchObject({ code: failure.code });
          await expectCode(end.send(new Uint8Array(1)), failure.code);
          await expectCode(end.receive(), failure.code);
          end.end();
        }
      }
      const [near, far] = await bench.openPair();
      await near.send(patternBytes(3, 3), { end: true });
      expect(await receiveAll(far)).toEqual([patternBytes(3, 3)]);
    });
  }

  test("resetting a stream that has ended changes nothing", async (bench) => {
    const [near, far] = await bench.openPair();
    near.end();
    far.end();
    expect(await near.closed).toBeUndefined();
    near.reset(failure);
    expect(await far.closed).toBeUndefined();
    expect(await near.closed).toBeUndefined();
    expect(await near.receive()).toBeUndefined();
  });

  test("a stream can be reset in the turn it was opened in", async (bench) => {
    const stream = bench.initiator.open(new Uint8Array(0));
    stream.reset(failure);
    expect(await stream.closed).toMatchObject({ code: failure.code });
    await bench.initiator.ping();
    const [near, far] = await bench.openPair();
    await near.send(patternBytes(3, 3), { end: true });
    expect(await receiveAll(far)).toEqual([patternBytes(3, 3)]);
  });
}

function describeAbort(test: SessionTest): void {
  test("cancelling resets the stream with ABORTED, or with the reason if that is a FedError", async (bench) => {
    for (const [reason, code] of [
      [undefined, "ABORTED"],
      [new CoreError({ code: "DEADLINE_EXCEEDED", message: "Too slow." }), "DEADLINE_EXCEEDED"],
    ] as const) {
      const controller = new AbortController();
      const served = Promise.withResolvers<Stream>();
      bench.serve(served.resolve);
      const stream = bench.initiator.open(new Uint8Array(0), { signal: controller.signal });
      const there = await served.promise;
      const waiting = [expectCode(stream.receive(), code), expectCode(there.receive(), code)];
      controller.abort(reason);
      await Promise.all(waiting);
      expect(await stream.closed).toMatchObject({ code });
      expect(await there.closed).toMatchObject({ code });
    }
  });

  test("a stream is not opened for what is cancelled already", async (bench) => {
    let served = 0;
    bench.serve(() => void served++);
    await expectCode(() => bench.initiator.open(new Uint8Array(0), { signal: AbortSignal.abort() }), "ABORTED");
    await bench.initiator.ping();
    expect(served).toBe(0);
  });

  test("cancelling a stream that has ended changes nothing", async (bench) => {
    const controller = new AbortController();
    const served = Promise.withResolvers<Stream>();
    bench.serve(served.resolve);
    const stream = bench.initiator.open(new Uint8Array(0), { signal: controller.signal });
    stream.end();
    (await served.promise).end();
    expect(await stream.closed).toBeUndefined();
    controller.abort();
    expect(await stream.receive()).toBeUndefined();
  });
}

function describeGoAway(test: SessionTest): void {
  test("going away takes no new stream and finishes the running ones", async (bench) => {
    const [near, far] = await bench.openPair();
    bench.responder.goAway(new FedError({ code: "RESTARTING", message: "Back in a minute." }));
    const raced = bench.initiator.open(new Uint8Array(0));
    await expectCode(raced.receive(), "GOING_AWAY");
    await bench.initiator.ping();
    await expectCode(() => bench.initiator.open(new Uint8Array(0)), "GOING_AWAY");
    await near.send(patternBytes(4, 4), { end: true });
    expect(await receiveAll(far)).toEqual([patternBytes(4, 4)]);
    await far.send(patternBytes(5, 5), { end: true });
    expect(await receiveAll(near)).toEqual([patternBytes(5, 5)]);
    expect(await near.closed).toBeUndefined();
  });
}

function describeClose(test: SessionTest): void {
  test("a clean close fails what is pending with CLOSED, on both sides", async (bench) => {
    const pair = await bench.openPair();
    const busy = await bench.openPair("responder");
    const pending = [...pair.map((stream) => stream.receive()), ...busy.map(fill)].map((operation) =>
      expectCode(operation, "CLOSED"),
    );
    await bench.initiator.ping();
    pending.push(expectCode(bench.initiator.ping(), "CLOSED"));
    bench.initiator.close();
    bench.initiator.close(failure);
    await Promise.all(pending);
    expect(await bench.initiator.closed).toBeUndefined();
    expect(await bench.responder.closed).toBeUndefined();
    for (const session of [bench.initiator, bench.responder]) {
      await expectCode(() => session.open(new Uint8Array(0)), "CLOSED");
      await expectCode(session.ping(), "CLOSED");
    }
    for (const stream of [...pair, ...busy]) {
      await expectCode(stream.send(new Uint8Array(1)), "CLOSED");
      expect(await stream.closed).toMatchObject({ code: "CLOSED" });
    }
  });

  test("closing with an error fails the streams with its code", async (bench) => {
    const [near, far] = await bench.openPair();
    const waiting = expectCode(near.receive(), failure.code);
    const there = far.receive().catch((error: unknown) => error);
    bench.initiator.close(failure);
    await waiting;
    expect(await bench.initiator.closed).toMatchObject({ code: failure.code });
    expect(isFedError(await there)).toBe(true);
    await bench.responder.closed;
    await expectCode(() => bench.responder.open(new Uint8Array(0)), "CLOSED");
  });

  test("a session that is disposed of is closed", async (bench) => {
    {
      await using session = bench.responder;
      await session.ping();
    }
    expect(await bench.initiator.closed).toBeUndefined();
  });
}

/** Sends until the peer's credit is used up, and on. */
async function fill(stream: Stream): Promise<never> {
  for (let i = 0; ; i++) await stream.send(patternBytes(64 * 1024, i));
}
