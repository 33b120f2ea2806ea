/** Calls that do not wait until the hub they are for is connected: they go out with the first flight of its session. */
import { type Candidate, type Connection, randomBytes, type Transport } from "@fed/core";
import { createMemoryNetwork, type MemoryNetwork, type MemoryTransportOptions } from "@fed/core/memory";
import { encodeGreeting } from "@fed/session";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createFleet, type Fleet, type Hub, identityOf, TestError } from "./fleet.js";

const oneWayMs = 10;
const roundTripMs = 2 * oneWayMs;
let fleet: Fleet;
let network: MemoryNetwork;

beforeEach(() => {
  fleet = createFleet();
  network = createMemoryNetwork({ clock: fleet.clock, latencyMs: oneWayMs });
});

afterEach(() => fleet.close());

interface Options extends Partial<MemoryTransportOptions> {
  readonly ran?: string[];
  /** Sees every connection that the hub dials. */
  readonly dialled?: (connection: Connection) => void;
}

/** A hub where everything takes 10 ms one way, whose app `note` notes its params and returns them. */
async function start(name: string, { ran = [], dialled, ...options }: Options = {}): Promise<Hub> {
  const identity = identityOf(name);
  const epoch = randomBytes(16);
  const given = { identity, name: "lan", preference: 10, greeting: encodeGreeting(epoch), ...options };
  const { discover: _none, dial, ...rest } = network.transport(given);
  const transport: Transport = {
    ...rest,
    async dial(address, dialOptions) {
      const connection = await dial(address, dialOptions);
      dialled?.(connection);
      return connection;
    },
  };
  const hub = fleet.hub(name, { epoch, transports: [transport] });
  hub.shared.add("note");
  hub.apps.set("note", ({ params }) => {
    ran.push(String(params));
    return params;
  });
  await hub.router.start();
  return hub;
}

function meet(hub: Hub, other: Hub): void {
  const addresses = [{ transport: "lan", address: other.identity.hubId }];
  hub.router.setMembers([{ ...other.identity, addresses }]);
}

interface Call {
  outcome: string | undefined;
  /** When it was over, since it was made. */
  tookMs: number | undefined;
}

function call(from: Hub, hub: string, params = "call"): Call {
  const made: Call = { outcome: undefined, tookMs: undefined };
  const madeAtMs = fleet.clock.monotonicMs();
  const over = (outcome: string) => {
    made.outcome = outcome;
    made.tookMs = fleet.clock.monotonicMs() - madeAtMs;
  };
  from.router
    .call({ hub, app: "note", method: "x", params }, { caller: from.caller, deadlineMs: 300_000 })
    .then(over as () => void, (error) => over(error.code));
  return made;
}

describe("a call during the dial", () => {
  it("is answered two round trips after it began, and until then the hub counts for nothing else", async () => {
    const [a, b] = [await start("alpha"), await start("beta")];
    meet(a, b);
    const made = call(a, "beta");
    await fleet.clock.advance(2 * roundTripMs - oneWayMs);
    expect(b.records.map(({ type }) => type)).toContain("call.decision");
    expect([a.events, a.router.peers().filter(({ path }) => path), a.router.session(b.identity.hubId)]).toEqual([
      [],
      [],
      undefined,
    ]);
    expect(a.router.pathHistory("beta")).toEqual([]);
    expect(a.router.paths("beta").map(({ state }) => state)).toEqual(["probing"]);
    await fleet.clock.advance(oneWayMs);
    expect(made).toEqual({ outcome: "call", tookMs: 2 * roundTripMs });
    await fleet.until(() => a.events.length > 0 && b.events.length > 0, oneWayMs);
    expect([a.events, b.events]).toEqual([["up beta"], ["up alpha"]]);
    const later = call(a, "beta");
    await fleet.clock.advance(roundTripMs);
    expect(later).toEqual({ outcome: "call", tookMs: roundTripMs });
  });

  it("goes out as well when it comes while the first flight is under way", async () => {
    const [a, b] = [await start("alpha"), await start("beta")];
    meet(a, b);
    await fleet.clock.advance(roundTripMs + oneWayMs);
    const made = call(a, "beta");
    await fleet.clock.advance(roundTripMs);
    expect(made).toEqual({ outcome: "call", tookMs: roundTripMs });
  });

  it("goes both ways when both dial at once", async () => {
    const ran: string[] = [];
    const [a, b] = [await start("alpha", { ran }), await start("beta", { ran })];
    meet(a, b);
    meet(b, a);
    const calls = [call(a, "beta", "from alpha"), call(b, "alpha", "from beta")];
    await fleet.clock.advance(2 * roundTripMs);
    expect(calls.map(({ outcome, tookMs }) => [outcome, tookMs])).toEqual([
      ["from alpha", 2 * roundTripMs],
      ["from beta", 2 * roundTripMs],
    ]);
    await fleet.clock.advance(10_000);
    expect(ran.sort()).toEqual(["from alpha", "from beta"]);
    expect(a.router.session(b.identity.hubId)!.paths.length).toBe(1);
    expect([a.events, b.events]).toEqual([["up beta"], ["up alpha"]]);
  });

  it("that nobody waits for sends RESUME alone", async () => {
    const sent: number[] = [];
    const dialled = (connection: Connection) => {
      const { send } = connection;
      connection.send = (message) => {
        sent.push(message.length);
        return send.call(connection, message);
      };
    };
    const [a, b] = [await start("alpha", { dialled }), await start("beta")];
    meet(a, b);
    await fleet.clock.advance(2 * roundTripMs - 1);
    expect(sent).toEqual([70]);
  });
});

