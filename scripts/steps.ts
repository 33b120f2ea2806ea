/** Runs child processes for the other scripts: output is kept and shown only where it helps. */
import { spawn } from "node:child_process";

/** How one process ended. */
export interface Ended {
  readonly code: number;
  readonly output: string;
  readonly ms: number;
}

/** Options of {@link run}. */
export interface RunOptions {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  /** Default 10 minutes. */
  readonly timeoutMs?: number;
  /** Show the output while it comes. */
  readonly show?: boolean;
}

/** Runs `command` and resolves when it has ended, whichever way; its whole process group ends with it. */
export async function run(command: string, args: readonly string[], options: RunOptions = {}): Promise<Ended> {
  const startedAt = performance.now();
  const child = spawn(command, args, {
    cwd: options.cwd,
    env: options.env ?? process.env,
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (chunk: Buffer) => {
      output += chunk.toString("utf8");
      if (options.show) process.stdout.write(chunk);
    });
  }
  const timer = setTimeout(() => {
    output += `\n(ended after ${options.timeoutMs ?? 600_000} ms)\n`;
    endGroup(child.pid);
  }, options.timeoutMs ?? 600_000);
  const code = await new Promise<number>((resolve) => {
    child.once("error", (error) => {
      output += `${error.message}\n`;
      resolve(127);
    });
    child.once("exit", (status, signal) => resolve(status ?? (signal ? 128 : 1)));
  });
  clearTimeout(timer);
  endGroup(child.pid);
  return { code, output, ms: performance.now() - startedAt };
}

function endGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // Nothing of the group is left.
  }
}
