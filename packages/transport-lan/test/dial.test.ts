import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { createServer as createTlsServer, type TLSSocket } from "node:tls";
import { type Connection, FedError, PeerError } from "@fed/core";
import { expectCode, patternBytes } from "@fed/core/testing";
import { createTcpLine, type TcpLine } from "@fed/core/testing-node";
import { describe, expect, it } from "vitest";
import { parseAddress } from "../src/address.js";
import { secureContextOptions } from "../src/credentials.js";
import { encodeFrameHeader } from "../src/framing.js";
import { encodeGreeting } from "../src/greeting.js";
import type { LanLimits } from "../src/limits.js";
import { encodeAccept } from "../src/verdict.js";
import { createTestCluster } from "./fixture/cluster.js";
import { watch } from "./fixture/raw-client.js";

/** A line to `address` on which every byte is under way for a while; TCP is up on both halves at once. */
function lineTo(address: string, latencyMs: number): Promise<TcpLine> {
  return createTcpLine({ ...parseAddress(address), conditions: { latencyMs } });
}

const greeting = new Uint8Array(32).fill(7);

describe("a hub with several addresses", () => {
  it("is reached at the one that answers while another is silent, and the silent one is let go", async () => {
    const cluster = await createTestCluster();
    const [a, b] = [await cluster.hub(), await cluster.hub()];
    const watched = await watch(b.transport);
    const letGo = Promise.withResolvers<void>();
    const silent = createServer((socket) => {
      socket.on("error", () => {}).once("close", letGo.resolve);
      socket.resume();
    }).listen(0, "127.0.0.1");
    await once(silent, "listening");
    const startedAtMs = performance.now();
    const address = `127.0.0.1:${(silent.address() as AddressInfo).port},${watched.address}`;
    const connection = await a.transport.dial(address, { expect: b.hubId });
    const tookMs = performance.now() - startedAtMs;
    console.info(`Connected beside a silent address after ${Math.round(tookMs)} ms.`);
    expect(tookMs).toBeGreaterThan(240);
    expect(tookMs).toBeLessThan(2_000);
    expect(connection.remoteAddress).toBe(watched.address);
    await letGo.promise;
    connection.close();
    silent.close();
    await watched.close();
  });

  it.each([
    ["that says nothing of itself", {}],
    ["that greets", { greeting }],
  ])("%s sees one connection, though two addresses led to it at the same time", async (_, says) => {
    const cluster = await createTestCluster();
    const [a, b] = [await cluster.hub(), await cluster.hub(says)];
    const watched = await watch(b.transport);
    // The second attempt begins before the first has finished.
    await using one = await lineTo(watched.address, 200);
    await using two = await lineTo(watched.address, 200);
    const connection = await a.transport.dial(`${one.address},${two.address}`);
    // The loser is gone without ever having been a connection.
    expect(await watched.nextRefusal()).toMatch(/^(TLS_FAILED|CONNECTION_LOST)$/);
    expect(watched.connections).toBe(1);
    connection.close();
    await watched.close();
  });

  it("that refuses says why, whatever else is silent or closed", async () => {
    const cluster = await createTestCluster();
    const [a, b, c] = [await cluster.hub(), await cluster.hub(), await cluster.hub()];
    const watched = await watch(b.transport);
    const dialled = a.transport.dial(`127.0.0.1:1,${watched.address}`, { expect: c.hubId });
    await expectCode(dialled, "UNEXPECTED_PEER");
    await expectCode(a.transport.dial("127.0.0.1:1,[::1]:1"), "UNREACHABLE");
    await expectCode(a.transport.dial("nobody.invalid:7443"), "UNREACHABLE");
    await expectCode(a.transport.dial(Array(9).fill("127.0.0.1:1").join()), "INVALID_ADDRESS");
    await watched.close();
  });
});

