/** The part of the transport suite about dialling and listening: who gets a connection, and what the others hear. */
import { expect } from "vitest";
import { CoreError, FedError } from "../errors.js";
import { readConnection } from "./connection-reader.js";
import { expectCode } from "./expect-code.js";
import { patternBytes } from "./pattern-bytes.js";
import type { Listening, TransportBench } from "./transport-fixture.js";
import type { TransportTest } from "./transport-suite.js";

const refusal = new FedError({ code: "REFUSED_BY_TEST", message: "Not today." });

/** Dialling, refusing, aborting, and closing a listener. */
export function describeDialling(test: TransportTest): void {
  test("dialling nobody is UNREACHABLE", async (bench) => {
    await bench.listen();
    await expectCode(bench.a.transport.dial(bench.unreachable), "UNREACHABLE");
  });

  test("the expected hub is let in, another is UNEXPECTED_PEER", async (bench) => {
    const listening = await bench.listen();
    const other = bench.a.identity.hubId;
    await expectCode(bench.a.transport.dial(listening.address, { expect: other }), "UNEXPECTED_PEER");
    const dialled = bench.a.transport.dial(listening.address, { expect: bench.b.identity.hubId });
    bench.track(await dialled);
    await listening.nextConnection();
    expect(listening.connections.length).toBe(1);
  });

  test("a responder that refuses is heard at both ends, and nobody gets a connection", async (bench) => {
    const listening = await bench.listen();
    bench.b.authenticator.refuse(refusal);
    await expectCode(bench.a.transport.dial(listening.address), refusal.code);
    expect((await listening.nextRefusal()).code).toBe(refusal.code);
    bench.b.authenticator.refuse(undefined);
    await expectOnlyConnection(bench, listening);
  });

  test("an initiator that refuses gets no connection, and neither does the responder", async (bench) => {
    const listening = await bench.listen();
    bench.a.authenticator.refuse(refusal);
    await expectCode(bench.a.transport.dial(listening.address), refusal.code);
    bench.a.authenticator.refuse(undefined);
    await expectOnlyConnection(bench, listening);
  });

  test("a dial that is cancelled before it began is ABORTED", async (bench) => {
    const listening = await bench.listen();
    await expectCode(bench.a.transport.dial(listening.address, { signal: AbortSignal.abort() }), "ABORTED");
    await expectOnlyConnection(bench, listening);
  });

  test("a dial that is cancelled on the way is ABORTED and leaves no connection", async (bench) => {
    const listening = await bench.listen();
    const controller = new AbortController();
    const dialled = bench.a.transport.dial(listening.address, { signal: controller.signal });
    controller.abort();
    await expectCode(dialled, "ABORTED");
    await expectOneLive(bench, listening);
  });

  test("a reason that is a FedError is what a cancelled dial ends in", async (bench) => {
    const listening = await bench.listen();
    const controller = new AbortController();
    const dialled = bench.a.transport.dial(listening.address, { signal: controller.signal });
    controller.abort(new CoreError({ code: "DEADLINE_EXCEEDED", message: "Too slow." }));
    await expectCode(dialled, "DEADLINE_EXCEEDED");
  });

  test("cancelling after the dial does nothing", async (bench) => {
    const listening = await bench.listen();
    const controller = new AbortController();
    const initiator = bench.track(await bench.a.transport.dial(listening.address, { signal: controller.signal }));
    const reader = readConnection(await listening.nextConnection());
    controller.abort();
    initiator.send(patternBytes(2, 2));
    expect(await reader.next()).toEqual(patternBytes(2, 2));
  });

  test("listening can be cancelled before it began", async (bench) => {
    const listened = bench.b.transport.listen({ connection() {} }, { signal: AbortSignal.abort() });
    await expectCode(listened, "ABORTED");
  });

  test("a closed listener takes nobody new; its connections live on", async (bench) => {
    const listening = await bench.listen();
    const [initiator, responder] = await bench.connect(listening);
    const reader = readConnection(responder);
    readConnection(initiator);
    await listening.listener.close();
    await listening.listener.close();
    await expectCode(bench.a.transport.dial(listening.address), "UNREACHABLE");
    initiator.send(patternBytes(6, 6));
    expect(await reader.next()).toEqual(patternBytes(6, 6));
    expect(listening.connections.length).toBe(1);
  });
}

/** A good dial is the first and only one that the listener hands out: nothing came of what was tried before. */
async function expectOnlyConnection(bench: TransportBench, listening: Listening): Promise<void> {
  const [initiator, responder] = await bench.connect(listening);
  const reader = readConnection(responder);
  initiator.send(patternBytes(11, 1));
  expect(await reader.next()).toEqual(patternBytes(11, 1));
  expect(listening.connections).toEqual([responder]);
}

/** After a good dial, whatever else was handed out is over. */
async function expectOneLive(bench: TransportBench, listening: Listening): Promise<void> {
  const initiator = bench.track(await bench.a.transport.dial(listening.address));
  initiator.send(patternBytes(11, 1));
  initiator.close();
  let served = 0;
  do {
    const reader = readConnection(await listening.nextConnection());
    await reader.closed;
    served += reader.messages.length;
  } while (served === 0);
  expect(served).toBe(1);
}
