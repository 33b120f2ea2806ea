/** How many round trips pass between TCP and the first answer: the time to it over lines of two lengths. */
import { createTcpLine } from "@fed/core/testing-node";
import { startChild } from "./child.ts";
import { createIssuer } from "./credentials.ts";
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
  const colon = server.ready.lastIndexOf(":");
  const [host, serverPort] = [server.ready.slice(0, colon), Number(server.ready.slice(colon + 1))];
  const tookMs: number[] = [];
  for (const oneWayMs of oneWaysMs) {
    await using line = await createTcpLine({ host, port: serverPort, conditions: { latencyMs: oneWayMs } });
    const times: number[] = [];
    for (let i = 0; i < samples; i++) times.push(await timeFirstAnswer(await issue(), line.address));
    tookMs.push(median(times));
  }
  const [near, far] = tookMs as [number, number];
  const roundTrips = (far - near) / (2 * (oneWaysMs[1] - oneWaysMs[0]));
  const notes = { "first answer, no line, ms": (near - roundTrips * 2 * oneWaysMs[0]).toFixed(1) };
  // Timers on a busy machine are worth no more digits.
  const value = Math.round(roundTrips * 10) / 10;
  return [{ name, unit: "RTT", value, target: maxRoundTrips, better: "less", notes }];
}

async function timeFirstAnswer(credentials: WireCredentials, address: string): Promise<number> {
  const startMs = performance.now();
  const client = await lan.connect({ wire: "lan", credentials, modules: "" }, address);
  await client.echo(Buffer.from("first"));
  const tookMs = performance.now() - startMs;
  await client.close();
  return tookMs;
}
