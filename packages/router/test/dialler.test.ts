/** When the addresses of peers are dialled, through routers on in-memory networks. */
import { type Candidate, randomBytes, type Transport } from "@fed/core";
import { createSessions } from "@fed/session";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { limits } from "../src/index.js";
import { createFleet, type Fleet, identityOf, start, states, TestError } from "./fleet.js";

let fleet: Fleet;
beforeEach(() => {
  fleet = createFleet();
});
afterEach(() => fleet.close());

/** Nobody ever comes in. */
const listen: Transport["listen"] = async () => ({
  addresses: [],
  close: async () => {},
  [Symbol.asyncDispose]: async () => {},
});

/** A LAN where nobody answers; what searches it can be told by `sightings`. */
function nobodyAt(dialled: (address: string) => void, sightings: ((candidate: Candidate) => void)[]): Transport {
  return {
    name: "lan",
    preference: 10,
    async dial(address) {
      dialled(address);
      throw new TestError({ code: "UNREACHABLE", message: "Nobody." });
    },
    listen,
    discover(onCandidate) {
      sightings.push(onCandidate);
      return { close: async () => {}, [Symbol.asyncDispose]: async () => {} };
    },
  };
}

describe("addresses", () => {
  it("are tried again with growing pauses, and at once when the hub is seen", async () => {
    const dials: number[] = [];
    const a = fleet.hub("alpha");
    const b = fleet.hub("beta");
    const heal = fleet.lan.blockDials(b.identity.hubId);
    const transports = [fleet.lan.transport({ identity: a.identity, address: "counting", name: "lan" })];
    const dial = transports[0]!.dial;
    transports[0]!.dial = (address, options) => {
      dials.push(fleet.clock.monotonicMs());
      return dial(address, options);
    };
    const counting = fleet.hub("alpha", { transports });
    await counting.router.start();
    counting.router.setMembers([{ ...b.identity, addresses: [{ transport: "lan", address: b.identity.hubId }] }]);
    await fleet.clock.advance(120_000);
    // random() is 0.5: 250, 500, 1000, … 15 000, 15 000
    const pauses = dials.slice(1).map((at, i) => at - dials[i]!);
    expect(pauses.slice(0, 7)).toEqual([250, 500, 1000, 2000, 4000, 8000, 15_000]);
    expect(Math.max(...pauses)).toBe(15_000);
    expect(counting.router.paths("beta")[0]).toMatchObject({ state: "dead", best: false });
    expect(counting.router.paths("beta")[0]!.why).toContain("UNREACHABLE");
    await fleet.clock.advance(6000);
    heal();
    await b.router.start();
    await fleet.until(() => counting.events.includes("up beta"));
    await a.router.close();
  });

  it("that break soon are tried again later and later; a healthy half minute forgives", async () => {
    const [a, b] = [fleet.hub("alpha"), fleet.hub("beta")];
    await b.router.start();
    a.router.setMembers([{ ...b.identity, addresses: [{ transport: "lan", address: b.identity.hubId }] }]);
    const pauseAfter = async (livesMs: number) => {
      await fleet.until(() => a.router.session(b.identity.hubId) !== undefined, 5);
      await fleet.clock.advance(livesMs);
      fleet.lan.drop(a.identity.hubId, b.identity.hubId, new TestError({ code: "CLOSED", message: "" }));
      await fleet.until(() => a.router.session(b.identity.hubId) === undefined);
      const lostAtMs = fleet.clock.monotonicMs();
      await fleet.until(() => a.router.session(b.identity.hubId) !== undefined, 5);
      return fleet.clock.monotonicMs() - lostAtMs;
    };
    // random() is 0.5 of 500, 1000, 2000 and again 250
    const near = (expected: number, actual: number) => expect(Math.abs(actual - expected)).toBeLessThanOrEqual(10);
    near(250, await pauseAfter(1000));
    near(500, await pauseAfter(1000));
    near(1000, await pauseAfter(1000));
    near(125, await pauseAfter(30_000));
  });

  it("to an address where another hub answers are refused", async () => {
    const [a, b, c] = [fleet.hub("alpha"), fleet.hub("beta"), fleet.hub("gamma")];
    await c.router.start();
    a.router.setMembers([{ ...b.identity, addresses: [{ transport: "lan", address: c.identity.hubId }] }]);
    await fleet.until(() => a.router.paths("beta")[0]?.state === "dead");
    expect(a.router.paths("beta")[0]!.why).toContain("UNEXPECTED_PEER");
  });

  it("to two addresses of one hub become one session", async () => {
    const [a, b] = [fleet.hub("alpha"), fleet.hub("beta")];
    await b.router.start();
    let accepted = 0;
    const transport = fleet.lan.transport({ identity: a.identity, address: "alpha", name: "lan" });
    const { dial } = transport;
    transport.dial = (address, options) => {
      accepted++;
      return dial(address.replace(/^.*@/, ""), options);
    };
    let opened = 0;
    const sessions = createSessions({ epoch: randomBytes(16), clock: fleet.clock });
    const dialling = fleet.hub("alpha", {
      transports: [transport],
      sessions: {
        open(connection, handler) {
          opened++;
          return sessions.open(connection, handler);
        },
        refuse: sessions.refuse,
      },
    });
    const addresses = ["v4@", "v6@"].map((prefix) => ({ transport: "lan", address: prefix + b.identity.hubId }));
    dialling.router.setMembers([{ ...b.identity, addresses }]);
    await fleet.until(() => dialling.events.length > 0 && b.events.length > 0);
    await fleet.clock.advance(5000);
    expect([accepted, opened]).toEqual([2, 1]);
    expect([dialling.events, b.events]).toEqual([["up beta"], ["up alpha"]]);
    const [first] = dialling.router.paths("beta");
    expect(first).toMatchObject({ state: "confirmed", best: true, sinceMs: fleet.clock.nowMs() - 5000 });
  });

  it("that were seen again are dialled before their pause is over, but not more than once in 5 s", async () => {
    const dials: number[] = [];
    const sightings: ((candidate: Candidate) => void)[] = [];
    const b = fleet.hub("beta");
    const a = fleet.hub("alpha", {
      transports: [nobodyAt(() => void dials.push(fleet.clock.monotonicMs()), sightings)],
    });
    await a.router.start();
    const see = (present: boolean, address = "1.2.3.4") =>
      sightings[0]!({ transport: "lan", address, hubId: b.identity.hubId, source: "mdns", present });
    see(true);
    await fleet.clock.advance(100_000);
    const before = dials.length;
    const pause = fleet.clock.monotonicMs() - dials.at(-1)!;
    await fleet.clock.advance(Math.max(0, 5000 - pause));
    see(true);
    see(true);
    await fleet.clock.advance(0);
    see(true);
    await fleet.clock.advance(1000);
    expect(dials.length).toBe(before + 1);
    see(false);
    await fleet.clock.advance(60_000);
    expect(dials.length).toBe(before + 1);
    a.router.setMembers([{ ...b.identity, addresses: [] }]);
    expect(a.router.paths("beta")).toEqual([]);
  });

  it("that discovery invents are bounded, and make room for new ones once they have failed", async () => {
    const sightings: ((candidate: Candidate) => void)[] = [];
    const b = fleet.hub("beta");
    const tried = new Set<string>();
    const a = fleet.hub("alpha", {
      transports: [nobodyAt((address) => void tried.add(address), sightings)],
    });
    await a.router.start();
    const see = (address: string) => sightings[0]!({ transport: "lan", address, source: "mdns", present: true });
    for (let i = 0; i < 1000; i++) see(`false-${i}`);
    await fleet.clock.advance(0);
    expect(tried.size).toBe(limits.discovered);
    see("true");
    await fleet.clock.advance(0);
    expect(tried).toContain("true");
    a.router.setMembers([{ ...b.identity, addresses: [{ transport: "lan", address: "member" }] }]);
    await fleet.clock.advance(0);
    expect(tried).toContain("member");
  });

  it("that discovery invents and that never answer hold up neither members nor an honest newcomer", async () => {
    const sightings: ((candidate: Candidate) => void)[] = [];
    const dialled: string[] = [];
    const transport = (name: string): Transport => ({
      name,
      preference: 10,
      dial(address, { signal } = {}) {
        dialled.push(address);
        const { promise, reject } = Promise.withResolvers<never>();
        signal!.addEventListener("abort", () => reject(signal!.reason));
        return promise;
      },
      listen,
      discover(onCandidate) {
        sightings.push(onCandidate);
        return { close: async () => {}, [Symbol.asyncDispose]: async () => {} };
      },
    });
    const a = fleet.hub("alpha", { transports: [transport("lan"), transport("relay")] });
    await a.router.start();
    const see = (address: string) => sightings[0]!({ transport: "lan", address, source: "mdns", present: true });
    for (let i = 0; i < 250; i++) see(`black-hole-${i}`);
    await fleet.clock.advance(700_000);
    dialled.length = 0;
    const members = Array.from({ length: 4 }, (_, i) => fleet.hub(`m${i}`).identity);
    a.router.setMembers(
      members.map((member) => ({ ...member, addresses: [{ transport: "relay", address: member.hubId }] })),
    );
    await fleet.clock.advance(0);
    expect(dialled).toEqual(members.map(({ hubId }) => hubId));
    dialled.length = 0;
    see("newcomer");
    await fleet.clock.advance(limits.dialTimeoutMs + 1);
    expect(dialled).toContain("newcomer");
  });

  it("dial at most eight at once", async () => {
    let now = 0;
    let most = 0;
    const a = fleet.hub("alpha", {
      transports: [
        {
          name: "lan",
          preference: 10,
          dial: (_address, { signal } = {}) => {
            most = Math.max(most, ++now);
            const { promise, reject } = Promise.withResolvers<never>();
            signal!.addEventListener("abort", () => {
              now--;
              reject(signal!.reason);
            });
            return promise;
          },
          listen,
        },
      ],
    });
    const members = Array.from({ length: 30 }, (_, i) => fleet.hub(`m${i}`).identity);
    a.router.setMembers(
      members.map((member) => ({ ...member, addresses: [{ transport: "lan", address: member.hubId }] })),
    );
    await fleet.clock.advance(45_000);
    expect(most).toBe(8);
    expect(a.router.paths("m29")[0]!.why).toContain("HUB_UNREACHABLE");
  });

  it("that are swallowed on one transport hold up none on another", async () => {
    const b = fleet.hub("beta", { networks: ["relay"] });
    const self = identityOf("alpha");
    const silent: Transport = {
      name: "lan",
      preference: 10,
      dial: (_address, { signal } = {}) =>
        new Promise((_resolve, reject) => signal!.addEventListener("abort", () => reject(signal!.reason))),
      listen,
    };
    const relay = fleet.relay.transport({ identity: self, name: "relay", preference: 50 });
    const a = fleet.hub("alpha", { transports: [silent, relay] });
    await b.router.start();
    const away = Array.from({ length: 30 }, (_, i) => identityOf(`away${i}`));
    a.router.setMembers([
      ...away.map((member) => ({ ...member, addresses: [{ transport: "lan", address: member.hubId }] })),
      { ...b.identity, addresses: [{ transport: "relay", address: b.identity.hubId }] },
    ]);
    await fleet.until(() => a.events.includes("up beta"), 0);
    expect(fleet.clock.monotonicMs()).toBeLessThan(1000);
  });

  it("are tried again every few seconds while the hub is reached some other way", async () => {
    const [a, b] = [
      fleet.hub("alpha", { networks: ["lan", "relay"] }),
      fleet.hub("beta", { networks: ["lan", "relay"] }),
    ];
    await start(a, b);
    await fleet.until(() => states(a, b)[0] === "lan confirmed best");
    const heals = [a, b].map(({ identity }) => fleet.lan.blockDials(identity.hubId));
    fleet.lan.drop(a.identity.hubId, b.identity.hubId, new TestError({ code: "CABLE_CUT", message: "Cut." }));
    await fleet.until(() => states(a, b)[0] === "relay confirmed best");
    await fleet.clock.advance(300_000);
    for (const heal of heals) heal();
    const healedAtMs = fleet.clock.monotonicMs();
    await fleet.until(() => states(a, b)[0] === "lan confirmed best", 100);
    expect(fleet.clock.monotonicMs() - healedAtMs).toBeLessThan(3_000);
  });

  it("that end while they are still being made are tried again", async () => {
    const [a, b] = [fleet.hub("alpha"), fleet.hub("beta")];
    let opened = 0;
    const sessions = createSessions({ epoch: randomBytes(16), clock: fleet.clock });
    const dialling = fleet.hub("alpha", {
      sessions: {
        async open(connection, handler) {
          const session = await sessions.open(connection, handler);
          if (++opened < 3) session.close();
          return session;
        },
        refuse: sessions.refuse,
      },
    });
    await b.router.start();
    dialling.router.setMembers([{ ...b.identity, addresses: [{ transport: "lan", address: b.identity.hubId }] }]);
    await fleet.until(() => dialling.events.length > 0, 100);
    expect(opened).toBe(3);
    await a.router.close();
  });

  it("where a hub has never been are left for longer and longer, though it is reached some other way", async () => {
    const dials: number[] = [];
    const self = identityOf("alpha");
    const refusing: Transport = {
      name: "lan",
      preference: 10,
      async dial() {
        dials.push(fleet.clock.monotonicMs());
        throw new TestError({ code: "UNREACHABLE", message: "Refused." });
      },
      listen,
    };
    const b = fleet.hub("beta", { networks: ["relay"] });
    const relay = fleet.relay.transport({ identity: self, name: "relay", preference: 50 });
    const a = fleet.hub("alpha", { transports: [refusing, relay] });
    await start(a, b);
    const addresses = ["192.168.1.7:7443"].map((address) => ({ transport: "lan", address }));
    a.router.setMembers([{ ...b.identity, addresses }]);
    await fleet.until(() => states(a, b)[0] === "relay confirmed best");
    await fleet.clock.advance(120_000);
    // random() is 0.5: half of the 30 s.
    expect(dials.at(-1)! - dials.at(-2)!).toBe(15_000);
  });
});
