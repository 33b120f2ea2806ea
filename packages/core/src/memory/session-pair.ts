/** Two in-memory sessions that talk to each other, without a network to set up. */
import type { Clock } from "../clock.js";
import type { PeerIdentity } from "../identity.js";
import type { Session } from "../session.js";
import type { Connection } from "../transport.js";
import { createMemoryNetwork } from "./network.js";
import { type MemorySessionOptions, openMemorySession } from "./session.js";
import { headerBytes } from "./session-frame.js";

/** One side of {@link createMemorySessionPair}. */
export interface MemorySessionSide extends MemorySessionOptions {
  readonly identity: PeerIdentity;
}

/** Options of {@link createMemorySessionPair}. */
export interface MemorySessionPairOptions {
  readonly clock?: Clock;
  /** One way. Default 0. */
  readonly latencyMs?: number;
  /** Default 4 MiB. */
  readonly maxMessageBytes?: number;
}

/** Two sessions that talk to each other: the initiator's, then the responder's. */
export async function createMemorySessionPair(
  initiator: MemorySessionSide,
  responder: MemorySessionSide,
  options: MemorySessionPairOptions = {},
): Promise<readonly [Session, Session]> {
  const { maxMessageBytes = 4 * 1024 * 1024, ...network } = options;
  const { transport } = createMemoryNetwork({ ...network, maxMessageBytes: maxMessageBytes + headerBytes });
  const accepted = Promise.withResolvers<Connection>();
  const listener = await transport({ identity: responder.identity, address: "responder" }).listen({
    connection: accepted.resolve,
  });
  const dialled = await transport({ identity: initiator.identity, address: "initiator" }).dial("responder");
  await listener.close();
  const clock = options.clock ? { clock: options.clock } : {};
  return Promise.all([
    openMemorySession(dialled, { ...clock, ...initiator }),
    openMemorySession(await accepted.promise, { ...clock, ...responder }),
  ]);
}