describe("a call that waits for a dial", () => {
  /** What a dial does instead of reaching anybody. */
  type Dial = (signal: AbortSignal) => Promise<never>;
  const silent: Dial = (signal) =>
    new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));

  /** Alpha, on a LAN where every dial is `dial`; `sight` tells it of an address. */
  async function alone(dial: Dial): Promise<{ a: Hub; sight: (candidate: Candidate) => void }> {
    const sights: ((candidate: Candidate) => void)[] = [];
    const { dial: _dial, ...rest } = network.transport({ identity: identityOf("alpha"), name: "lan", preference: 10 });
    const transport: Transport = {
      ...rest,
      dial: (_address, options) => dial(options!.signal!),
      discover(onCandidate) {
        sights.push(onCandidate);
        return { close: async () => {}, [Symbol.asyncDispose]: async () => {} };
      },
    };
    const a = fleet.hub("alpha", { transports: [transport] });
    await a.router.start();
    return { a, sight: (candidate) => sights[0]!(candidate) };
  }

  const beta = identityOf("beta");
  const given = [{ ...beta, addresses: [{ transport: "lan", address: beta.hubId }] }];

  it("fails when the dial fails", async () => {
    const { a } = await alone(async () => {
      await new Promise<void>((resolve) => fleet.clock.setTimer(1, resolve));
      throw new TestError({ code: "UNREACHABLE", message: "Nobody." });
    });
    a.router.setMembers(given);
    const made = call(a, "beta");
    await fleet.clock.advance(1);
    expect(made).toEqual({ outcome: "HUB_UNREACHABLE", tookMs: 1 });
  });

  it("waits no longer than 5 s", async () => {
    const { a } = await alone(silent);
    a.router.setMembers(given);
    const made = call(a, "beta");
    await fleet.clock.advance(4_999);
    expect(made.outcome).toBeUndefined();
    await fleet.clock.advance(1);
    expect(made.outcome).toBe("HUB_UNREACHABLE");
  });

  it("fails at once when the hub is cut off meanwhile, and so does the next one", async () => {
    const { a } = await alone(silent);
    a.router.setMembers(given);
    const made = call(a, "beta");
    await fleet.clock.advance(1);
    a.router.cut(beta.hubId, new TestError({ code: "REVOKED", message: "Out." }));
    await fleet.clock.advance(0);
    expect(made).toEqual({ outcome: "REVOKED", tookMs: 1 });
    const next = call(a, "beta");
    await fleet.clock.advance(0);
    expect(next).toEqual({ outcome: "REVOKED", tookMs: 0 });
  });

  it("fails when the hub says that it counts another process of this one", async () => {
    const authenticator = {
      authenticate() {
        throw new TestError({ code: "HUB_DUPLICATE", message: "Another." });
      },
    };
    const [a, b] = [await start("alpha"), await start("beta", { authenticator })];
    meet(a, b);
    const made = call(a, "beta");
    await fleet.clock.advance(2 * roundTripMs);
    expect(made).toEqual({ outcome: "HUB_DUPLICATE", tookMs: 3 * oneWayMs });
  });

  it("does not wait for an address that nobody but a stranger gives", async () => {
    const { a, sight } = await alone(silent);
    a.router.setMembers([{ ...beta, addresses: [] }]);
    sight({ transport: "lan", address: "blackhole", hubId: beta.hubId, source: "mdns", present: true });
    await fleet.clock.advance(0);
    expect(a.router.paths("beta").map(({ state }) => state)).toEqual(["probing"]);
    const made = call(a, "beta");
    await fleet.clock.advance(0);
    expect(made).toEqual({ outcome: "HUB_UNREACHABLE", tookMs: 0 });
  });
});

