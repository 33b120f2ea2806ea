/** Operating-system processes of the fleet, all started through the `fed` command that a user would type. */
import { type ChildProcess, spawn } from "node:child_process";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

const require = createRequire(import.meta.url);
const cli = join(dirname(require.resolve("@fed/cli/package.json")), "dist/cli.js");

/** Everything still running, so that nothing is left behind however the demo ends. */
const running = new Set<ChildProcess>();
let stopping = false;

/** What a finished command printed, and how it ended. */
export interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

function start(args: readonly string[]): ChildProcess {
  if (stopping) throw new Error("The demo is coming to its end.");
  const child = spawn(process.execPath, [cli, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  running.add(child);
  child.once("exit", () => running.delete(child));
  return child;
}

/** Runs one command to its end. */
export function run(dir: string, ...args: readonly string[]): Promise<Ended> {
  const child = start(["--dir", dir, "--json", ...args]);
  let stdout = "";
  let stderr = "";
  child.stdout!.on("data", (chunk) => (stdout += chunk));
  child.stderr!.on("data", (chunk) => (stderr += chunk));
  return new Promise((resolve) => child.once("close", (code) => resolve({ code: code ?? 1, stdout, stderr })));
}

/** Runs one command that must succeed, and returns the JSON it prints. */
export async function fed<T>(dir: string, ...args: readonly string[]): Promise<T> {
  const { code, stdout, stderr } = await run(dir, ...args);
  if (code !== 0) throw new Error(`fed ${args.join(" ")} ended with ${code}: ${stderr}`);
  return JSON.parse(stdout) as T;
}

/** A command that runs on. */
export interface Up<T> {
  /** The JSON it printed once it was up. */
  readonly up: T;
  /** Ends it as Ctrl-C does. */
  stop(): Promise<void>;
}

/** Starts a command that runs on; resolves once it is up. */
export async function fedUp<T>(dir: string, ...args: readonly string[]): Promise<Up<T>> {
  const child = start(["--dir", dir, "--json", ...args]);
  let stdout = "";
  let stderr = "";
  child.stderr!.on("data", (chunk) => (stderr += chunk));
  return new Promise((resolve, reject) => {
    child.stdout!.on("data", (chunk) => {
      stdout += chunk;
      try {
        resolve({ up: JSON.parse(stdout) as T, stop: () => stop(child) });
      } catch {
        // The document is not whole yet.
      }
    });
    child.once("exit", (code) => reject(new Error(`fed ${args.join(" ")} ended with ${code}: ${stderr}`)));
  });
}

/** Ends every process that was started here. */
export async function stopAll(): Promise<void> {
  stopping = true;
  await Promise.all([...running].map(stop));
}

/** Ends one process: politely, and after five seconds not. */
async function stop(child: ChildProcess): Promise<void> {
  const gone = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGTERM");
  const timer = setTimeout(() => child.kill("SIGKILL"), 5000);
  await gone;
  clearTimeout(timer);
}
