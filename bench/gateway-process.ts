/** A program under test that knows nothing of the benchmark: started, waited for, measured from outside, ended with all its children. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { createServer } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { descendantsOf } from "./process-cost.ts";

const startMs = 30_000;
const stopMs = 5_000;

/** A running program. */
export interface GatewayProcess extends AsyncDisposable {
  readonly pid: number;
}

/** Options of {@link startGateway}. */
export interface GatewayOptions {
  readonly args: readonly string[];
  /** Answers GET with 200 once the gateway serves. */
  readonly readyUrl: string;
  /** Between two looks at `readyUrl`. Default 50 ms. */
  readonly lookEveryMs?: number;
  readonly env?: Readonly<Record<string, string>>;
}

/** Starts `node ARGS…`; resolves when it is ready. @throws {Error} when it ends before, or is not ready in 30 s. */
export async function startGateway(options: GatewayOptions): Promise<GatewayProcess> {
  const { args, readyUrl, lookEveryMs = 50, env } = options;
  const child = spawn(process.execPath, args, {
    stdio: ["ignore", "ignore", "pipe"],
    env: { ...process.env, ...env },
  });
  let printed = "";
  child.stderr.on("data", (chunk: Buffer) => {
    printed = (printed + chunk.toString("utf8")).slice(-1000);
  });
  const exited = once(child, "exit");
  const pid = child.pid!;
  const gateway: GatewayProcess = {
    pid,
    async [Symbol.asyncDispose]() {
      const descendants = descendantsOf(pid);
      child.kill("SIGTERM");
      if (!(await Promise.race([exited, pause(stopMs)]))) child.kill("SIGKILL");
      await exited;
      for (const left of descendants) endIfThere(left);
    },
  };
  for (const deadlineMs = performance.now() + startMs; !(await answersOk(readyUrl)); await pause(lookEveryMs)) {
    if (child.exitCode === null && performance.now() < deadlineMs) continue;
    await gateway[Symbol.asyncDispose]();
    throw new Error(`${args[0]} was not ready in ${startMs / 1000} s. It printed: ${printed}`);
  }
  return gateway;
}

/** A loopback port that was free just now. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

async function answersOk(url: string): Promise<boolean> {
  try {
    return (await fetch(url)).ok;
  } catch {
    return false; // Nobody listens yet.
  }
}

function endIfThere(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It went with its parent.
  }
}
