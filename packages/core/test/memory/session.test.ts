import { getEventListeners } from "node:events";
import {
  createMemoryNetwork,
  createMemorySessionPair,
  type MemorySessionPairOptions,
  openMemorySession,
} from "@fed/core/memory";
import { expectCode, readConnection, type SessionFixture, type SessionHandlers, testSession } from "@fed/core/testing";
import { describe, expect, it } from "vitest";
import { type Connection, CoreError } from "../../src/index.js";
import { identityOf } from "../identity.js";

async function setup(handlers: SessionHandlers, options?: MemorySessionPairOptions): Promise<SessionFixture> {
  const [a, b] = [identityOf("a"), identityOf("b")];
  const [initiator, responder] = await createMemorySessionPair(
    { identity: a, handler: handlers.initiator },
    { identity: b, handler: handlers.responder },
    options,
  );
  return { initiator, responder, initiatorIdentity: a, responderIdentity: b };
}

testSession("memory", setup);

testSession("memory with latency and small messages", (handlers) =>
  setup(handlers, { latencyMs: 0.1, maxMessageBytes: 512 * 1024 }),
);

describe("openMemorySession", () => {
  it("refuses a guest's connection", async () => {
    const network = createMemoryNetwork();
    const accepted = Promise.withResolvers<Connection>();
    const hub = network.transport({ identity: identityOf("b") });
    await hub.listen({ connection() {}, guest: accepted.resolve });
    const guest = await network.guestDial(hub.guestAddresses!(0)[0]!, { authenticateResponder() {} });
    await expectCode(openMemorySession(await accepted.promise, { handler: { stream() {} } }), "GUEST_REFUSED");
    expect((await readConnection(guest).closed)?.code).toBe("CLOSED");
  });

  it("fails when the connection ends before the peer has spoken", async () => {
    const { network, dialled } = await dial();
    const session = openMemorySession(dialled, { handler: { stream() {} } });
    network.drop("hub-a", "hub-b", new CoreError({ code: "UNREACHABLE", message: "Gone." }));
    await expectCode(session, "UNREACHABLE");
  });

  it("ends with what the connection ended with, and so do its streams and pings", async () => {
    const { network, dialled, accepted } = await dial();
    const [session] = await Promise.all([
      openMemorySession(dialled, { handler: { stream() {} }, epoch: new Uint8Array(16) }),
      openMemorySession(accepted, { handler: { stream() {} } }),
    ]);
    const stream = session.open(new Uint8Array(0));
    const failing = [expectCode(stream.receive(), "UNREACHABLE"), expectCode(session.ping(), "UNREACHABLE")];
    network.drop("hub-a", "hub-b", new CoreError({ code: "UNREACHABLE", message: "Gone." }));
    await Promise.all(failing);
    expect(await session.closed).toMatchObject({ code: "UNREACHABLE" });
  });

  it("lets go of a signal once the stream or the ping is over", async () => {
    const { dialled, accepted } = await dial();
    const [session] = await Promise.all([
      openMemorySession(dialled, { handler: { stream() {} } }),
      openMemorySession(accepted, { handler: { stream: (stream) => stream.end() } }),
    ]);
    const { signal } = new AbortController();
    const stream = session.open(new Uint8Array(0), { signal });
    expect(getEventListeners(signal, "abort").length).toBe(1);
    stream.end();
    await stream.closed;
    await session.ping({ signal });
    expect(getEventListeners(signal, "abort").length).toBe(0);
  });

  it("ends a session whose peer sends what is no frame", async () => {
    const frames = [
      "",
      "00000000000000",
      "0b0000000000",
      "01000000000000",
      "050000000001ff",
      "06000000000100",
      "0900000000007b7d",
    ];
    for (const hex of frames) {
      const { dialled, accepted } = await dial();
      const session = openMemorySession(dialled, { handler: { stream() {} } });
      readConnection(accepted);
      accepted.send(Uint8Array.from([1, 0, 0, 0, 0, 0, ...new Array<number>(16).fill(7)]));
      const { closed, peerEpoch, open } = await session.then((s) => ({
        closed: s.closed,
        peerEpoch: s.peerEpoch,
        open: () => s.open(new Uint8Array(0)),
      }));
      expect(peerEpoch).toBe("BwcHBwcHBwcHBwcHBwcHBw");
      open();
      accepted.send(Uint8Array.from(Buffer.from(hex === "" ? "01" : hex, "hex")));
      expect(["PROTOCOL_ERROR", "INVALID_JSON"]).toContain((await closed)?.code);
    }
  });
});

async function dial() {
  const network = createMemoryNetwork();
  const accepted = Promise.withResolvers<Connection>();
  await network.transport({ identity: identityOf("b") }).listen({ connection: accepted.resolve });
  const dialled = await network.transport({ identity: identityOf("a") }).dial("hub-b");
  return { network, dialled, accepted: await accepted.promise };
}
