/** The conformance suite of the transport contract (src/transport.ts): every implementation passes it unchanged. */
import { describe, expect, it } from "vitest";
import { equalBytes } from "../bytes.js";
import { CoreError, FedError } from "../errors.js";
import type { Connection } from "../transport.js";
import { readConnection } from "./connection-reader.js";
import { expectCode } from "./expect-code.js";
import { patternBytes } from "./pattern-bytes.js";
import { describeDialling } from "./transport-dial-suite.js";
import { type TransportBench, type TransportFixture, withBench } from "./transport-fixture.js";
import { describeGuests } from "./transport-guest-suite.js";

/** Runs the suite over what `setup` makes; it is called once for each test. */
export function testTransport(name: string, setup: () => Promise<TransportFixture>): void {
  const test = (title: string, run: (bench: TransportBench) => Promise<void>) => it(title, () => withBench(setup, run));
  describe(`${name}: transport contract`, () => {
    describeConnections(test);
    describeMessages(test);
    describeBackpressure(test);
    describeClosing(test);
    describeDialling(test);
    describeGuests(test);
  });
}

/** Declares one test that gets a fresh bench. */
export type TransportTest = (title: string, run: (bench: TransportBench) => Promise<void>) => void;

function describeConnections(test: TransportTest): void {
  test("both ends know each other", async (bench) => {
    const [initiator, responder] = await bench.connect();
    expect(initiator.role).toBe("initiator");
    expect(responder.role).toBe("responder");
    expect(initiator.peer).toEqual(bench.b.identity);
    expect(responder.peer).toEqual(bench.a.identity);
    expect(initiator.transport).toBe(bench.a.transport.name);
    expect(responder.transport).toBe(bench.b.transport.name);
    expect(initiator.id).not.toBe(responder.id);
    expect(initiator.maxMessageBytes).toBeGreaterThanOrEqual(64 * 1024);
    expect(responder.maxMessageBytes).toBeGreaterThanOrEqual(64 * 1024);
  });

  test("connections between the same hubs are independent", async (bench) => {
    const listening = await bench.listen();
    const [first, firstThere] = await bench.connect(listening);
    const [second, secondThere] = await bench.connect(listening);
    expect(first.id).not.toBe(second.id);
    expect(firstThere.id).not.toBe(secondThere.id);
    const readers = [first, firstThere, second, secondThere].map(readConnection);
    first.close();
    await readers[0]!.closed;
    await readers[1]!.closed;
    second.send(patternBytes(10, 1));
    expect(await readers[3]!.next()).toEqual(patternBytes(10, 1));
    expect(readers[2]!.closedCount()).toBe(0);
  });

  test("both hubs may dial at the same time", async (bench) => {
    const there = await bench.listen();
    const here = await bench.listen({ side: bench.a });
    const dialled = await Promise.all([
      bench.a.transport.dial(there.address),
      bench.b.transport.dial(here.address),
      there.nextConnection(),
      here.nextConnection(),
    ]);
    const [fromA, fromB, atB, atA] = dialled.map((connection) => {
      bench.track(connection);
      return { connection, reader: readConnection(connection) };
    });
    fromA!.connection.send(patternBytes(7, 1));
    fromB!.connection.send(patternBytes(8, 2));
    expect(await atB!.reader.next()).toEqual(patternBytes(7, 1));
    expect(await atA!.reader.next()).toEqual(patternBytes(8, 2));
  });
}

