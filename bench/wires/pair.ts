/** Both processes of a wire, and what they take. */
import { startChild } from "../child.ts";
import type { Sample } from "../load.ts";
import { cpuMsOf, rssMiBOf } from "../process-cost.ts";
import type { WireClientSetUp, WireWork } from "./client-process.ts";
import type { WireCredentials, WireRelay } from "./wire.ts";

/** Options of {@link startPair}. */
export interface PairOptions {
  readonly wire: string;
  /** Of the server and of the client. */
  readonly members: readonly [WireCredentials, WireCredentials];
  /** `node_modules` with the packages of others, for wires that need them. */
  readonly modules?: string;
  /** For wires that lead through a relay. */
  readonly relay?: WireRelay;
  readonly payloadBytes: number;
  readonly seed: number;
}

/** What both processes together take. */
export interface PairCost {
  readonly cpuMs: number;
  readonly rssMiB: number;
}

/** A connected pair. */
export interface WirePair extends AsyncDisposable {
  work(work: WireWork): Promise<Sample>;
  cost(): PairCost;
}

/** Starts a server and a client that is connected to it. */
export async function startPair(options: PairOptions): Promise<WirePair> {
  const { wire, members, modules = "", relay, payloadBytes, seed } = options;
  await using opened = new AsyncDisposableStack();
  const setUpOf = (credentials: WireCredentials) => ({ wire, modules, credentials, ...(relay && { relay }) });
  const server = opened.use(await startChild<string>("./wires/server-process.ts", setUpOf(members[0])));
  const client = opened.use(
    await startChild<object, WireWork, Sample>("./wires/client-process.ts", {
      ...setUpOf(members[1]),
      address: server.ready,
      payloadBytes,
      seed,
    } satisfies WireClientSetUp),
  );
  const kept = opened.move();
  const pids = [server.pid, client.pid];
  return {
    work: client.work,
    cost: () => ({
      cpuMs: pids.reduce((sum, pid) => sum + cpuMsOf(pid), 0),
      rssMiB: pids.reduce((sum, pid) => sum + rssMiBOf(pid), 0),
    }),
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}
