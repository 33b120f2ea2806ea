/** How long a call waits while one bulk stream fills a slow cable that both share, and how much of the cable bulk gets. */
import { setTimeout as pause } from "node:timers/promises";
import { createTcpLine } from "@fed/core/testing-node";
import { startChild } from "./child.ts";
import { createIssuer } from "./credentials.ts";
import { percentile } from "./load.ts";
import type { Row, RunOptions } from "./row.ts";
import { lan } from "./wires/lan.ts";

const mbitPerSecond = 20;
const bufferBytes = 256 * 1024;
const pushSeconds = 10;
const callEveryMs = 20;
/** TCP and the window have found the rate by then. */
const settleMs = 1_000;
const maxP99Ms = 150;
const name = `call beside bulk, LAN at ${mbitPerSecond} Mbit/s`;

/** The row: its value is the p99. The cable's buffer is full as soon as somebody fills it, as that of a switch is. */
export async function saturatedRows({ only = "", progress }: RunOptions): Promise<Row[]> {
  if (!name.includes(only)) return [];
  progress("filling a slow line");
  await using opened = new AsyncDisposableStack();
  const issue = await createIssuer();
  const setUp = { wire: "lan", modules: "" };
  const server = opened.use(
    await startChild<string>("./wires/server-process.ts", { ...setUp, credentials: await issue() }),
  );
  const port = Number(server.ready.slice(server.ready.lastIndexOf(":") + 1));
  const rate = (mbitPerSecond * 1_000_000) / 8;
  const line = opened.use(await createTcpLine({ host: "127.0.0.1", port, conditions: { rate, bufferBytes } }));
  const client = await lan.connect({ ...setUp, credentials: await issue() }, line.address);
  const body = Buffer.alloc(256, 7);
  const pushBytes = rate * pushSeconds;
  const startMs = performance.now();
  let pushedMs = 0;
  const pushed = client.push!(pushBytes).then(() => {
    pushedMs = performance.now() - startMs;
  });
  await pause(settleMs);
  const latenciesMs: number[] = [];
  while (pushedMs === 0) {
    const sentMs = performance.now();
    await client.echo(body);
    latenciesMs.push(performance.now() - sentMs);
    await pause(callEveryMs);
  }
  await pushed;
  await client.close();
  const sorted = latenciesMs.toSorted((a, b) => a - b);
  const p99 = percentile(sorted, 0.99);
  const bulk = (pushBytes * 8) / pushedMs / 1000;
  return [
    {
      name,
      unit: "ms",
      value: p99,
      better: "less",
      p50: percentile(sorted, 0.5),
      p99,
      target: maxP99Ms,
      notes: { calls: `${sorted.length}`, "bulk, Mbit/s": bulk.toFixed(1) },
    },
  ];
}
