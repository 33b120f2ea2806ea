/** How a command reaches its hub: over the loopback API while it runs, or in this process on its state directory while it is stopped. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { FedError } from "@fed/core";
import { createHub, type Hub, type RunFile } from "@fed/hub";
import { CliError } from "./output.js";

/** Where the running hub listens, or undefined while it is stopped. */
export function findRunning(dir: string): RunFile | undefined {
  const file = join(dir, "run.json");
  if (!existsSync(file)) return undefined;
  try {
    const run = JSON.parse(readFileSync(file, "utf8")) as RunFile;
    process.kill(run.pid, 0);
    return run;
  } catch {
    return undefined;
  }
}

/** The running hub. @throws {CliError} HUB_NOT_RUNNING. */
export function requireRunning(dir: string): RunFile {
  const run = findRunning(dir);
  if (!run)
    throw new CliError({
      code: "HUB_NOT_RUNNING",
      message: `The hub in ${dir} is not running.`,
      hint: "Start it with `fed up`.",
    });
  return run;
}

/** Sends one request to the running hub's API and returns its JSON. @throws {FedError} with the hub's own code. */
export async function request<T>(run: RunFile, method: string, path: string, body?: object): Promise<T> {
  let response: Response;
  try {
    response = await fetch(`${run.url}/api/federation${path}`, {
      method,
      headers: { authorization: `Bearer ${run.token}`, ...(body ? { "content-type": "application/json" } : {}) },
      body: body ? JSON.stringify(body) : undefined,
    });
  } catch (cause) {
    throw new CliError({
      code: "HUB_UNREACHABLE",
      message: `The hub at ${run.url} does not answer.`,
      hint: "See `fed doctor`.",
      cause,
    });
  }
  const value = (await response.json()) as T & { code?: string; title?: string; hint?: string; retryable?: boolean };
  if (response.ok) return value;
  throw new FedError({
    code: value.code ?? "INTERNAL",
    message: value.title ?? response.statusText,
    hint: value.hint,
    retryable: value.retryable,
  });
}

/** Runs `work` on the stopped hub of `dir`; it federates with nobody meanwhile. */
export async function withStoppedHub<T>(dir: string, work: (hub: Hub) => Promise<T>): Promise<T> {
  await using hub = await createHub({ dir, http: false, relays: false });
  return await work(hub);
}

/** `online` when the hub runs, else `offline` on its state directory: both must mean the same. */
export function onHub<T>(
  dir: string,
  online: (run: RunFile) => Promise<T>,
  offline: (hub: Hub) => Promise<T>,
): Promise<T> {
  const run = findRunning(dir);
  return run ? online(run) : withStoppedHub(dir, offline);
}
