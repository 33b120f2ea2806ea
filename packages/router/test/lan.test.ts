/** Routers over the real LAN transport on loopback: two hubs that dial each other at the same moment. */
import { type Connection, type HubId, randomBytes, systemClock, type Transport } from "@fed/core";
import { expectCode } from "@fed/core/testing";
import { createTcpLine } from "@fed/core/testing-node";
import { createSessions, encodeGreeting } from "@fed/session";
import { createLanTransport } from "@fed/transport-lan";
import { afterAll, expect, it, vi } from "vitest";
import { createTestCluster, type TestCluster } from "../../transport-lan/test/fixture/cluster.js";
import { createFleet, type Hub, identityOf, TestError } from "./fleet.js";

const fleet = createFleet();
afterAll(() => fleet.close());

/** A hub on loopback, and every connection that it ever had. */
interface LanHub extends Hub {
  readonly address: string;
  readonly connections: Map<string, { readonly role: string; open: boolean }>;
}

/** `begun` is awaited by each dial before it sets out. */
async function lanHub(cluster: TestCluster, name: string, begun: () => Promise<void>): Promise<LanHub> {
  const { hubId } = identityOf(name);
  const epoch = randomBytes(16);
  const credentials = await cluster.enrol(hubId);
  const lan = createLanTransport({
    credentials: () => credentials,
    authenticator: {
      authenticate: (evidence) => {
        const proved = cluster.authenticator.authenticate(evidence);
        return { ...proved, name: proved.hubId.replace(/a+$/, "") };
      },
    },
    self: hubId,
    host: "127.0.0.1",
    greeting: encodeGreeting(epoch),
  });
  const connections: LanHub["connections"] = new Map();
  let address = "";
  function note(connection: Connection): Connection {
    const entry = { role: connection.role, open: true };
    connections.set(connection.id, entry);
    const start = connection.start.bind(connection);
    connection.start = ({ message, closed }) =>
      start({
        message,
        closed(error) {
          entry.open = false;
          closed(error);
        },
      });
    return connection;
  }
  const { discover: _none, ...rest } = lan;
  const transport: Transport = {
    ...rest,
    async dial(to, options) {
      await begun();
      return note(await lan.dial(to, options));
    },
    async listen(handler, options) {
      const listener = await lan.listen(
        { ...handler, connection: (connection) => handler.connection(note(connection)) },
        options,
      );
      address = listener.addresses[0]!;
      return listener;
    },
  };
  const hub = fleet.hub(name, {
    transports: [transport],
    clock: systemClock,
    epoch,
    sessions: createSessions({ epoch }),
  });
  hub.apps.set("echo", ({ params }) => params);
  hub.shared.add("echo");
  await hub.router.start();
  return Object.assign(hub, { address, connections });
}

/** Resolves for all who come as soon as so many have. */
function together(count: number): () => Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  return () => {
    if (--count === 0) resolve();
    return promise;
  };
}

const meet = (hub: LanHub, ...others: LanHub[]) =>
  hub.router.setMembers(
    others.map(({ identity, address }) => ({ ...identity, addresses: [{ transport: "lan", address }] })),
  );
const open = ({ connections }: LanHub) => [...connections.values()].filter((connection) => connection.open);

it("simultaneous dials end in one connection, that of the smaller id, and no call on the way there fails", async () => {
  const cluster = await createTestCluster();
  const names = Array.from({ length: 6 }, (_, i) => `pair${String.fromCharCode(98 + i)}`);
  const pairs = await Promise.all(
    names.map((name) => {
      const begun = together(2);
      return Promise.all([lanHub(cluster, `${name}b`, begun), lanHub(cluster, `${name}c`, begun)]);
    }),
  );
  await Promise.all(
    pairs.map(async ([smaller, larger]) => {
      meet(smaller, larger);
      meet(larger, smaller);
      let calling = true;
      const keepCalling = async (from: LanHub, to: HubId, hub: string) => {
        let made = 0;
        for (; calling || made < 20; made++) {
          const result = await from.router.call(
            { hub, app: "echo", method: "x", params: made },
            { caller: from.caller },
          );
          expect(result).toBe(made);
        }
        expect(from.router.session(to)).toBeDefined();
        return made;
      };
      // They do not wait until either has heard of the other.
      const calls = [
        keepCalling(smaller, larger.identity.hubId, larger.identity.name),
        keepCalling(larger, smaller.identity.hubId, smaller.identity.name),
      ];
      await vi.waitFor(
        () => {
          expect(open(smaller).map(({ role }) => role)).toEqual(["initiator"]);
          expect(open(larger).map(({ role }) => role)).toEqual(["responder"]);
          for (const [hub, other] of [
            [smaller, larger],
            [larger, smaller],
          ] as const) {
            const paths = hub.router.session(other.identity.hubId)!.paths;
            expect(paths.map(({ id }) => hub.connections.get(id)?.open)).toEqual([true]);
          }
        },
        { timeout: 15_000 },
      );
      calling = false;
      await Promise.all(calls);
      // One session throughout: nobody ever lost the other.
      expect([smaller.events.length, larger.events.length]).toEqual([1, 1]);
      expect(smaller.connections.size).toBeGreaterThan(1);
    }),
  );
});

it("a first call to a hub that has cut this one off is not said to have run, perhaps", async () => {
  const cluster = await createTestCluster();
  const [a, b] = [await lanHub(cluster, "outsb", async () => {}), await lanHub(cluster, "insib", async () => {})];
  b.router.cut(a.identity.hubId, new TestError({ code: "REVOKED", message: "Out." }));
  for (let i = 0; i < 4; i++) {
    meet(a, b);
    const call = a.router.call({ hub: b.identity.hubId, app: "echo", method: "x" }, { caller: a.caller });
    await expectCode(call, "HUB_UNREACHABLE");
    expect(a.router.paths(b.identity.hubId)[0]!.why).toContain("REVOKED");
    expect(b.records).toEqual([]);
    a.router.setMembers([]);
  }
});

it("a call for a hub that is being dialled is answered two round trips after TCP", async () => {
  const cluster = await createTestCluster();
  const [a, b] = [await lanHub(cluster, "nearb", async () => {}), await lanHub(cluster, "farrb", async () => {})];
  const colon = b.address.lastIndexOf(":");
  const [host, port] = [b.address.slice(0, colon), Number(b.address.slice(colon + 1))];
  // Long enough that a machine with other work is not taken for one more.
  const roundTripMs = 600;
  await using line = await createTcpLine({ host, port, conditions: { latencyMs: roundTripMs / 2 } });
  b.router.setMembers([{ ...a.identity, addresses: [] }]);
  const startedAtMs = performance.now();
  meet(a, { ...b, address: line.address });
  const answer = await a.router.call(
    { hub: b.identity.hubId, app: "echo", method: "x", params: "first" },
    { caller: a.caller },
  );
  const roundTrips = (performance.now() - startedAtMs) / roundTripMs;
  console.info(`Round trips after TCP to the first answer: ${roundTrips.toFixed(2)}.`);
  expect([answer, Math.floor(roundTrips)]).toEqual(["first", 2]);
});
