/** `pnpm bench path`: how long calls wait when the LAN goes, and how soon they are back on it when it comes back. */
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import type { TcpLine } from "@fed/core/testing-node";
import { startRelay } from "@fed/relay";
import { percentile } from "./load.ts";
import { foundCluster, type PathPair, startPathPair } from "./path-pair.ts";
import { createRandom } from "./random.ts";
import type { Bench, Row, RunOptions } from "./row.ts";

const seed = 20260701;
const runs = 200;
const pairs = 25;
/** For so long after a change both paths carry everything; a cut meanwhile would cost nothing. */
const settleMs = 10_500;
const [minAwayMs, maxAwayMs] = [1_000, 10_000];
const maxOverRelayMs = 3_000;
const maxBackMs = 15_000;

/** What can befall a LAN; each returns what undoes it. */
const cuts: ReadonlyMap<string, (line: TcpLine) => () => void> = new Map([
  ["silent both ways", (line: TcpLine) => line.blackhole()],
  ["silent there", (line: TcpLine) => line.blackhole("there")],
  ["silent back", (line: TcpLine) => line.blackhole("back")],
  ["its far end reads nothing", (line: TcpLine) => line.stall()],
  [
    "reset, then refused",
    (line: TcpLine) => {
      const heal = line.refuse();
      line.reset();
      return heal;
    },
  ],
]);

/** One cut and its end. */
interface Run {
  readonly cut: string;
  readonly overRelayMs: number;
  readonly backMs: number;
}

export const pathBench: Bench = {
  about: `${runs} cuts of a LAN under calls that never stop, ${pairs} pairs of hubs at once in one process, each over a TCP line and a relay; kinds and moments drawn from seed ${seed}`,
  async run(options) {
    await using opened = new AsyncDisposableStack();
    // Not the system's temporary directory: that may be memory, where fdatasync costs nothing.
    const cache = join(import.meta.dirname, "node_modules/.cache");
    await mkdir(cache, { recursive: true });
    const directory = await mkdtemp(join(cache, "path-"));
    opened.defer(() => rm(directory, { recursive: true, force: true }));
    return await measure(directory, opened, options);
  },
};

async function measure(
  directory: string,
  opened: AsyncDisposableStack,
  { only = "", progress }: RunOptions,
): Promise<Row[]> {
  const random = createRandom(seed);
  const directories = Array.from({ length: pairs }, (_, i) => join(directory, `${i}`));
  const admissionKeys: string[] = [];
  for (const each of directories) admissionKeys.push(await foundCluster(each));
  const relay = await startRelay({ admissionKeys });
  opened.defer(() => relay.close());
  const started: PathPair[] = [];
  for (const each of directories) started.push(opened.use(await startPathPair(each, relay.url)));
  progress(`${pairs} pairs are connected`);

  const done: Run[] = [];
  await Promise.all(
    started.map(async (pair) => {
      for (let n = 0; n < runs / pairs; n++) {
        done.push(await cutOnce(pair, random));
        if (done.length % pairs === 0) progress(`${done.length} of ${runs}`);
      }
    }),
  );
  let [calls, lost, doubled] = [0, 0, 0];
  for (const pair of started) {
    const sum = await pair.settle();
    calls += sum.calls;
    lost += sum.lost;
    doubled += sum.doubled;
  }
  const kinds = [...cuts.keys()].map((cut) => ({ cut, of: done.filter((run) => run.cut === cut) }));
  const rows: Row[] = [
    ...kinds.map(({ cut, of }) =>
      spread(
        `${cut} → first answer over the relay`,
        of.map(({ overRelayMs }) => overRelayMs),
      ),
    ),
    ...kinds.map(({ cut, of }) =>
      spread(
        `${cut} over → on the LAN`,
        of.map(({ backMs }) => backMs),
      ),
    ),
    {
      ...p99Of(
        "LAN cut → first answer over the relay, p99",
        done.map(({ overRelayMs }) => overRelayMs),
      ),
      target: maxOverRelayMs,
    },
    {
      ...longestOf(
        "LAN back → on the LAN, longest",
        done.map(({ backMs }) => backMs),
      ),
      target: maxBackMs,
    },
    { name: `calls lost, of ${calls}`, unit: "calls", value: lost, better: "less", target: 0, notes: {} },
    { name: `calls that ran twice, of ${calls}`, unit: "calls", value: doubled, better: "less", target: 0, notes: {} },
  ];
  return rows.filter(({ name }) => name.includes(only));
}

async function cutOnce({ line, uses, nextAnswer }: PathPair, random: () => number): Promise<Run> {
  const kinds = [...cuts.keys()];
  await uses("lan");
  await pause(settleMs + random() * 1_000);
  const cut = kinds[Math.floor(random() * kinds.length)]!;
  const heal = cuts.get(cut)!(line);
  const cutAtMs = performance.now();
  const overRelayMs = (await nextAnswer()) - cutAtMs;
  await uses("relay");
  await pause(minAwayMs + random() * (maxAwayMs - minAwayMs));
  heal();
  const healedAtMs = performance.now();
  const backMs = (await uses("lan")) - healedAtMs;
  return { cut, overRelayMs, backMs };
}

function spread(name: string, values: readonly number[]): Row {
  const sorted = values.toSorted((a, b) => a - b);
  const [p50, p99] = [percentile(sorted, 0.5), percentile(sorted, 0.99)];
  return { name, unit: "ms", value: p50, better: "less", p50, p99, notes: { runs: `${values.length}` } };
}

function p99Of(name: string, values: readonly number[]): Row {
  const row = spread(name, values);
  return { ...row, value: row.p99! };
}

function longestOf(name: string, values: readonly number[]): Row {
  return { ...spread(name, values), value: Math.max(...values) };
}