describe("a session that began early", () => {
  it("takes no calls on the path that it began on, still unproven, once it has had one that worked and lost it", async () => {
    const relay = createMemoryNetwork({ clock: fleet.clock, latencyMs: oneWayMs });
    const hubs = ["alpha", "beta"].map((name) => {
      const identity = identityOf(name);
      const epoch = randomBytes(16);
      const greeting = encodeGreeting(epoch);
      return fleet.hub(name, {
        epoch,
        transports: [
          network.transport({ identity, name: "lan", preference: 10, greeting }),
          relay.transport({ identity, name: "relay", preference: 50 }),
        ],
      });
    });
    const [a, b] = hubs as [Hub, Hub];
    await Promise.all(hubs.map(({ router }) => router.start()));
    const address = b.identity.hubId;
    const lan = { transport: "lan", address };
    a.router.setMembers([{ ...b.identity, addresses: [lan] }]);
    await fleet.clock.advance(roundTripMs);
    network.cut(a.identity.hubId, address);
    a.router.setMembers([{ ...b.identity, addresses: [lan, { transport: "relay", address }] }]);
    await fleet.until(() => a.events.length > 0, oneWayMs);
    await fleet.clock.advance(1_000);
    relay.drop(a.identity.hubId, address, new TestError({ code: "CLOSED", message: "The relay is gone." }));
    for (const { identity } of hubs) relay.blockDials(identity.hubId);
    await fleet.until(() => a.events.length > 1);
    expect(a.events).toEqual(["up beta", "down beta"]);
    const made = call(a, "beta");
    await fleet.clock.advance(5_000);
    expect(made).toEqual({ outcome: "HUB_UNREACHABLE", tookMs: 5_000 });
  });
});

describe("a hub that refuses whoever calls it", () => {
  it("has taken nothing, and the caller hears that", async () => {
    const ran: string[] = [];
    const authenticator = {
      authenticate() {
        throw new TestError({ code: "REVOKED", message: "Out." });
      },
    };
    const [a, b] = [await start("alpha"), await start("beta", { ran, authenticator })];
    meet(a, b);
    const made = call(a, "beta");
    await fleet.clock.advance(20_000);
    expect([made.outcome, ran, a.events]).toEqual(["HUB_UNREACHABLE", [], []]);
    expect(a.router.paths("beta")[0]!.why).toContain("REVOKED");
  });

  it.each([
    ["REVOKED", "REVOKED"],
    // As that is worded, it would be alpha that has to leave.
    ["HUB_DUPLICATE", "ROUTER_CLOSED"],
  ])("for itself, above what connects them, because of %s, says so as well: %s", async (code, told) => {
    const ran: string[] = [];
    const [a, b] = [await start("alpha"), await start("beta", { ran })];
    b.router.cut(a.identity.hubId, new TestError({ code, message: "Out." }));
    meet(a, b);
    const made = call(a, "beta");
    await fleet.clock.advance(20_000);
    expect([made.outcome, ran, a.events]).toEqual(["HUB_UNREACHABLE", [], []]);
    expect(a.router.paths("beta")[0]!.why).toContain(told);
    meet(b, a);
    await fleet.clock.advance(60_000);
    expect(a.events).toEqual(["up beta"]);
  });

  it("that is cut off meanwhile ends the call, of which nobody knows", async () => {
    const [a, b] = [await start("alpha"), await start("beta")];
    meet(a, b);
    const made = call(a, "beta");
    await fleet.clock.advance(roundTripMs);
    a.router.cut(b.identity.hubId, new TestError({ code: "REVOKED", message: "Out." }));
    await fleet.clock.advance(10_000);
    expect([made.outcome, a.events]).toEqual(["OUTCOME_UNKNOWN", []]);
  });
});

describe("at every step of the way", () => {
  const lost = new TestError({ code: "CLOSED", message: "The cable is gone." });
  const steps = Array.from({ length: 12 }, (_, i) => i * (oneWayMs / 2));

  /** A first call from alpha to beta, whose connection breaks after `atMs`. */
  async function brokenAfter(atMs: number) {
    const ran: string[] = [];
    const [a, b] = [await start("alpha"), await start("beta", { ran })];
    meet(a, b);
    const made = call(a, "beta");
    await fleet.clock.advance(atMs);
    network.drop(a.identity.hubId, b.identity.hubId, lost);
    return { b, made, ran };
  }

  it("a connection that breaks costs no call anything: it runs once, and its answer comes", async () => {
    for (const atMs of steps) {
      const { made, ran } = await brokenAfter(atMs);
      await fleet.clock.advance(30_000);
      expect([made.outcome, ran], `broken after ${atMs} ms`).toEqual(["call", ["call"]]);
      await fleet.close();
    }
  });

  it("a hub that is killed and starts anew runs no call twice, and none that is said not to have been sent", async () => {
    const outcomes = new Set<string>();
    for (const atMs of steps) {
      const { b, made, ran } = await brokenAfter(atMs);
      await b.router.close();
      await start("beta", { ran });
      await fleet.clock.advance(100_000);
      const most = { call: [1, 1], OUTCOME_UNKNOWN: [0, 1], HUB_UNREACHABLE: [0, 0] }[made.outcome ?? ""];
      expect(most, `killed after ${atMs} ms: ${made.outcome}`).toBeDefined();
      expect(ran.length).toBeGreaterThanOrEqual(most![0]!);
      expect(ran.length).toBeLessThanOrEqual(most![1]!);
      outcomes.add(made.outcome!);
      await fleet.close();
    }
    expect([...outcomes].sort()).toContain("OUTCOME_UNKNOWN");
    expect([...outcomes].sort()).toContain("call");
  });
});
