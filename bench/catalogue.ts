/** `pnpm bench catalogue`: what it takes to list, page and search the apps of a large fleet, and to remember them. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { type CatalogueFleet, startCatalogueFleet } from "./catalogue-fleet.ts";
import { percentile } from "./load.ts";
import type { Bench, Row } from "./row.ts";

const size = { hubs: 1000, appsPerHub: 10, toolsPerApp: 5, seed: 20260701 };
const apps = size.hubs * size.appsPerHub;
const tools = apps * size.toolsPerApp;
const runs = 200;
const warmUpRuns = 20;
const maxListMs = 50;
const maxFirstMs = 1000;

export const catalogueBench: Bench = {
  about: `${size.hubs} hubs x ${size.appsPerHub} apps x ${size.toolsPerApp} tools over in-memory sessions; latency of ${runs} runs after ${warmUpRuns}, one at a time`,
  async run({ only = "", progress }) {
    progress(`connecting ${size.hubs} hubs`);
    // No socket holds this process.
    const held = setInterval(() => {}, 1000);
    await using opened = new AsyncDisposableStack();
    opened.defer(() => clearInterval(held));
    const fleet = opened.use(await startCatalogueFleet(size));
    return (await measure(fleet, progress)).filter(({ name }) => name.includes(only));
  },
};

async function measure({ router, caller }: CatalogueFleet, progress: (text: string) => void): Promise<Row[]> {
  const emptyBytes = heapBytes();
  progress("the first list");
  const startMs = performance.now();
  const first = await router.list(caller);
  const firstMs = performance.now() - startMs;
  if (first.length !== apps) throw new Error(`${first.length} of ${apps} apps were listed`);
  first.length = 0;
  const listedBytes = heapBytes() - emptyBytes;

  const list = await timed("list, from cache", async () => (await router.list(caller)).length, apps);
  progress("pages and searches");
  const middle = await cursorAt(apps / 2);
  const rows = [
    { ...list, target: maxListMs },
    {
      ...(await timed("page of 100, first", async () => (await router.page(caller)).apps.length, 100)),
      target: maxListMs,
    },
    {
      ...(await timed(
        "page of 100, from the middle",
        async () => (await router.page(caller, { cursor: middle })).apps.length,
        100,
      )),
      target: maxListMs,
    },
    await searched("search, one word of every tool", "the"),
    await searched("search, a word of some", "invoice"),
    await searched("search, two words", "archive sensor"),
    await searched("search, nothing found", "zeppelin"),
  ];
  const searchedBytes = heapBytes() - emptyBytes;
  return [
    { name: "list, the first", unit: "ms", value: firstMs, better: "less", target: maxFirstMs, notes: {} },
    ...rows,
    memory("heap for 10,000 apps, listed", listedBytes),
    memory("heap for 10,000 apps, searched", searchedBytes),
  ];

  async function searched(name: string, query: string): Promise<Row> {
    const { hits } = await router.search(caller, query);
    const row = await timed(name, async () => (await router.search(caller, query)).hits.length, hits.length);
    return { ...row, target: maxListMs };
  }

  async function cursorAt(index: number): Promise<string> {
    let cursor: string | undefined;
    for (let at = 0; at < index; at += 1000) {
      cursor = (await router.page(caller, { limit: 1000, ...(cursor !== undefined && { cursor }) })).nextCursor;
    }
    return cursor!;
  }
}

async function timed(name: string, work: () => Promise<number>, expected: number): Promise<Row> {
  const times: number[] = [];
  for (let run = 0; run < warmUpRuns + runs; run++) {
    const startMs = performance.now();
    const count = await work();
    if (run >= warmUpRuns) times.push(performance.now() - startMs);
    if (count !== expected) throw new Error(`${name}: ${count} instead of ${expected}`);
  }
  times.sort((a, b) => a - b);
  const p50 = percentile(times, 0.5);
  return { name, unit: "ms", value: p50, p50, p99: percentile(times, 0.99), better: "less", notes: {} };
}

function memory(name: string, bytes: number): Row {
  const perTool = Math.round(bytes / tools);
  return {
    name,
    unit: "MiB",
    value: bytes / (1 << 20) / (apps / 10_000),
    better: "less",
    notes: { "B per tool": `${perTool}` },
  };
}

/** Bytes in use after everything that is not needed has been collected. */
function heapBytes(): number {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  for (let round = 0; round < 3; round++) collect();
  return process.memoryUsage().heapUsed;
}