function describeMessages(test: TransportTest): void {
  test("messages keep their order and boundaries, both ways", async (bench) => {
    const ends = await bench.connect();
    const readers = ends.map(readConnection);
    const sizes = [1, 2, 3, 255, 256, 1, 16_383, 16_384, 16_385, 65_535, 65_536, 1];
    for (const [index, end] of ends.entries()) {
      for (const [number, size] of sizes.entries()) end.send(patternBytes(size, index + number));
    }
    for (const [index, reader] of readers.entries()) {
      for (const [number, size] of sizes.entries()) {
        expect(await reader.next()).toEqual(patternBytes(size, 1 - index + number));
      }
    }
  });

  test("a thousand messages sent in one turn arrive in order", async (bench) => {
    const [initiator, responder] = await bench.connect();
    const reader = readConnection(responder);
    readConnection(initiator);
    for (let i = 0; i < 1000; i++) initiator.send(patternBytes(1 + (i % 40), i));
    for (let i = 0; i < 1000; i++) expect(await reader.next()).toEqual(patternBytes(1 + (i % 40), i));
  });

  test("the largest message passes; a larger or an empty one is refused and harms nothing", async (bench) => {
    const [initiator, responder] = await bench.connect();
    const reader = readConnection(responder);
    readConnection(initiator);
    const limit = initiator.maxMessageBytes;
    await expectCode(() => initiator.send(new Uint8Array(limit + 1)), "MESSAGE_TOO_LARGE");
    await expectCode(() => initiator.send(new Uint8Array(0)), "MESSAGE_TOO_LARGE");
    initiator.send(patternBytes(limit, 3));
    initiator.send(patternBytes(1, 4));
    expect(equalBytes(await reader.next(), patternBytes(limit, 3))).toBe(true);
    expect(await reader.next()).toEqual(patternBytes(1, 4));
  });

  test("what arrives before start is held", async (bench) => {
    const [initiator, responder] = await bench.connect();
    const echo = readConnection(initiator);
    for (let i = 0; i < 20; i++) initiator.send(patternBytes(100, i));
    responder.send(patternBytes(5, 0));
    await echo.next();
    const reader = readConnection(responder);
    for (let i = 0; i < 20; i++) expect(await reader.next()).toEqual(patternBytes(100, i));
  });

  test("a connection starts once", async (bench) => {
    const [initiator] = await bench.connect();
    readConnection(initiator);
    expect(() => readConnection(initiator)).toThrow(FedError);
  });

  test("received buffers belong to the receiver", async (bench) => {
    const [initiator, responder] = await bench.connect();
    const reader = readConnection(responder);
    readConnection(initiator);
    const sent = Array.from({ length: 60 }, (_, i) => patternBytes(1000 + i, i));
    for (const message of sent) initiator.send(message);
    for (let i = 0; i < sent.length; i++) {
      const message = await reader.next();
      expect(message).toEqual(patternBytes(1000 + i, i));
      if (i % 2 === 0) message.fill(0xff);
    }
    // What the receiver wrote reached neither the sender's buffers nor the neighbours.
    for (let i = 0; i < sent.length; i++) {
      expect(sent[i]).toEqual(patternBytes(1000 + i, i));
      if (i % 2 === 1) expect(reader.messages[i]).toEqual(patternBytes(1000 + i, i));
    }
  });

  test("a handler that throws closes the connection", async (bench) => {
    const [initiator, responder] = await bench.connect();
    const reader = readConnection(initiator);
    const closed = Promise.withResolvers<FedError | undefined>();
    let messages = 0;
    responder.start({
      message() {
        messages++;
        throw new CoreError({ code: "INVALID_JSON", message: "Not what I expected." });
      },
      closed: closed.resolve,
    });
    initiator.send(patternBytes(1, 1));
    initiator.send(patternBytes(1, 2));
    expect(await closed.promise).toMatchObject({ code: "INVALID_JSON" });
    await reader.closed;
    expect(messages).toBe(1);
  });
}

