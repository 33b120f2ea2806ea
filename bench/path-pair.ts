/** Two hubs of a cluster of their own: over the LAN through a line that can be cut, and over a relay. Calls never stop. */
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { createTcpLine, type TcpLine } from "@fed/core/testing-node";
import { createHub, type Hub } from "@fed/hub";
import { McpServer } from "@modelcontextprotocol/server";
import { z } from "zod";

const callEveryMs = 100;
const lookEveryMs = 20;
const waitMs = 120_000;

/** One call, and what became of it. */
interface Call {
  readonly sentAtMs: number;
  /** Undefined while it is under way. */
  outcome?: string;
}

/** See the module header. */
export interface PathPair extends AsyncDisposable {
  readonly line: TcpLine;
  /** Resolves once both hubs use `transport`, with when that was. */
  uses(transport: "lan" | "relay"): Promise<number>;
  /** Resolves with when the first call that is sent from now on was answered. */
  nextAnswer(): Promise<number>;
  /** Ends the calls and waits for the last. */
  settle(): Promise<{ readonly calls: number; readonly lost: number; readonly doubled: number }>;
}

/** A cluster with one member in `directory`, and what its relay must admit. */
export async function foundCluster(directory: string): Promise<string> {
  await using hub = await createHub({ dir: join(directory, "far"), name: "far", relays: false });
  await hub.cluster.create({ name: "bench" });
  return hub.cluster.status().relayAdmissionKey;
}

/** Starts both hubs; the one that founded the cluster serves, the other calls and dials. */
export async function startPathPair(directory: string, relay: string): Promise<PathPair> {
  await using opened = new AsyncDisposableStack();
  const ran = new Map<number, number>();
  const apps = { count: { server: () => countingServer(ran) } };
  const relays = [relay];
  const loopback = { listen: { host: "127.0.0.1", port: 0 }, discovery: false };
  const far = opened.use(await createHub({ dir: join(directory, "far"), lan: loopback, relays, apps }));
  await far.apps.settled();
  await far.sharing.share("count", "cluster");
  await until(() => far.cluster.status().relays[0]?.status === "up");
  const [host, port] = far.cluster.status().lan!.addresses[0]!.split(":") as [string, string];
  const line = opened.use(await createTcpLine({ host, port: Number(port) }));
  const near = opened.use(await joinAside(directory, await far.cluster.invite(), line.address, relays));
  const hubs = [far, near];
  const uses = async (transport: "lan" | "relay") => {
    await until(() => hubs.every((hub) => pathOf(hub) === transport));
    return performance.now();
  };
  await uses("lan");

  const calls: Call[] = [];
  const underWay = new Set<Promise<void>>();
  const waiting: { readonly sinceMs: number; readonly resolve: (atMs: number) => void }[] = [];
  const operator = near.operators.local("bench");
  const send = async (id: number): Promise<void> => {
    const call: Call = { sentAtMs: performance.now() };
    calls.push(call);
    try {
      await near.apps.call({ hub: "far", app: "count", tool: "count", arguments: { id } }, { operator });
      call.outcome = "answered";
      const nowMs = performance.now();
      for (const waiter of waiting.filter(({ sinceMs }) => sinceMs <= call.sentAtMs)) {
        waiting.splice(waiting.indexOf(waiter), 1);
        waiter.resolve(nowMs);
      }
    } catch (error) {
      call.outcome = (error as { code: string }).code;
    }
  };
  const timer = setInterval(() => {
    const sent: Promise<void> = send(calls.length).finally(() => underWay.delete(sent));
    underWay.add(sent);
  }, callEveryMs);
  opened.defer(() => clearInterval(timer));

  const kept = opened.move();
  return {
    line,
    uses,
    nextAnswer: () => new Promise((resolve) => waiting.push({ sinceMs: performance.now(), resolve })),
    async settle() {
      clearInterval(timer);
      await Promise.all(underWay);
      return {
        calls: calls.length,
        lost: calls.filter(({ outcome }) => outcome !== "answered").length,
        doubled: [...ran.values()].filter((times) => times > 1).length,
      };
    },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

/**
 * It joins over the relay, and on the LAN it has an address that no interface lists: none which the other hub tells counts as
 * near, so that the line is its only way there.
 */
async function joinAside(directory: string, token: string, peer: string, relays: readonly string[]): Promise<Hub> {
  const dir = join(directory, "near");
  const guest = await createHub({ dir, name: "near", relays });
  await guest.cluster.join(token);
  await guest.close();
  return createHub({
    dir,
    lan: { listen: { host: "127.0.0.2", port: 0 }, discovery: false, peers: [peer] },
    relays,
  });
}

function countingServer(ran: Map<number, number>): McpServer {
  const server = new McpServer({ name: "count", version: "1.0.0" }, { capabilities: { tools: {} } });
  server.registerTool("count", { inputSchema: z.object({ id: z.number() }) }, ({ id }) => {
    ran.set(id, (ran.get(id) ?? 0) + 1);
    return { content: [] };
  });
  return server;
}

function pathOf(hub: Hub): string | undefined {
  return hub.cluster.peers()[0]?.path;
}

async function until(holds: () => boolean): Promise<void> {
  for (const deadlineMs = performance.now() + waitMs; !holds(); await pause(lookEveryMs)) {
    if (performance.now() > deadlineMs) throw new Error(`It did not come about in ${waitMs / 1000} s.`);
  }
}