describe("round trips after TCP", () => {
  it.each([
    ["two until both sides have accepted, three until the first message is answered", undefined, 2, 3],
    ["one to a responder that greets, two until the first message is answered", greeting, 1, 2],
  ])("%s", async (_, says, toConnection, toAnswer) => {
    const cluster = await createTestCluster();
    const [a, b] = [await cluster.hub(), await cluster.hub(says && { greeting: says })];
    const listener = await b.transport.listen({
      connection: (it) => it.start({ message: (bytes) => void it.send(bytes), closed() {} }),
    });
    // Long enough that a machine with other work is not taken for one more.
    const roundTripMs = 600;
    await using line = await lineTo(listener.addresses[0]!, roundTripMs / 2);
    const startedAtMs = performance.now();
    const connection = await a.transport.dial(line.address);
    const dialled = (performance.now() - startedAtMs) / roundTripMs;
    const answered = new Promise<void>((resolve) => connection.start({ message: () => resolve(), closed() {} }));
    connection.send(new Uint8Array(256));
    await answered;
    const called = (performance.now() - startedAtMs) / roundTripMs;
    console.info(`Round trips after TCP: ${dialled.toFixed(2)} to a connection, ${called.toFixed(2)} to an answer.`);
    expect([Math.floor(dialled), Math.floor(called)]).toEqual([toConnection, toAnswer]);
    connection.close();
    await listener.close();
  });
});

describe("a responder that greets", () => {
  /** What became of a connection, once something has. */
  function fate(connection: Connection): Promise<{ readonly messages: Uint8Array[]; readonly error?: FedError }> {
    const messages: Uint8Array[] = [];
    return new Promise((resolve) =>
      connection.start({
        message(bytes) {
          messages.push(bytes);
          resolve({ messages });
        },
        closed: (error) => resolve({ messages, ...(error && { error }) }),
      }),
    );
  }

  it("is heard by members, who may then send as much as both take", async () => {
    const cluster = await createTestCluster();
    const [a, b] = [await cluster.hub(), await cluster.hub({ greeting, limits: { maxMessageBytes: 3_000 } })];
    const listener = await b.transport.listen({
      connection: (it) => it.start({ message: (bytes) => void it.send(bytes), closed() {} }),
    });
    const connection = await a.transport.dial(listener.addresses[0]!);
    expect(connection.greeting).toEqual(greeting);
    expect(connection.maxMessageBytes).toBe(3_000);
    connection.send(patternBytes(3_000, 1));
    expect((await fate(connection)).messages).toEqual([patternBytes(3_000, 1)]);
    connection.close();
    await listener.close();
  });

  it("and refuses takes nothing, and the connection ends with its reason; the next dial waits for its verdict", async () => {
    const cluster = await createTestCluster();
    const [a, b] = [await cluster.hub(), await cluster.hub({ greeting })];
    const watched = await watch(b.transport);
    b.authenticator.refuse(new FedError({ code: "REVOKED", message: "Out." }));
    const connection = await a.transport.dial(watched.address);
    connection.send(new Uint8Array(10));
    const { messages, error } = await fate(connection);
    expect(messages).toEqual([]);
    expect(error).toBeInstanceOf(PeerError);
    expect(error).toMatchObject({ code: "REVOKED" });
    expect(await watched.nextRefusal()).toBe("REVOKED");
    await expectCode(a.transport.dial(watched.address), "REVOKED");
    expect(watched.connections).toBe(0);
    b.authenticator.refuse(undefined);
    (await a.transport.dial(watched.address)).close();
    // It has accepted since: believed again, and heard to refuse only after the dial.
    b.authenticator.refuse(new FedError({ code: "REVOKED", message: "Out again." }));
    expect((await fate(await a.transport.dial(watched.address))).error).toMatchObject({ code: "REVOKED" });
    await watched.close();
  });

  it("and refuses gives way to another address that accepts with the next dial", async () => {
    const cluster = await createTestCluster();
    const [a, b, c] = [await cluster.hub(), await cluster.hub({ greeting }), await cluster.hub({ greeting })];
    const [refusing, accepting] = [await watch(b.transport), await watch(c.transport)];
    b.authenticator.refuse(new FedError({ code: "REVOKED", message: "Out." }));
    const address = `${refusing.address},${accepting.address}`;
    expect((await fate(await a.transport.dial(address))).error).toMatchObject({ code: "REVOKED" });
    const connection = await a.transport.dial(address);
    expect(connection.peer?.hubId).toBe(c.hubId);
    connection.close();
    await refusing.close();
    await accepting.close();
  });
});

