import { type Connection, FedError, randomBytes, type Session, type Stream } from "@fed/core";
import { createMemoryNetwork } from "@fed/core/memory";
import { expectCode } from "@fed/core/testing";
import { createSession, createSessions } from "@fed/session";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { createFleet, type Fleet, type Hub, identityOf, settled, start, states, TestError } from "./fleet.js";

let fleet: Fleet;
beforeEach(() => {
  fleet = createFleet();
});
afterEach(() => fleet.close());

const both = { networks: ["lan", "relay"] } as const;

/** Two hubs with LAN and relay, and a call from the first that lasts until it is cancelled. */
async function duringCall(): Promise<{ readonly a: Hub; readonly b: Hub; readonly cancel: () => Promise<void> }> {
  const [a, b] = [fleet.hub("alpha", both), fleet.hub("beta", both)];
  await start(a, b);
  await settled(fleet, a, b);
  b.apps.set("slow", () => new Promise(() => {}));
  b.shared.add("slow");
  const controller = new AbortController();
  const target = { hub: "beta", app: "slow", method: "x" };
  const call = expectCode(a.router.call(target, { caller: a.caller, signal: controller.signal }), "ABORTED");
  const cancel = async () => {
    controller.abort();
    await call;
  };
  return { a, b, cancel };
}

