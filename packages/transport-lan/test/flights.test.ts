import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import type { Connection } from "@fed/core";
import { afterEach, describe, expect, it } from "vitest";
import { parseAddress } from "../src/address.js";
import { createTestCluster } from "./fixture/cluster.js";

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

/** A line between two ends on which every byte is `oneWayMs` under way, after TCP is up. */
async function delayed(address: string, oneWayMs: number): Promise<string> {
  const carry = (from: Socket, to: Socket) => {
    from.on("data", (bytes) => setTimeout(() => to.write(bytes), oneWayMs));
    from.on("close", () => setTimeout(() => to.destroy(), oneWayMs));
    from.on("error", () => {});
  };
  const server = createServer({ noDelay: true }, (near) => {
    const far = connect({ ...parseAddress(address), noDelay: true });
    carry(near, far);
    carry(far, near);
  });
  servers.push(server);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

describe("round trips after TCP", () => {
  it("two until both sides have accepted, three until the first message is answered", async () => {
    const cluster = await createTestCluster();
    const [a, b] = [await cluster.hub(), await cluster.hub()];
    const listener = await b.transport.listen({
      connection: (it) => it.start({ message: (bytes) => void it.send(bytes), closed() {} }),
    });
    const roundTripMs = 200;
    const address = await delayed(listener.addresses[0]!, roundTripMs / 2);
    const startedAtMs = performance.now();
    const connection: Connection = await a.transport.dial(address);
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
