/** `pnpm bench mcp`: what a hub adds to a tool call over HTTP, beside the SDK alone and beside other gateways, in one run. */
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { type Child, startChild } from "./child.ts";
import { percentile, type Sample } from "./load.ts";
import type { McpLoad } from "./mcp-client-process.ts";
import { directName, type McpSubject, openMcpSubjects } from "./mcp-subjects.ts";
import { targetRows } from "./mcp-targets.ts";
import { cpuMsOf, descendantsCpuMs, rssMiBOf } from "./process-cost.ts";
import { createRandom, shuffled } from "./random.ts";
import type { Bench, Row, RunOptions } from "./row.ts";
import { formatNumber } from "./table.ts";

const seed = 20260701;
const inFlights = [1, 32] as const;
const rounds = 3;
const roundMs = 750;
const settleMs = 100;
const warmUpMs = 1000;

type Client = Child<object, McpLoad, Sample>;

/** One subject under one load. */
export interface McpCell {
  readonly subject: McpSubject;
  /** Of the subject, for the client. */
  readonly target: number;
  readonly inFlight: number;
  readonly samples: Sample[];
  cpuMs: number;
  appCpuMs: number;
  clientCpuMs: number;
  rssMiB: number;
}

/** What one cell came to. */
export interface McpFigures {
  readonly subject: McpSubject;
  readonly inFlight: number;
  readonly rate: number;
  readonly p50: number;
  readonly p99: number;
  readonly cpuUs: number;
}

export const mcpBench: Bench = {
  about: `256-byte echo over MCP and HTTP, closed loop from a process of its own; rate is the median of ${rounds} rounds of ${roundMs} ms in an order drawn from seed ${seed}; ratio = rate against the SDK alone in the same revision; CPU is of the process that is asked`,
  async run(options) {
    await using opened = new AsyncDisposableStack();
    // Not the system's temporary directory: that may be memory, where the hub's audit log costs nothing.
    const cache = join(import.meta.dirname, "node_modules/.cache");
    await mkdir(cache, { recursive: true });
    const directory = await mkdtemp(join(cache, "mcp-"));
    opened.defer(() => rm(directory, { recursive: true, force: true }));
    return await callRows(directory, options);
  },
};

async function callRows(directory: string, { only = "", progress }: RunOptions): Promise<Row[]> {
  await using opened = new AsyncDisposableStack();
  progress("starting servers, hubs and gateways");
  const subjects = await openMcpSubjects(directory, opened);
  const client = opened.use(
    await startChild<object, McpLoad, Sample>(
      "./mcp-client-process.ts",
      subjects.map(({ target }) => target),
    ),
  );
  const cells = subjects
    .flatMap((subject, target) =>
      inFlights.map(
        (inFlight): McpCell => ({
          subject,
          target,
          inFlight,
          samples: [],
          cpuMs: 0,
          appCpuMs: 0,
          clientCpuMs: 0,
          rssMiB: 0,
        }),
      ),
    )
    .filter(({ subject, inFlight }) => rowName(subject.name, inFlight).includes(only));
  for (const target of new Set(cells.map(({ target }) => target))) {
    await client.work({ target, inFlight: Math.max(...inFlights), durationMs: warmUpMs });
  }
  const random = createRandom(seed);
  for (let round = 1; round <= rounds; round++) {
    progress(`round ${round} of ${rounds}`);
    for (const cell of shuffled(cells, random)) await measure(cell, client);
  }
  const figures = cells.map(figuresOf);
  return [...cells.map((cell, i) => rowOf(cell, figures[i]!)), ...targetRows(figures)];
}

async function measure(cell: McpCell, client: Client): Promise<void> {
  const { target, inFlight, subject } = cell;
  await client.work({ target, inFlight, durationMs: settleMs });
  const before = [cpuMsOf(subject.pid), descendantsCpuMs(subject.pid), cpuMsOf(client.pid)] as const;
  cell.samples.push(await client.work({ target, inFlight, durationMs: roundMs }));
  cell.cpuMs += cpuMsOf(subject.pid) - before[0];
  cell.appCpuMs += descendantsCpuMs(subject.pid) - before[1];
  cell.clientCpuMs += cpuMsOf(client.pid) - before[2];
  cell.rssMiB = rssMiBOf(subject.pid);
}

function figuresOf({ subject, inFlight, samples, cpuMs }: McpCell): McpFigures {
  const sorted = samples.flatMap(({ latenciesMs }) => latenciesMs).toSorted((a, b) => a - b);
  const rates = samples.map(({ latenciesMs, elapsedMs }) => (latenciesMs.length / elapsedMs) * 1000);
  return {
    subject,
    inFlight,
    rate: percentile(
      rates.toSorted((a, b) => a - b),
      0.5,
    ),
    p50: percentile(sorted, 0.5),
    p99: percentile(sorted, 0.99),
    cpuUs: (1000 * cpuMs) / sorted.length,
  };
}

function rowOf(cell: McpCell, { subject, inFlight, rate, p50, p99, cpuUs }: McpFigures): Row {
  const calls = cell.samples.reduce((sum, { latenciesMs }) => sum + latenciesMs.length, 0);
  const perCallUs = (ms: number) => (ms === 0 ? "" : formatNumber((1000 * ms) / calls));
  return {
    name: rowName(subject.name, inFlight),
    unit: "calls/s",
    value: rate,
    p50,
    p99,
    baseline: subject.kind === "direct" ? undefined : rowName(directName(subject.target.revision), inFlight),
    notes: {
      "CPU µs": formatNumber(cpuUs),
      "its children": perCallUs(cell.appCpuMs),
      client: perCallUs(cell.clientCpuMs),
      "RSS MiB": Math.round(cell.rssMiB).toString(),
    },
  };
}

function rowName(subject: string, inFlight: number): string {
  return `${subject}, ${inFlight} in flight`;
}