describe("after a greeting by hand", () => {
  /** A responder that greets with `stapled` and then does as it is told. */
  async function startResponder(stapled: Uint8Array, act: (socket: TLSSocket) => void, limits?: Partial<LanLimits>) {
    const cluster = await createTestCluster();
    const hub = await cluster.hub(limits && { limits });
    const { key, cert, ca } = secureContextOptions(await cluster.enrol());
    const server = createTlsServer({ key, cert, ca, ALPNProtocols: ["fed/1"], requestCert: true }, (socket) => {
      socket.on("error", () => {}).resume();
      act(socket);
    });
    server.on("OCSPRequest", (_certificate, _issuer, reply) => reply(null, Buffer.from(stapled)));
    await once(server.listen(0, "127.0.0.1"), "listening");
    const address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    const again = () => hub.transport.dial(address);
    return {
      dialled: again(),
      again,
      /** The next dial prefers another address, whose hub accepts. */
      async givesWay() {
        const watched = await watch((await cluster.hub({ greeting })).transport);
        const connection = await hub.transport.dial(`${address},${watched.address}`);
        expect(connection.remoteAddress).toBe(watched.address);
        connection.close();
        await watched.close();
      },
      [Symbol.dispose]: () => void server.close(),
    };
  }

  const endOf = (connection: Connection) =>
    new Promise<FedError | undefined>((resolve) => connection.start({ message() {}, closed: resolve }));

  const stapled = encodeGreeting({ maxMessageBytes: 65_546, greeting });
  const framed = (body: Uint8Array) => Buffer.concat([encodeFrameHeader(body.length), body]);

  it.each([
    ["another limit than greeted with", framed(encodeAccept(65_545)), "HANDSHAKE_MALFORMED"],
    ["no verdict", framed(Uint8Array.of(9, 9)), "HANDSHAKE_MALFORMED"],
    ["more than a verdict", encodeFrameHeader(1_025), "FRAME_TOO_LARGE"],
  ])("%s ends the connection", async (_, bytes, code) => {
    using responder = await startResponder(stapled, (socket) => void socket.write(bytes));
    expect(await endOf(await responder.dialled)).toMatchObject({ code });
    await responder.givesWay();
  });

  it("nothing ends the connection, and the next dial waits as long", async () => {
    using responder = await startResponder(stapled, () => {}, { handshakeTimeoutMs: 1_000 });
    expect(await endOf(await responder.dialled)).toMatchObject({ code: "HANDSHAKE_TIMEOUT" });
    await expectCode(responder.again(), "HANDSHAKE_TIMEOUT");
  });

  it.each([
    ["an end", (socket: TLSSocket) => void socket.end()],
    ["a loss", (socket: TLSSocket) => void socket.destroy()],
  ])("%s without a verdict is CONNECTION_LOST", async (_, act) => {
    using responder = await startResponder(stapled, act);
    expect(await endOf(await responder.dialled)).toMatchObject({ code: "CONNECTION_LOST" });
    await responder.givesWay();
  });

  it("a close of this side's own before the verdict leaves the responder believed", async () => {
    using responder = await startResponder(stapled, () => {});
    (await responder.dialled).close();
    (await responder.again()).close();
  });

  it("a greeting that is none is refused", async () => {
    using responder = await startResponder(Uint8Array.of(1, 2, 3), () => {});
    await expectCode(responder.dialled, "HANDSHAKE_MALFORMED");
  });
});