describe("paths", () => {
  it("prefer the LAN, keep the relay standing by, and say why", async () => {
    const [a, b] = [fleet.hub("alpha", both), fleet.hub("beta", both)];
    await start(a, b);
    await settled(fleet, a, b);
    const [lan, relay] = a.router.paths("beta");
    expect(lan!.why).toMatch(
      /^(16 KiB came back in .* ms|the other side has sent 16 KiB there and back); calls take it \(preference 10/,
    );
    expect(relay!.why).toContain("standing by: lan is preferred (10 before 50)");
    expect(a.router.peers()).toMatchObject([{ name: "beta", path: "lan", member: true, cut: undefined }]);
  });

  it("simultaneous dials leave the session whose initiator has the smaller id, on both sides", async () => {
    const [a, b] = [fleet.hub("alpha"), fleet.hub("beta")];
    await start(a, b);
    await fleet.until(() => a.events.length > 0 && b.events.length > 0);
    await fleet.clock.advance(2000);
    expect(a.router.session(b.identity.hubId)!.paths.map(({ role }) => role)).toEqual(["initiator"]);
    expect(b.router.session(a.identity.hubId)!.paths.map(({ role }) => role)).toEqual(["responder"]);
    expect(fleet.lan.drop(a.identity.hubId, b.identity.hubId, new TestError({ code: "CLOSED", message: "" }))).toBe(1);
    expect([a.events, b.events]).toEqual([["up beta"], ["up alpha"]]);
  });

  it("fail over: the LAN goes silent, calls that are read-only answer over the relay within 3 s", async () => {
    const [a, b] = [fleet.hub("alpha", both), fleet.hub("beta", both)];
    await start(a, b);
    await settled(fleet, a, b);
    b.apps.set("echo", () => "ok");
    b.shared.add("echo");
    const heal = fleet.lan.cut(a.identity.hubId, b.identity.hubId);
    const cutAtMs = fleet.clock.monotonicMs();
    let answeredAtMs = 0;
    const target = { hub: "beta", app: "echo", method: "x", readOnly: true };
    const call = a.router.call(target, { caller: a.caller }).then((result) => {
      answeredAtMs = fleet.clock.monotonicMs();
      return result;
    });
    let second = "";
    await fleet.until(() => a.router.paths("beta")[0]!.transport === "relay", 100);
    expect(fleet.clock.monotonicMs() - cutAtMs).toBeLessThanOrEqual(3000);
    a.router.call({ ...target, readOnly: false }, { caller: a.caller }).then((result) => {
      second = String(result);
    });
    await fleet.until(() => second === "ok");
    await fleet.until(() => answeredAtMs > 0, 100);
    expect(answeredAtMs - cutAtMs).toBeLessThanOrEqual(3000);
    expect(await call).toBe("ok");
    heal();
    const healedAtMs = fleet.clock.monotonicMs();
    await settled(fleet, a, b);
    expect(fleet.clock.monotonicMs() - healedAtMs).toBeLessThanOrEqual(15_000);
    expect(a.events).toEqual(["up beta"]);
  });

  it("do not take turns where both are in doubt: the one that was taken last is kept", async () => {
    const { a, b, cancel } = await duringCall();
    const cut = () => fleet.lan.cut(a.identity.hubId, b.identity.hubId);
    const heals = [cut()];
    await fleet.until(() => states(a, b)[0] === "relay confirmed best", 50);
    heals.push(fleet.relay.cut(a.identity.hubId, b.identity.hubId));
    await fleet.until(() => String(states(a, b)) === "relay suspect best,lan suspect", 50);
    for (const heal of heals) heal();
    await settled(fleet, a, b);
    const chosen = a.router.pathHistory("beta").filter(({ event }) => event === "chosen");
    expect(chosen.map(({ transport }) => transport)).toEqual(["lan", "relay", "lan"]);
    await cancel();
  });

  it.each([0, 400, 1000])("fail over within 2 s of silence that begins %i ms after a call did", async (afterMs) => {
    const { a, b, cancel } = await duringCall();
    await fleet.clock.advance(afterMs);
    const heal = fleet.lan.cut(a.identity.hubId, b.identity.hubId);
    const cutAtMs = fleet.clock.monotonicMs();
    await fleet.until(() => states(a, b)[0] === "relay confirmed best", 50);
    // At most a second until the next ping, and half a one for its answer.
    expect(fleet.clock.monotonicMs() - cutAtMs).toBeLessThanOrEqual(1_600);
    heal();
    await cancel();
  });

  it("are pinged once more after a call that the other side alone has brought to another path", async () => {
    const networks = [10, 50].map((preference) => {
      const network = createMemoryNetwork({ clock: fleet.clock, latencyMs: 10 });
      const name = preference === 10 ? "lan" : "relay";
      return { network, of: (hub: string) => network.transport({ identity: identityOf(hub), name, preference }) };
    });
    const [a, b] = ["alpha", "beta"].map((name) =>
      fleet.hub(name, { transports: networks.map(({ of }) => of(name)) }),
    ) as [Hub, Hub];
    await start(a, b);
    await settled(fleet, a, b);
    await fleet.clock.advance(5_000);
    b.apps.set("echo", () => "ok");
    b.shared.add("echo");
    const answers: unknown[] = [];
    const call = () =>
      void a.router
        .call({ hub: "beta", app: "echo", method: "x" }, { caller: a.caller })
        .then((answer) => answers.push(answer));
    call();
    // The answer to alpha's ping is here, and that to beta's, which began with the call there, is not.
    await fleet.clock.advance(25);
    networks[0]!.network.cut(a.identity.hubId, b.identity.hubId);
    call();
    await fleet.clock.advance(700);
    expect(answers).toEqual(["ok", "ok"]);
    expect([states(a, b)[0], states(b, a)[0]]).toEqual(["lan confirmed best", "relay confirmed best"]);
    await fleet.clock.advance(1_000);
    expect(states(a, b)[0]).toBe("relay confirmed best");
  });

  it("are pinged once a second while calls come and go, and not at all while there are none", async () => {
    const [a, b] = [fleet.hub("alpha"), fleet.hub("beta")];
    await start(a, b);
    await fleet.until(() => a.events.length > 0 && b.events.length > 0);
    await fleet.clock.advance(2000);
    b.apps.set("echo", () => "ok");
    b.shared.add("echo");
    const ping = vi.spyOn(a.router.session(b.identity.hubId)!.paths[0]!, "ping");
    for (let n = 0; n < 100; n++) {
      expect(await a.router.call({ hub: "beta", app: "echo", method: "x" }, { caller: a.caller })).toBe("ok");
      if (n === 0) expect(ping).toHaveBeenCalledTimes(1);
      await fleet.clock.advance(100);
    }
    const pings = ping.mock.calls.length;
    expect(pings).toBeGreaterThanOrEqual(9);
    expect(pings).toBeLessThanOrEqual(11);
    await fleet.clock.advance(10_000);
    expect(ping.mock.calls.length).toBeLessThanOrEqual(pings + 1);
  });

  it("wait for an answer for four round trips, half a second at least and a second and a half at most", async () => {
    for (const [latencyMs, mostMs] of [
      [100, 800],
      [1000, 1500],
    ] as const) {
      const slow = createMemoryNetwork({ clock: fleet.clock, latencyMs });
      const [a, b] = ["alpha", "beta"].map((name) =>
        fleet.hub(name, { transports: [slow.transport({ identity: identityOf(name), name: "lan" })] }),
      ) as [Hub, Hub];
      await start(a, b);
      await fleet.until(() => states(a, b)[0] === "lan confirmed best", 100);
      await fleet.clock.advance(5000);
      b.apps.set("slow", () => new Promise(() => {}));
      b.shared.add("slow");
      slow.cut(a.identity.hubId, b.identity.hubId);
      a.router.call({ hub: "beta", app: "slow", method: "x" }, { caller: a.caller }).catch(() => {});
      const calledAtMs = fleet.clock.monotonicMs();
      await fleet.until(() => states(a, b)[0] === "lan suspect best", 10);
      expect(Math.abs(fleet.clock.monotonicMs() - calledAtMs - mostMs)).toBeLessThanOrEqual(10);
      await a.router.close();
    }
  });

  it("of a silent link without another path are left to the session, and recover", async () => {
    const [a, b] = [fleet.hub("alpha"), fleet.hub("beta")];
    await start(a, b);
    await fleet.until(() => a.events.length > 0 && b.events.length > 0);
    await fleet.clock.advance(2000);
    b.apps.set("echo", () => "late");
    b.shared.add("echo");
    const heal = fleet.lan.cut(a.identity.hubId, b.identity.hubId);
    const call = a.router.call({ hub: "beta", app: "echo", method: "x" }, { caller: a.caller });
    await fleet.until(() => states(a, b)[0] === "lan suspect best", 500);
    await fleet.clock.advance(10_000);
    heal();
    expect(await call).toBe("late");
    await fleet.until(() => states(a, b)[0] === "lan confirmed best", 500);
  });

  it("do not lead to oneself", async () => {
    const a = fleet.hub("alpha");
    await a.router.start();
    let dialled = 0;
    const transport = fleet.lan.transport({ identity: a.identity, address: "mirror", name: "lan" });
    const self = fleet.hub("alpha", {
      transports: [
        {
          ...transport,
          dial(...args) {
            dialled++;
            return transport.dial(...args);
          },
        },
      ],
    });
    await self.router.start();
    await fleet.clock.advance(60_000);
    expect(dialled).toBeLessThanOrEqual(1);
    expect(self.router.peers()).toEqual([]);
  });

  it("end with membership", async () => {
    const [a, b, c] = [fleet.hub("alpha"), fleet.hub("beta"), fleet.hub("gamma")];
    await start(a, b, c);
    await fleet.until(() => a.events.length === 2);
    a.router.setMembers([{ ...c.identity, addresses: [] }]);
    expect(a.router.session(b.identity.hubId)).toBeUndefined();
    expect(a.router.session(c.identity.hubId)).toBeDefined();
    expect(a.events).toContain("down beta");
  });

  it("are refused to a peer that is not authorized", async () => {
    const refuse = () => {
      throw new TestError({ code: "NOT_WELCOME", message: "Not welcome." });
    };
    const [a, b] = [fleet.hub("alpha", { authorizePeer: refuse }), fleet.hub("beta")];
    await start(a, b);
    await fleet.clock.advance(10_000);
    expect(a.events).toEqual([]);
    expect(b.events).toEqual([]);
    expect(a.router.paths("beta")[0]!.why).toContain("NOT_WELCOME");
  });
});

describe("a session that goes away for a flood", () => {
  it("is replaced by a new one, which calls wait for", async () => {
    const a = fleet.hub("alpha");
    const epoch = randomBytes(16);
    const sessions = createSessions({ epoch, clock: fleet.clock, limits: { abuseBurst: 3, abusePerSecond: 1 } });
    const b = fleet.hub("beta", { epoch, sessions });
    await start(a, b);
    await fleet.until(() => a.events.length > 0 && b.events.length > 0);
    b.apps.set("echo", () => "ok");
    b.apps.set("slow", () => new Promise(() => {}));
    for (const app of b.apps.keys()) b.shared.add(app);
    const session = a.router.session(b.identity.hubId)!;
    const lasting = expectCode(
      a.router.call({ hub: "beta", app: "slow", method: "x" }, { caller: a.caller }),
      "OUTCOME_UNKNOWN",
    );
    await fleet.until(() => b.records.length === 1);
    for (let n = 0; n < 4; n++) session.open(new Uint8Array(1)).reset(new TestError({ code: "NO", message: "No." }));
    await fleet.until(() => isGoingAway(session));
    const call = a.router.call({ hub: "beta", app: "echo", method: "x" }, { caller: a.caller });
    await fleet.until(() => a.router.session(b.identity.hubId) !== session, 100);
    await fleet.clock.advance(1000);
    expect(await call).toBe("ok");
    await lasting;
  });
});

function isGoingAway(session: Session): boolean {
  try {
    session.open(new Uint8Array(1)).end();
    return false;
  } catch (error) {
    return (error as FedError).code === "GOING_AWAY";
  }
}

describe("another connection of the same hub", () => {
  const handler = { stream: (stream: Stream) => stream.end() };
  const open = (connection: Connection, epoch: Uint8Array) =>
    createSession(connection, { handler, epoch, clock: fleet.clock });

  it("under a new epoch means that it restarted: the session before is over at once", async () => {
    const a = fleet.hub("alpha");
    await a.router.start();
    const accepted = Promise.withResolvers<Session>();
    const beta = fleet.lan.transport({ identity: identityOf("beta"), name: "lan" });
    await beta.listen({ connection: (connection) => accepted.resolve(open(connection, randomBytes(16))) });
    await fleet.until(() => a.events.includes("up beta"));
    const old = await accepted.promise;
    await open(await beta.dial(a.identity.hubId), randomBytes(16));
    expect(await old.closed).toMatchObject({ code: "HUB_DUPLICATE" });
    await fleet.until(() => a.router.session(identityOf("beta").hubId)?.paths[0]?.role === "responder");
    expect(a.events).toEqual(["up beta", "down beta", "up beta"]);
  });

  it("takes over when the one that ought to stay is silent", async () => {
    const a = fleet.hub("alpha");
    await a.router.start();
    let silent = false;
    const { open } = createSessions({ epoch: randomBytes(16), clock: fleet.clock });
    const beta = fleet.lan.transport({ identity: identityOf("beta"), name: "lan" });
    await beta.listen({
      connection(connection) {
        const { send } = connection;
        connection.send = (message) => silent || send.call(connection, message);
        void open(connection, handler);
      },
    });
    await fleet.until(() => a.events.includes("up beta"));
    silent = true;
    await open(await beta.dial(a.identity.hubId), handler);
    const roles = () => a.router.session(identityOf("beta").hubId)?.paths.map(({ role }) => role);
    await fleet.until(() => String(roles()) === "responder", 500);
    expect(a.router.paths(identityOf("beta").hubId)).toMatchObject([{ state: "confirmed", best: true }]);
  });
});

describe("a copy of a hub, with its id and keys", () => {
  it("drives the one before out: it hears so from each peer, says so, and dials that peer no more", async () => {
    const [a, b] = [fleet.hub("alpha"), fleet.hub("beta")];
    await start(a, b);
    await fleet.until(() => a.events.length > 0 && b.events.length > 0);
    const copy = fleet.hub("alpha", {
      transports: [fleet.lan.transport({ identity: a.identity, address: "elsewhere", name: "lan" })],
    });
    copy.router.setMembers([{ ...b.identity, addresses: [{ transport: "lan", address: b.identity.hubId }] }]);
    await fleet.until(() => copy.events.includes("up beta") && a.events.includes("down beta"));
    await fleet.clock.advance(120_000);
    expect(a.events).toEqual(["up beta", "down beta"]);
    expect(copy.events).toEqual(["up beta"]);
    expect(a.router.paths("beta")[0]!.why).toContain("HUB_DUPLICATE");
    a.router.setMembers([{ ...b.identity, addresses: [{ transport: "lan", address: b.identity.hubId }] }]);
    await fleet.clock.advance(60_000);
    await expectCode(a.router.call({ hub: "beta", app: "echo", method: "x" }, { caller: a.caller }), "HUB_DUPLICATE");
    expect(copy.events).toEqual(["up beta"]);
  });
});

describe("listening", () => {
  it("on one transport fails without hurting the other, and is tried again", async () => {
    const [a, b] = [fleet.hub("alpha", both), fleet.hub("beta", both)];
    const squatter = await fleet.lan.transport({ identity: a.identity }).listen({ connection() {} });
    await start(a, b);
    expect(a.router.listening()).toMatchObject([
      { transport: "lan", addresses: [], error: { code: "ADDRESS_IN_USE" } },
      { transport: "relay", addresses: [a.identity.hubId], error: undefined },
    ]);
    await squatter.close();
    await fleet.until(() => a.router.listening()[0]!.error === undefined, 100);
    await settled(fleet, a, b);
  });
});

describe("streams of other kinds", () => {
  it("go to the protocol registered for them, and to nobody else", async () => {
    const seen: unknown[] = [];
    const a = fleet.hub("alpha");
    const b = fleet.hub("beta", {
      protocols: {
        sync(session, stream, header) {
          seen.push([session.peer.name, header.version]);
          void stream.send(new Uint8Array([7]), { end: true });
        },
        async broken() {
          await Promise.resolve();
          throw new FedError({ code: "BOOK_CLOSED", message: "It cannot be read." });
        },
      },
    });
    await start(a, b);
    await fleet.until(() => a.events.length > 0);
    const session = a.router.session(b.identity.hubId)!;
    const open = (header: string) => session.open(new TextEncoder().encode(header));
    const stream = open('{"k":"sync","version":3}');
    expect(await stream.receive()).toEqual(new Uint8Array([7]));
    expect(seen).toEqual([["alpha", 3]]);
    await expectCode(open('{"k":"broken"}').receive(), "BOOK_CLOSED");
    await expectCode(open('{"k":"toString"}').receive(), "UNKNOWN_STREAM_KIND");
    await expectCode(open('{"k":"sync","k":"call"}').receive(), "REQUEST_MALFORMED");
  });
});

describe("close", () => {
  it("ends everything, twice over", async () => {
    const [a, b] = [fleet.hub("alpha"), fleet.hub("beta")];
    await start(a, b);
    await fleet.until(() => a.events.length > 0 && b.events.length > 0);
    b.apps.set("echo", () => new Promise(() => {}));
    b.shared.add("echo");
    const call = a.router.call({ hub: "beta", app: "echo", method: "x" }, { caller: a.caller });
    const expected = expectCode(call, "ROUTER_CLOSED");
    await fleet.until(() => b.records.length === 1);
    await a.router.close();
    await a.router.close();
    await expected;
    await fleet.until(() => b.events.includes("down alpha"));
    expect(a.router.session(b.identity.hubId)).toBeUndefined();
  });
});
