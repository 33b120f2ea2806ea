/** How a command reaches its hub: over the loopback API while it runs, or in this process on its state directory while it is stopped. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { FedError, isFedError } from "@fed/core";
import type { Hub, RunFile } from "@fed/hub";
import { CliError } from "./output.js";

/** How long a hub that is there may take to say so. */
const answerMs = 5_000;
/** How long a directory may be locked by others. */
const lockedMs = 5_000;

/** What the running hub left in its state directory, or undefined; it may be what a killed one left. */
export function readRunFile(dir: string): RunFile | undefined {
  try {
    return JSON.parse(readFileSync(join(dir, "run.json"), "utf8")) as RunFile;
  } catch {
    return undefined;
  }
}

/**
 * The running hub, or undefined while it is stopped. What a killed hub left is recognised even where another process
 * has its process id or its port by now.
 * @throws {CliError} HUB_UNREACHABLE when something is there that does not answer.
 */
export async function findRunning(dir: string): Promise<RunFile | undefined> {
  const run = readRunFile(dir);
  if (!run || !isAlive(run.pid)) return undefined;
  try {
    const response = await fetch(`${run.url}/api/federation/identity`, {
      headers: { authorization: `Bearer ${run.token}` },
      signal: AbortSignal.timeout(answerMs),
    });
    // A hub knows the token of its own run; whoever else has its port by now does not.
    const { hubId } = (await response.json()) as { hubId?: unknown };
    return response.ok && typeof hubId === "string" ? run : undefined;
  } catch (cause) {
    if ((cause as Error).name !== "TimeoutError") return undefined;
    throw new CliError({
      code: "HUB_UNREACHABLE",
      message: `Process ${run.pid}, which ${join(dir, "run.json")} names, does not answer at ${run.url}.`,
      hint: "If it is this hub, end it and start it again; if it is not, remove that file.",
      cause,
    });
  }
}

/** The running hub. @throws {CliError} HUB_NOT_RUNNING; HUB_UNREACHABLE as {@link findRunning}. */
export async function requireRunning(dir: string): Promise<RunFile> {
  const run = await findRunning(dir);
  if (!run) throw notRunning(dir);
  return run;
}

/** The error for a hub that is stopped. */
export function notRunning(dir: string): CliError {
  return new CliError({
    code: "HUB_NOT_RUNNING",
    message: `The hub in ${dir} is not running.`,
    hint: "Start it with `fed up`.",
  });
}

/** Sends one request to the running hub's API and returns its JSON. @throws {FedError} with the hub's own code. */
export async function request<T>(run: RunFile, method: string, path: string, body?: object): Promise<T> {
  let response: Response;
  let text: string;
  try {
    response = await fetch(`${run.url}/api/federation${path}`, {
      method,
      headers: { authorization: `Bearer ${run.token}`, ...(body ? { "content-type": "application/json" } : {}) },
      body: body ? JSON.stringify(body) : undefined,
    });
    text = await response.text();
  } catch (cause) {
    throw hubGone(cause);
  }
  if (!response.ok) throw failureOf(response, text);
  return JSON.parse(text) as T;
}

/** The error that the hub answered with. */
export function failureOf(response: Response, text: string): FedError {
  const { code, title, hint, retryable } = JSON.parse(text) as {
    code?: string;
    title?: string;
    hint?: string;
    retryable?: boolean;
  };
  return new FedError({ code: code ?? "INTERNAL", message: title ?? response.statusText, hint, retryable });
}

/** The error for a hub that went away while it was asked. */
export function hubGone(cause: unknown): CliError {
  return new CliError({
    code: "HUB_UNREACHABLE",
    message: "The hub went away before it answered; whether it did what was asked is unknown.",
    hint: "See `fed doctor`.",
    cause,
  });
}

/** Runs `work` on the stopped hub of `dir`; it federates with nobody meanwhile. */
export async function withStoppedHub<T>(dir: string, work: (hub: Hub) => Promise<T>): Promise<T> {
  const { createHub } = await import("@fed/hub");
  await using hub = await createHub({ dir, http: false, relays: false });
  return await work(hub);
}

/** `online` when the hub runs, else `offline` on its state directory: both must mean the same. */
export function onHub<T>(
  dir: string,
  online: (run: RunFile) => Promise<T>,
  offline: (hub: Hub) => Promise<T>,
): Promise<T> {
  return whenUnlocked(dir, async () => {
    const run = await findRunning(dir);
    return run ? online(run) : withStoppedHub(dir, offline);
  });
}

/**
 * Does `work` again while it ends in STATE_LOCKED: another command has the directory for a moment, or a hub is starting.
 * Gives up after 5 s, and at once when the hub was running already.
 */
export async function whenUnlocked<T>(dir: string, work: () => Promise<T>): Promise<T> {
  const giveUpAt = performance.now() + lockedMs;
  let running = false;
  for (;;) {
    try {
      return await work();
    } catch (error) {
      const locked = isFedError(error) && error.code === "STATE_LOCKED";
      if (!locked || running || performance.now() > giveUpAt) throw error;
      running = (await findRunning(dir)) !== undefined;
      if (!running) await setTimeout(50);
    }
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (cause) {
    return (cause as NodeJS.ErrnoException).code === "EPERM";
  }
}
