/** `pnpm bench up`: how soon `fed up` serves, and what it takes when nobody calls. The built command, three apps over stdio. */
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { echoCommand } from "./echo-app.ts";
import { freePort, startGateway } from "./gateway-process.ts";
import { percentile } from "./load.ts";
import { rssMiBOf } from "./process-cost.ts";
import type { Bench, Row, RunOptions } from "./row.ts";

const fed = fileURLToPath(new URL("../apps/hub/dist/cli.js", import.meta.url));
const starts = 7;
const idleMs = 5_000;
const maxStartMs = 700;
const maxIdleMiB = 110;
const startName = "fed up to ready, three apps";
const idleName = "fed up, idle, three apps";

export const upBench: Bench = {
  about: `time from the start of the process until /readyz says so, median of ${starts}; resident memory of the hub alone, ${idleMs / 1000} s later`,
  async run(options) {
    await using opened = new AsyncDisposableStack();
    const directory = await mkdtemp(join(tmpdir(), "fed-up-"));
    opened.defer(() => rm(directory, { recursive: true, force: true }));
    return await measure(directory, options);
  },
};

async function measure(directory: string, { only = "", progress }: RunOptions): Promise<Row[]> {
  const dir = join(directory, "up");
  const config = join(directory, "apps.json");
  const mcpServers = Object.fromEntries(["one", "two", "three"].map((name) => [name, echoCommand]));
  await writeFile(config, JSON.stringify({ mcpServers }));
  await promisify(execFile)(process.execPath, [fed, "--dir", dir, "init", "--name", "up"]);
  const startedMs: number[] = [];
  let idleMiB = 0;
  for (let start = 1; start <= starts; start++) {
    progress(`start ${start} of ${starts}`);
    const port = await freePort();
    const atMs = performance.now();
    await using hub = await startGateway({
      args: [fed, "--dir", dir, "up", "--mcp-config", config, "--http", `127.0.0.1:${port}`],
      readyUrl: `http://127.0.0.1:${port}/readyz`,
      lookEveryMs: 5,
    });
    startedMs.push(performance.now() - atMs);
    if (start < starts) continue;
    await pause(idleMs);
    idleMiB = rssMiBOf(hub.pid);
  }
  const sorted = startedMs.toSorted((a, b) => a - b);
  const rows: Row[] = [
    { name: startName, unit: "ms", value: percentile(sorted, 0.5), target: maxStartMs, better: "less", notes: {} },
    { name: idleName, unit: "MiB", value: idleMiB, target: maxIdleMiB, better: "less", notes: {} },
  ];
  return rows.filter(({ name }) => name.includes(only));
}
