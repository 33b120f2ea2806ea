/** How many round trips pass between TCP and the first answer: the time to it over lines of two lengths. */
import { startChild } from "./child.ts";
import { createIssuer } from "./credentials.ts";
import { createDelayedLine } from "./delayed-line.ts";
import { median } from "./load.ts";
import type { Row, RunOptions } from "./row.ts";
import { lan } from "./wires/lan.ts";
import type { WireCredentials } from "./wires/wire.ts";

const oneWaysMs = [5, 55] as const;
const samples = 9;
const maxRoundTrips = 2;
const name = "connect and first call, LAN";

/** The row. What computing takes is the same on both lines and drops out. */
export async function firstCallRows({ only = "", progress }: RunOptions): Promise<Row[]> {
  if (!name.includes(only)) return [];
  progress("connecting over long lines");
  await using opened = new AsyncDisposableStack();
  const issue = await createIssuer();
  const setUp = { wire: "lan", modules: "" };
  const server = opened.use(
    await startChild<string>("./wires/server-process.ts", { ...setUp, credentials: await issue() }),
  );
  const serverPort = Number(server.ready.slice(server.ready.lastIndexOf(":") + 1));
  const tookMs: number[] = [];
  for (const oneWayMs of oneWaysMs) {
    await using line = await createDelayedLine(serverPort, oneWayMs);
    const times: number[] = [];
    for (let i = 0; i < samples; i++) times.push(await timeFirstAnswer(await issue(), line.port));
    tookMs.push(median(times));
  }
  const [near, far] = tookMs as [number, number];
  const value = (far - near) / (2 * (oneWaysMs[1] - oneWaysMs[0]));
  const notes = { "first answer, no line, ms": (near - value * 2 * oneWaysMs[0]).toFixed(1) };
  return [{ name, unit: "RTT", value, target: maxRoundTrips + 0.05, better: "less", notes }];
}

async function timeFirstAnswer(credentials: WireCredentials, port: number): Promise<number> {
  const startMs = performance.now();
  const client = await lan.connect({ wire: "lan", credentials, modules: "" }, `127.0.0.1:${port}`);
  await client.echo(Buffer.from("first"));
  const tookMs = performance.now() - startMs;
  await client.close();
  return tookMs;
}
