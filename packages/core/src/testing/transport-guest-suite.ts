/** The part of the transport suite about guests: hubs without a leaf that come to join. */
import { expect } from "vitest";
import { FedError, isFedError } from "../errors.js";
import { readConnection } from "./connection-reader.js";
import { expectCode } from "./expect-code.js";
import { patternBytes } from "./pattern-bytes.js";
import type { TransportTest } from "./transport-suite.js";

const tenMinutesMs = 600_000;

/** The way in for guests; a transport without one offers no address for it. */
export function describeGuests(test: TransportTest): void {
  test("a guest and a hub that takes guests can talk, and neither counts as a peer", async (bench) => {
    const listening = await bench.listen({ guests: true });
    const [address] = bench.b.transport.guestAddresses?.(Date.now() + tenMinutesMs) ?? [];
    if (!bench.guestDial) return expect(address).toBeUndefined();
    expect(address?.startsWith(`${bench.b.transport.name}:`)).toBe(true);
    const chains: (readonly Uint8Array[])[] = [];
    const dialled = bench.guestDial(address!, { authenticateResponder: (chain) => void chains.push(chain) });
    const guest = bench.track(await dialled);
    const host = await listening.nextGuest();
    expect(chains.length).toBe(1);
    expect(chains[0]!.length).toBeGreaterThan(0);
    for (const certificate of chains[0]!) expect(certificate).toBeInstanceOf(Uint8Array);
    expect(guest).toMatchObject({ role: "initiator", peer: undefined });
    expect(host).toMatchObject({ role: "responder", peer: undefined });
    const [near, far] = [readConnection(guest), readConnection(host)];
    guest.send(patternBytes(500, 1));
    expect(await far.next()).toEqual(patternBytes(500, 1));
    host.send(patternBytes(600, 2));
    expect(await near.next()).toEqual(patternBytes(600, 2));
    host.close();
    expect(await near.closed).toBeUndefined();
    expect(listening.connections.length).toBe(0);
  });

  test("without a door for guests there is none", async (bench) => {
    const listening = await bench.listen({ guests: true });
    const [address] = bench.b.transport.guestAddresses?.(Date.now() + tenMinutesMs) ?? [];
    if (!bench.guestDial) return expect(address).toBeUndefined();
    await listening.listener.close();
    const closed = await bench.listen();
    const [current] = bench.b.transport.guestAddresses?.(Date.now() + tenMinutesMs) ?? [];
    const outcome = bench.guestDial(current ?? address!, { authenticateResponder() {} });
    expect(isFedError(await outcome.catch((error: unknown) => error))).toBe(true);
    expect([closed.connections.length, closed.guests.length]).toEqual([0, 0]);
  });

  test("a guest who does not trust the responder sends nothing", async (bench) => {
    const listening = await bench.listen({ guests: true });
    const [address] = bench.b.transport.guestAddresses?.(Date.now() + tenMinutesMs) ?? [];
    if (!bench.guestDial) return expect(address).toBeUndefined();
    const refusal = new FedError({ code: "PIN_MISMATCH", message: "That is not the hub that I was told of." });
    const authenticateResponder = () => {
      throw refusal;
    };
    await expectCode(bench.guestDial(address!, { authenticateResponder }), refusal.code);
    const guest = bench.track(await bench.guestDial(address!, { authenticateResponder() {} }));
    guest.send(patternBytes(5, 5));
    guest.close();
    let served = 0;
    while (served === 0) {
      const reader = readConnection(await listening.nextGuest());
      await reader.closed;
      served += reader.messages.length;
    }
    expect(served).toBe(1);
  });

  test("a guest's dial can be cancelled", async (bench) => {
    await bench.listen({ guests: true });
    const [address] = bench.b.transport.guestAddresses?.(Date.now() + tenMinutesMs) ?? [];
    if (!bench.guestDial) return expect(address).toBeUndefined();
    const options = { signal: AbortSignal.abort(), authenticateResponder() {} };
    await expectCode(bench.guestDial(address!, options), "ABORTED");
  });
}
