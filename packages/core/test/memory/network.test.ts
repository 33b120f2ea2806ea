import { createMemoryNetwork, type MemoryNetworkOptions, memoryAuthenticator } from "@fed/core/memory";
import {
  createTestClock,
  expectCode,
  readConnection,
  refusableAuthenticator,
  type TransportFixture,
  type TransportSide,
  testTransport,
} from "@fed/core/testing";
import { describe, expect, it } from "vitest";
import type { Candidate, Connection } from "../../src/index.js";
import { CoreError, encodeUtf8, PeerError } from "../../src/index.js";
import { identityOf } from "../identity.js";

async function setup(options: MemoryNetworkOptions = {}): Promise<TransportFixture> {
  const network = createMemoryNetwork(options);
  function side(name: string): TransportSide {
    const identity = identityOf(name);
    const authenticator = refusableAuthenticator(memoryAuthenticator);
    return { identity, authenticator, transport: network.transport({ identity, authenticator }) };
  }
  return {
    a: side("a"),
    b: side("b"),
    unreachable: "nobody",
    guestDial: network.guestDial,
    async close() {},
  };
}

testTransport("memory", () => setup());
testTransport("memory with latency", () => setup({ latencyMs: 1 }));

const lost = new CoreError({ code: "UNREACHABLE", message: "The cable is out." });
const bytes = encodeUtf8("message");

/** Hubs a and b, b listening, and a connection between them. */
async function connected(options: MemoryNetworkOptions = {}) {
  const network = createMemoryNetwork(options);
  const [a, b] = [identityOf("a"), identityOf("b")];
  const here = network.transport({ identity: a });
  const accepted = Promise.withResolvers<Connection>();
  await network.transport({ identity: b }).listen({ connection: accepted.resolve });
  const initiator = await here.dial(b.hubId);
  return { network, a: a.hubId, b: b.hubId, here, initiator, responder: await accepted.promise };
}

describe("faults", () => {
  it("a cut holds what is sent, tells nobody, and delivers in order once healed", async () => {
    const { network, a, b, here, initiator, responder } = await connected();
    const near = readConnection(initiator);
    const far = readConnection(responder);
    const heal = network.cut(b, a);
    initiator.send(encodeUtf8("1"));
    initiator.send(encodeUtf8("2"));
    responder.close();
    await expectCode(here.dial(b), "UNREACHABLE");
    expect([far.messages.length, near.closedCount()]).toEqual([0, 0]);
    heal();
    heal();
    expect(await near.closed).toBeUndefined();
    expect((await here.dial(b)).peer?.hubId).toBe(b);
  });

  it("what a cut held arrives", async () => {
    const { network, a, b, initiator, responder } = await connected();
    const far = readConnection(responder);
    const heal = network.cut(a, b);
    for (const text of ["1", "2", "3"]) initiator.send(encodeUtf8(text));
    await Promise.resolve();
    heal();
    for (const text of ["1", "2", "3"]) expect(await far.next()).toEqual(encodeUtf8(text));
  });

  it("a dropped connection ends at both ends with the error", async () => {
    const { network, a, b, initiator, responder } = await connected();
    const [near, far] = [readConnection(initiator), readConnection(responder)];
    initiator.send(bytes);
    expect(network.drop(b, a, lost)).toBe(1);
    expect(await near.closed).toBe(lost);
    expect(await far.closed).toBe(lost);
    expect(far.messages.length).toBe(0);
    await expectCode(() => initiator.send(bytes), "CLOSED");
    expect(network.drop(a, b, lost)).toBe(0);
  });

  it("blocked dials fail with the given error; running connections stay", async () => {
    const { network, b, here, initiator, responder } = await connected();
    const far = readConnection(responder);
    const heal = network.blockDials(b, new CoreError({ code: "DEADLINE_EXCEEDED", message: "No answer." }));
    await expectCode(here.dial(b), "DEADLINE_EXCEEDED");
    initiator.send(bytes);
    expect(await far.next()).toEqual(bytes);
    heal();
    (await here.dial(b)).close();
    network.blockDials(b);
    await expectCode(here.dial(b), "UNREACHABLE");
  });
});

describe("time", () => {
  it("latency delays each way by the clock alone", async () => {
    const clock = createTestClock();
    const dialling = connected({ clock, latencyMs: 40 });
    await clock.advance(39);
    await clock.advance(41);
    const { initiator, responder } = await dialling;
    expect(clock.monotonicMs()).toBe(80);
    const far = readConnection(responder);
    initiator.send(bytes);
    await clock.advance(10);
    initiator.send(encodeUtf8("later"));
    await clock.advance(29);
    expect(far.messages.length).toBe(0);
    await clock.advance(1);
    expect(far.messages.length).toBe(1);
    initiator.close();
    await clock.advance(39);
    expect([far.messages.length, far.closedCount()]).toEqual([2, 0]);
    await clock.advance(1);
    expect(far.closedCount()).toBe(1);
  });

  it("a dial on its way is cancelled at once, on either half of it", async () => {
    for (const elapsedMs of [0, 500, 1500]) {
      const clock = createTestClock();
      const network = createMemoryNetwork({ clock, latencyMs: 1000 });
      let connections = 0;
      await network.transport({ identity: identityOf("b") }).listen({ connection: () => connections++ });
      const controller = new AbortController();
      const dialled = network.transport({ identity: identityOf("a") }).dial("hub-b", { signal: controller.signal });
      await clock.advance(elapsedMs);
      controller.abort();
      await expectCode(dialled, "ABORTED");
      await clock.advance(5000);
      expect(connections).toBe(0);
    }
  });

  it("a listener that is replaced on the way is not the one that was judged", async () => {
    const clock = createTestClock();
    const network = createMemoryNetwork({ clock, latencyMs: 10 });
    const first = await network.transport({ identity: identityOf("b"), address: "x" }).listen({ connection() {} });
    const dialled = expectCode(network.transport({ identity: identityOf("a") }).dial("x"), "UNREACHABLE");
    await clock.advance(10);
    await first.close();
    await network.transport({ identity: identityOf("c"), address: "x" }).listen({ connection() {} });
    await clock.advance(10);
    await dialled;
  });
});

