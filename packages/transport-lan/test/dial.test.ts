import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { expectCode } from "@fed/core/testing";
import { createTcpLine, type TcpLine } from "@fed/core/testing-node";
import { describe, expect, it } from "vitest";
import { parseAddress } from "../src/address.js";
import { createTestCluster } from "./fixture/cluster.js";
import { watch } from "./fixture/raw-client.js";

/** A line to `address` on which every byte is under way for a while; TCP is up on both halves at once. */
function lineTo(address: string, latencyMs: number): Promise<TcpLine> {
  return createTcpLine({ ...parseAddress(address), conditions: { latencyMs } });
}

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

  it("sees one connection, though two addresses led to it at the same time", async () => {
    const cluster = await createTestCluster();
    const [a, b] = [await cluster.hub(), await cluster.hub()];
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
  it("two until both sides have accepted, three until the first message is answered", async () => {
    const cluster = await createTestCluster();
    const [a, b] = [await cluster.hub(), await cluster.hub()];
    const listener = await b.transport.listen({
      connection: (it) => it.start({ message: (bytes) => void it.send(bytes), closed() {} }),
    });
    const roundTripMs = 200;
    await using line = await lineTo(listener.addresses[0]!, roundTripMs / 2);
    const startedAtMs = performance.now();
    const connection = await a.transport.dial(line.address);
    const dialled = (performance.now() - startedAtMs) / roundTripMs;
    const answered = new Promise<void>((resolve) => connection.start({ message: () => resolve(), closed() {} }));
    connection.send(new Uint8Array(256));
    await answered;
    const called = (performance.now() - startedAtMs) / roundTripMs;
    console.info(`Round trips after TCP: ${dialled.toFixed(2)} to a connection, ${called.toFixed(2)} to an answer.`);
    expect(Math.floor(dialled)).toBe(2);
    expect(Math.floor(called)).toBe(3);
    connection.close();
    await listener.close();
  });
});
