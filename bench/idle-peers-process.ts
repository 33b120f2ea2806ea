/** A hub that many peers have sessions with, or, given its address, those peers. */
import { setTimeout as pause } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { randomBytes, type Session } from "@fed/core";
import { createSessions } from "@fed/session";
import { serveParent } from "./child.ts";
import { answer, createLan } from "./wires/lan.ts";
import type { WireCredentials } from "./wires/wire.ts";

/** What the process takes after garbage collection. */
export interface HeapUse {
  readonly heapBytes: number;
  readonly bufferBytes: number;
  readonly rssBytes: number;
}

interface SetUp {
  readonly credentials: readonly WireCredentials[];
  readonly address?: string;
}

/** Idle is who has said nothing for longer than acknowledgements take. */
const restMs = 1_500;

serveParent<SetUp, string, number, HeapUse>(async ({ credentials, address }) => {
  const open = new Set<Session>();
  if (address !== undefined) {
    for (const one of credentials) {
      const sessions = createSessions({ epoch: randomBytes(16) });
      open.add(await sessions.open(await createLan(one).dial(address), { stream: answer }));
    }
    return { ready: address, close: async () => {} };
  }
  const sessions = createSessions({ epoch: randomBytes(16) });
  const listener = await createLan(credentials[0]!, { limits: { maxAcceptsPerSecond: 10_000 } }).listen({
    connection: (connection) =>
      void sessions.open(connection, { stream: answer }).then(
        (session) => open.add(session),
        () => {},
      ),
  });
  return {
    ready: listener.addresses[0]!,
    close: () => listener.close(),
    async work(peers) {
      await pause(restMs);
      if (open.size !== peers) throw new Error(`${open.size} sessions are up, not ${peers}.`);
      setFlagsFromString("--expose-gc");
      const collect = runInNewContext("gc") as () => void;
      // What finalizers let go is collected by the next.
      for (let i = 0; i < 3; i++) {
        collect();
        await pause(50);
      }
      const { heapUsed, rss, arrayBuffers } = process.memoryUsage();
      return { heapBytes: heapUsed, bufferBytes: arrayBuffers, rssBytes: rss };
    },
  };
});