describe("contract", () => {
  it("a sender that changes its buffer afterwards is found out, and the receiver's is its own", async () => {
    const { initiator, responder } = await connected();
    const far = readConnection(responder);
    const message = encodeUtf8("original");
    initiator.send(message);
    message.fill(0);
    const received = await far.next();
    expect(received).toEqual(new Uint8Array(8));
    message.fill(1);
    expect(received).toEqual(new Uint8Array(8));
  });

  it("a paused connection delivers nothing and pushes back", async () => {
    const { initiator, responder } = await connected();
    const far = readConnection(responder);
    responder.pause();
    let sent = 1;
    while (initiator.send(new Uint8Array(1024))) sent++;
    expect(sent).toBe(257);
    await new Promise((resolve) => setTimeout(resolve, 0));
    expect(far.messages.length).toBe(0);
    responder.resume();
    await initiator.drained();
    responder.close();
    await far.closed;
  });

  it("a sender that never waits is cut off", async () => {
    const { initiator, responder } = await connected({ maxMessageBytes: 16 * 1024 * 1024 });
    const near = readConnection(initiator);
    const chunk = new Uint8Array(16 * 1024 * 1024);
    for (let i = 0; i < 5; i++) initiator.send(chunk);
    expect(await near.closed).toMatchObject({ code: "SEND_QUEUE_FULL" });
    expect(await readConnection(responder).closed).toMatchObject({ code: "CLOSED" });
  });

  it("one address has one listener", async () => {
    const transport = createMemoryNetwork().transport({ identity: identityOf("a"), address: "here" });
    const listener = await transport.listen({ connection() {} });
    expect(listener.addresses).toEqual(["here"]);
    await expectCode(transport.listen({ connection() {} }), "ADDRESS_IN_USE");
    await listener.close();
    await (await transport.listen({ connection() {} })).close();
  });

  it("a listener that throws costs that connection only", async () => {
    const network = createMemoryNetwork();
    await network.transport({ identity: identityOf("b") }).listen({
      connection() {
        throw new CoreError({ code: "TOO_LARGE", message: "Too many." });
      },
    });
    const connection = await network.transport({ identity: identityOf("a") }).dial("hub-b");
    expect(await readConnection(connection).closed).toMatchObject({ code: "CLOSED" });
  });

  it("a leaf that is no stand-in is refused", async () => {
    const network = createMemoryNetwork();
    await network.transport({ identity: identityOf("b") }).listen({ connection() {} });
    for (const leaf of ["[]", "null", '{"hubId":"x"}', "\u0000"]) {
      const dialler = network.transport({ identity: identityOf("a"), leaf: encodeUtf8(leaf) });
      await expectCode(dialler.dial("hub-b"), "INVALID_JSON");
    }
  });
});

it("a hub that greets is heard by whoever dials it, who learns of its refusal afterwards", async () => {
  const network = createMemoryNetwork({ latencyMs: 1 });
  const authenticator = refusableAuthenticator(memoryAuthenticator);
  const greeting = Uint8Array.of(1, 2, 3);
  const connections: Connection[] = [];
  const refusals: string[] = [];
  await network.transport({ identity: identityOf("b"), authenticator, greeting }).listen({
    connection: (connection) => void connections.push(connection),
    refused: (_address, { code }) => void refusals.push(code),
  });
  const { dial } = network.transport({ identity: identityOf("a") });
  const accepted = await dial(identityOf("b").hubId);
  expect([accepted.greeting, connections[0]!.greeting]).toEqual([greeting, undefined]);
  authenticator.refuse(new CoreError({ code: "ABORTED", message: "Not today." }));
  const refused = await dial(identityOf("b").hubId);
  refused.send(bytes);
  const error = await readConnection(refused).closed;
  expect(error).toBeInstanceOf(PeerError);
  expect(error).toMatchObject({ code: "ABORTED" });
  expect([connections.length, refusals]).toEqual([1, ["ABORTED"]]);
});

it("discovery tells who listens, now and later, but never oneself", async () => {
  const network = createMemoryNetwork();
  const seen: Candidate[] = [];
  const own = network.transport({ identity: identityOf("a"), name: "lan" });
  await own.listen({ connection() {} });
  await network.transport({ identity: identityOf("b") }).listen({ connection() {} });
  const discovery = own.discover!((candidate) => seen.push(candidate));
  const third = await network
    .transport({ identity: identityOf("c"), address: "elsewhere" })
    .listen({ connection() {} });
  await third.close();
  await Promise.resolve();
  const common = { transport: "lan", source: "presence" };
  expect(seen).toEqual([
    { ...common, address: "hub-b", hubId: "hub-b", present: true },
    { ...common, address: "elsewhere", present: true },
    { ...common, address: "elsewhere", present: false },
  ]);
  await discovery.close();
  await network.transport({ identity: identityOf("d") }).listen({ connection() {} });
  await Promise.resolve();
  expect(seen.length).toBe(3);
});
