/** `pnpm bench session`: what a session over the LAN costs, beside raw TLS and beside what others would use, in one run. */
import { createIssuer } from "./credentials.ts";
import { firstCallRows } from "./first-call.ts";
import { idlePeerRows } from "./idle-peers.ts";
import { median, percentile, type Sample } from "./load.ts";
import { installPackages } from "./peer-packages.ts";
import { createRandom, shuffled } from "./random.ts";
import type { Bench, Row, RunOptions } from "./row.ts";
import { saturatedRows } from "./saturated.ts";
import { aim, formatNumber } from "./table.ts";
import { type PairCost, startPair, type WirePair } from "./wires/pair.ts";

const seed = 20260701;
const payloadBytes = 256;
const inFlights = [1, 64] as const;
const rounds = 3;
const roundMs = 750;
const settleMs = 150;
const warmUpMs = 1_000;
const pushMiB = 256;

const versions = {
  "@hyperswarm/secret-stream": "6.9.2",
  "@grpc/grpc-js": "1.14.7",
  libp2p: "3.3.11",
  "@libp2p/tcp": "11.0.28",
  "@libp2p/noise": "17.0.3",
  "@libp2p/yamux": "8.0.3",
} as const;

const raw = "raw mTLS";
const session = "session, LAN";
const [ws, hyperswarm, grpc, libp2p] = ["ws over TLS", "secret-stream", "grpc-js", "libp2p"] as const;

/** What is measured, and by which wire. */
const subjects: ReadonlyMap<string, string> = new Map([
  [raw, "raw"],
  [session, "lan"],
  [ws, "web-socket"],
  [hyperswarm, "secret-stream"],
  [grpc, "grpc"],
  [libp2p, "libp2p"],
  ["node:http2", "http2"],
]);

/** One subject under one load: calls in flight, or a push. */
interface Cell {
  readonly name: string;
  readonly subject: string;
  readonly inFlight: number | undefined;
  readonly samples: Sample[];
  cpuMs: number;
  rssMiB: number;
}

export const sessionBench: Bench = {
  about: `${payloadBytes}-byte echo between two processes over loopback, closed loop; rate is the median of ${rounds} rounds of ${roundMs} ms in an order drawn from seed ${seed}; ratio = against ${raw}; CPU and memory are of both processes`,
  async run(options) {
    const { only = "" } = options;
    const rows = await wireRows(options);
    const beside = [
      ...(await firstCallRows(options)),
      ...(await saturatedRows(options)),
      ...(await idlePeerRows(options)),
    ];
    const all = [...rows, ...beside];
    return [...all, ...aims(all).filter(({ name }) => name.includes(only))];
  },
};

async function wireRows({ only = "", progress }: RunOptions): Promise<Row[]> {
  const cells = [...subjects.keys()]
    .flatMap((subject) =>
      [...inFlights, ...(subject === raw || subject === session ? [undefined] : [])].map(
        (inFlight): Cell => ({ name: nameOf(subject, inFlight), subject, inFlight, samples: [], cpuMs: 0, rssMiB: 0 }),
      ),
    )
    .filter(({ name }) => name.includes(only));
  if (cells.length === 0) return [];
  await using opened = new AsyncDisposableStack();
  const modules = await installPackages(versions);
  const issue = await createIssuer();
  const pairs = new Map<string, WirePair>();
  for (const subject of new Set(cells.map((cell) => cell.subject))) {
    progress(`starting ${subject}`);
    const wire = subjects.get(subject)!;
    const pair = opened.use(
      await startPair({ wire, members: [await issue(), await issue()], modules, payloadBytes, seed }),
    );
    pairs.set(subject, pair);
    await pair.work({ kind: "calls", inFlight: 64, durationMs: warmUpMs });
  }
  const random = createRandom(seed);
  for (let round = 1; round <= rounds; round++) {
    progress(`round ${round} of ${rounds}`);
    for (const cell of shuffled(cells, random)) await measure(cell, pairs.get(cell.subject)!);
  }
  return cells.map(rowOf);
}

async function measure(cell: Cell, pair: WirePair): Promise<void> {
  const { inFlight } = cell;
  const work = (durationMs: number) =>
    inFlight === undefined
      ? pair.work({ kind: "push", bytes: Math.ceil((pushMiB * 1_048_576 * durationMs) / roundMs) })
      : pair.work({ kind: "calls", inFlight, durationMs });
  await work(settleMs);
  const before = pair.cost();
  cell.samples.push(await work(roundMs));
  const after: PairCost = pair.cost();
  cell.cpuMs += after.cpuMs - before.cpuMs;
  cell.rssMiB = after.rssMiB;
}

function rowOf(cell: Cell): Row {
  const { name, subject, inFlight, samples } = cell;
  const baseline = subject === raw ? undefined : nameOf(raw, inFlight);
  const memory = { "RSS MiB": Math.round(cell.rssMiB).toString() };
  if (inFlight === undefined) {
    const value = (pushMiB * 1000) / median(samples.map(({ elapsedMs }) => elapsedMs));
    return {
      name,
      unit: "MiB/s",
      value,
      baseline,
      notes: { ...memory, "CPU ms/MiB": formatNumber(cell.cpuMs / samples.length / pushMiB) },
    };
  }
  const sorted = samples.flatMap(({ latenciesMs }) => latenciesMs).toSorted((a, b) => a - b);
  return {
    name,
    unit: "calls/s",
    value: median(samples.map(({ latenciesMs, elapsedMs }) => (latenciesMs.length / elapsedMs) * 1000)),
    p50: percentile(sorted, 0.5),
    p99: percentile(sorted, 0.99),
    baseline,
    notes: { "CPU µs": formatNumber((1000 * cell.cpuMs) / sorted.length), ...memory },
  };
}

/** What is aimed at, as far as the rows for it are there. */
function aims(rows: readonly Row[]): Row[] {
  const [serial, many] = inFlights;
  const rate = (subject: string) => rows.find(({ name }) => name === nameOf(subject, many))?.value;
  const p50 = (subject: string) => rows.find(({ name }) => name === nameOf(subject, serial))?.p50;
  const pushed = (subject: string) => rows.find(({ name }) => name === nameOf(subject, undefined))?.value;
  return [
    aim(`session / ${raw}, ${many} in flight`, rate(session), rate(raw), { atLeast: 0.5 }),
    aim(`session / ${ws}, ${many} in flight`, rate(session), rate(ws), { atLeast: 1 }),
    aim(`session / ${hyperswarm}, ${many} in flight`, rate(session), rate(hyperswarm), { atLeast: 1 }),
    aim(`session / ${grpc}, ${many} in flight`, rate(session), rate(grpc), { atLeast: 10 }),
    aim(`session / ${libp2p}, ${many} in flight`, rate(session), rate(libp2p), { atLeast: 8 }),
    aim(`session / ${raw}, p50, ${serial} in flight`, p50(session), p50(raw), { atMost: 1.5 }),
    aim(`session / ${raw}, one stream`, pushed(session), pushed(raw), { atLeast: 0.7 }),
  ].filter((row) => row !== undefined);
}

function nameOf(subject: string, inFlight: number | undefined): string {
  return `${subject}, ${inFlight === undefined ? "one stream" : `${inFlight} in flight`}`;
}
