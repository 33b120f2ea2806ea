/** Two hubs that meet over and over, for tests of what outlives a connection. */
import { type Connection, FedError, type Session, type SessionHandler, type Stream } from "@fed/core";
import { createMemoryNetwork } from "@fed/core/memory";
import { createTestClock, type TestClock } from "@fed/core/testing";
import { createSessions, type SessionLimits, type Sessions } from "../src/index.js";
import { alice, bob, epochOf, noStreams } from "./fixture.js";

export const lost = new FedError({ code: "CABLE_CUT", message: "The cable is cut." });

type Accept = (connection: Connection) => void;

interface ConnectOptions {
  readonly near?: Sessions;
  readonly far?: Sessions;
  readonly dialledBy?: "near" | "far";
}

/** Two hubs, alice and bob, and whatever connects them. */
export interface Pair {
  readonly clock: TestClock;
  readonly near: Sessions;
  readonly far: Sessions;
  /** One more connection, dialled by alice unless told otherwise: her session, bob's. */
  connect(options?: ConnectOptions): Promise<[Session, Session]>;
  /** Breaks every connection; what is under way is lost. */
  drop(): void;
  /** Holds what is under way, both ways, until healed. */
  cut(): () => void;
  readonly handlers: { near: SessionHandler; far: SessionHandler };
}

/** Two hubs on a memory network and a clock of the test's. */
export async function hubs(limits: Partial<SessionLimits> = {}): Promise<Pair> {
  const clock = createTestClock();
  const network = createMemoryNetwork({ clock });
  const near = createSessions({ epoch: epochOf(1), clock, limits });
  const far = createSessions({ epoch: epochOf(2), clock, limits });
  const handlers = { near: noStreams, far: noStreams };
  const transports = { near: network.transport({ identity: alice }), far: network.transport({ identity: bob }) };
  const accepting = { near: [] as Accept[], far: [] as Accept[] };
  for (const side of ["near", "far"] as const) {
    await transports[side].listen({ connection: (connection) => accepting[side].shift()?.(connection) });
  }
  return {
    clock,
    near,
    far,
    handlers,
    async connect(options = {}) {
      const { dialledBy = "near" } = options;
      const accepted = Promise.withResolvers<Connection>();
      const queue = accepting[dialledBy === "near" ? "far" : "near"];
      queue.push(accepted.resolve);
      const dialled = transports[dialledBy].dial(dialledBy === "near" ? bob.hubId : alice.hubId);
      dialled.catch(() => queue.splice(queue.indexOf(accepted.resolve), 1));
      const [here, there] = dialledBy === "near" ? [dialled, accepted.promise] : [accepted.promise, dialled];
      return Promise.all([
        here.then((connection) =>
          (options.near ?? near).open(connection, { stream: (stream) => handlers.near.stream(stream) }),
        ),
        there.then((connection) =>
          (options.far ?? far).open(connection, { stream: (stream) => handlers.far.stream(stream) }),
        ),
      ]);
    },
    drop: () => void network.drop(alice.hubId, bob.hubId, lost),
    cut: () => network.cut(alice.hubId, bob.hubId),
  };
}

/** A stream that bob has met: alice's end, bob's. */
export async function openPair(pair: Pair, session: Session): Promise<[Stream, Stream]> {
  const met = Promise.withResolvers<Stream>();
  pair.handlers.far = { stream: met.resolve };
  return [session.open(new Uint8Array(1)), await met.promise];
}