function describeBackpressure(test: TransportTest): void {
  test("a sender is told to wait, and told when to go on", async (bench) => {
    const [initiator, responder] = await bench.connect();
    readConnection(initiator);
    await initiator.drained();
    const sent = fillUp(initiator);
    let drained = false;
    const wait = initiator.drained().then(() => {
      drained = true;
    });
    const reader = readConnection(responder);
    for (let i = 0; i < sent; i++) expect(equalBytes(await reader.next(), patternBytes(64 * 1024, i))).toBe(true);
    await wait;
    expect(drained).toBe(true);
    expect(initiator.send(patternBytes(1, 0))).toBe(true);
    expect(await reader.next()).toEqual(patternBytes(1, 0));
  });

  test("a paused connection delivers nothing until it is resumed", async (bench) => {
    const [initiator, responder] = await bench.connect();
    const reader = readConnection(responder);
    const back = readConnection(initiator);
    initiator.send(patternBytes(3, 1));
    await reader.next();
    responder.pause();
    initiator.send(patternBytes(3, 2));
    responder.send(patternBytes(3, 3));
    await back.next();
    const seen = reader.messages.length;
    responder.resume();
    expect(await reader.next()).toEqual(patternBytes(3, 2));
    // Pausing is an optional power of the medium, but nobody may lose or double a message over it.
    expect(seen).toBeLessThanOrEqual(2);
    expect(reader.messages.length).toBe(2);
  });

  test("drained ends in CLOSED when the connection does", async (bench) => {
    const [initiator] = await bench.connect();
    const reader = readConnection(initiator);
    fillUp(initiator);
    const wait = expectCode(initiator.drained(), "CLOSED");
    initiator.close(new CoreError({ code: "DEADLINE_EXCEEDED", message: "Enough." }));
    await wait;
    await reader.closed;
    await expectCode(initiator.drained(), "CLOSED");
  });
}

function describeClosing(test: TransportTest): void {
  test("a clean close delivers what was sent, and is told once to both", async (bench) => {
    const [initiator, responder] = await bench.connect();
    const near = readConnection(initiator);
    const far = readConnection(responder);
    for (let i = 0; i < 10; i++) initiator.send(patternBytes(20_000, i));
    initiator.close();
    initiator.close();
    initiator.close(new CoreError({ code: "INTERNAL", message: "Too late to matter." }));
    await expectCode(() => initiator.send(patternBytes(1, 1)), "CLOSED");
    await expectCode(initiator.drained(), "CLOSED");
    expect(await near.closed).toBeUndefined();
    expect(await far.closed).toBeUndefined();
    expect(far.messages.map((message) => message.length)).toEqual(new Array(10).fill(20_000));
    responder.close();
    await expectCode(() => responder.send(patternBytes(1, 1)), "CLOSED");
    expect([near.closedCount(), far.closedCount()]).toEqual([1, 1]);
  });

  test("closing with an error ends both sides", async (bench) => {
    const [initiator, responder] = await bench.connect();
    const near = readConnection(initiator);
    const far = readConnection(responder);
    initiator.close(new CoreError({ code: "PROTOCOL_ERROR", message: "That was no frame." }));
    await expectCode(() => initiator.send(patternBytes(1, 1)), "CLOSED");
    expect(await near.closed).toMatchObject({ code: "PROTOCOL_ERROR" });
    await far.closed;
    await expectCode(() => responder.send(patternBytes(1, 1)), "CLOSED");
    expect([near.closedCount(), far.closedCount()]).toEqual([1, 1]);
  });

  test("both sides may close at once", async (bench) => {
    const [initiator, responder] = await bench.connect();
    const near = readConnection(initiator);
    const far = readConnection(responder);
    initiator.close();
    responder.close();
    await Promise.all([near.closed, far.closed]);
    expect([near.closedCount(), far.closedCount()]).toEqual([1, 1]);
  });

  test("a connection that is disposed of is closed", async (bench) => {
    const [initiator, responder] = await bench.connect();
    const far = readConnection(responder);
    {
      await using held = initiator;
      held.send(patternBytes(4, 4));
    }
    expect(await far.closed).toBeUndefined();
    expect(far.messages).toEqual([patternBytes(4, 4)]);
  });

  test("a close that came before start is still told, after what came before it", async (bench) => {
    const [initiator, responder] = await bench.connect();
    initiator.send(patternBytes(9, 9));
    initiator.close();
    await readConnection(initiator).closed;
    const far = readConnection(responder);
    expect(await far.next()).toEqual(patternBytes(9, 9));
    expect(await far.closed).toBeUndefined();
    expect(far.closedCount()).toBe(1);
  });
}

/** Sends 64 KiB messages until `send` says to wait; how many it took. */
function fillUp(connection: Connection): number {
  for (let i = 0; i < 1024; i++) if (!connection.send(patternBytes(64 * 1024, i))) return i + 1;
  return expect.fail("send() never returned false: 64 MiB were queued.");
}
