/** `pnpm bench call`: what a tool call costs on every path, beside the raw limits, in one run. */
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { openAuditLog } from "@fed/audit-chain";
import { createFileSegmentStore } from "@fed/audit-chain/node";
import { type Child, ownCpuMs } from "./child.ts";
import { connectInProcess, connectStdio, textOf } from "./echo-app.ts";
import { type Fleet, startFleet } from "./fleet.ts";
import { load, percentile, type Sample } from "./load.ts";
import { createRandom, randomText, shuffled } from "./random.ts";
import { startRawEcho } from "./raw-echo.ts";
import type { Bench, Row, RunOptions } from "./row.ts";
import { formatNumber } from "./table.ts";

const seed = 20260701;
const payloadBytes = 256;
const inFlights = [1, 64] as const;
const rounds = 3;
const roundMs = 750;
const settleMs = 100;
const warmUpMs = 500;
/** What the two records of one call take on average. */
const recordBytes = 205;
const raw = "raw mTLS echo";
const alone = "app alone";

/** Something that returns the text it is given. */
interface Subject {
  readonly name: string;
  echo(text: string): Promise<string>;
  /** Other processes that work on it and can tell their CPU time. */
  readonly others: readonly Child<unknown>[];
}

interface Cell {
  readonly subject: Subject;
  readonly inFlight: number;
  readonly samples: Sample[];
  ownCpuMs: number;
  otherCpuMs: number;
}

export const callBench: Bench = {
  about: `${payloadBytes}-byte echo, closed loop; rate is the median of ${rounds} rounds of ${roundMs} ms in an order drawn from seed ${seed}; ratio = rate against ${raw}`,
  async run(options) {
    await using opened = new AsyncDisposableStack();
    // Not the system's temporary directory: that may be memory, where fdatasync costs nothing.
    const cache = join(import.meta.dirname, "node_modules/.cache");
    await mkdir(cache, { recursive: true });
    const directory = await mkdtemp(join(cache, "call-"));
    opened.defer(() => rm(directory, { recursive: true, force: true }));
    return await measure(await openSubjects(directory, opened), options);
  },
};

async function openSubjects(directory: string, opened: AsyncDisposableStack): Promise<Subject[]> {
  const rawEcho = opened.use(await startRawEcho());
  const inProcess = opened.use(await connectInProcess());
  const stdio = opened.use(await connectStdio());
  const fleet = opened.use(await startFleet(directory));
  const log = opened.use(
    await openAuditLog({ store: createFileSegmentStore(join(directory, "audit")), key: new Uint8Array(32).fill(7) }),
  );
  const record = new Uint8Array(recordBytes).fill(0x61);
  return [
    { name: raw, echo: rawEcho.echo, others: [rawEcho.server] },
    { name: alone, echo: inProcess.echo, others: [] },
    { name: `${alone}, stdio`, echo: stdio.echo, others: [] },
    {
      name: "audit append alone",
      async echo(text) {
        await log.append(record);
        return text;
      },
      others: [],
    },
    { name: "local call", echo: hubCall(fleet, "ours", "echo"), others: [] },
    { name: "local call, stdio", echo: hubCall(fleet, "ours", "echo-stdio"), others: [] },
    { name: "LAN call", echo: hubCall(fleet, "beside", "echo"), others: [fleet.lan] },
    { name: "LAN call, stdio", echo: hubCall(fleet, "beside", "echo-stdio"), others: [fleet.lan] },
    { name: "relay call", echo: hubCall(fleet, "far", "echo"), others: [fleet.far, fleet.relay] },
  ];
}

function hubCall({ hub: ours }: Fleet, hub: string, app: string): Subject["echo"] {
  const operator = ours.operators.local("bench");
  return async (text) => textOf(await ours.apps.call({ hub, app, tool: "echo", arguments: { text } }, { operator }));
}

async function measure(subjects: readonly Subject[], { only = "", progress }: RunOptions): Promise<Row[]> {
  const random = createRandom(seed);
  const bodies = Array.from({ length: 64 }, () => randomText(payloadBytes, random));
  const cells = subjects
    .flatMap((subject) =>
      inFlights.map((inFlight): Cell => ({ subject, inFlight, samples: [], ownCpuMs: 0, otherCpuMs: 0 })),
    )
    .filter(({ subject, inFlight }) => rowName(subject.name, inFlight).includes(only));
  for (const { echo } of new Set(cells.map(({ subject }) => subject))) {
    await load(echo, { bodies, inFlight: 64, durationMs: warmUpMs });
  }
  const generatorMs = await generatorMsPerCall(bodies);
  for (let round = 1; round <= rounds; round++) {
    progress(`round ${round} of ${rounds}`);
    for (const cell of shuffled(cells, random)) await measureCell(cell, bodies);
  }
  return rowsOf(cells, generatorMs);
}

async function measureCell(cell: Cell, bodies: readonly string[]): Promise<void> {
  const { subject, inFlight } = cell;
  await load(subject.echo, { bodies, inFlight, durationMs: settleMs });
  const [ownBefore, othersBefore] = [ownCpuMs(), await sumCpuMs(subject.others)];
  cell.samples.push(await load(subject.echo, { bodies, inFlight, durationMs: roundMs }));
  cell.ownCpuMs += ownCpuMs() - ownBefore;
  cell.otherCpuMs += (await sumCpuMs(subject.others)) - othersBefore;
}

async function sumCpuMs(others: readonly Child<unknown>[]): Promise<number> {
  let sum = 0;
  for (const other of others) sum += await other.cpuMs();
  return sum;
}

/** What the load itself takes of this process, per call. */
async function generatorMsPerCall(bodies: readonly string[]): Promise<number> {
  const { latenciesMs, elapsedMs } = await load(async (text) => text, { bodies, inFlight: 1, durationMs: 200 });
  return elapsedMs / latenciesMs.length;
}

function rowsOf(cells: readonly Cell[], generatorMs: number): Row[] {
  const rates = new Map(cells.map((cell) => [rowName(cell.subject.name, cell.inFlight), rateOf(cell)]));
  return cells.map((cell): Row => {
    const { subject, inFlight, samples } = cell;
    const sorted = samples.flatMap(({ latenciesMs }) => latenciesMs).toSorted((a, b) => a - b);
    const perCallUs = (ms: number) => formatNumber((1000 * ms) / sorted.length);
    const value = rateOf(cell);
    const app = rates.get(rowName(alone, inFlight));
    return {
      name: rowName(subject.name, inFlight),
      unit: "calls/s",
      value,
      p50: percentile(sorted, 0.5),
      p99: percentile(sorted, 0.99),
      baseline: subject.name === raw ? undefined : rowName(raw, inFlight),
      notes: {
        [`to ${alone}`]: app === undefined ? "" : formatNumber(value / app),
        "CPU µs here": perCallUs(cell.ownCpuMs),
        "of it load": `${formatNumber((100 * generatorMs * sorted.length) / cell.ownCpuMs)}%`,
        "CPU µs others": subject.others.length === 0 ? "" : perCallUs(cell.otherCpuMs),
      },
    };
  });
}

/** Calls per second, the median of the rounds. */
function rateOf({ samples }: Cell): number {
  const rates = samples.map(({ latenciesMs, elapsedMs }) => (latenciesMs.length / elapsedMs) * 1000);
  return percentile(
    rates.toSorted((a, b) => a - b),
    0.5,
  );
}

function rowName(subject: string, inFlight: number): string {
  return `${subject}, ${inFlight} in flight`;
}
