/** Hubs for tests: real ones, in this process, with state in a folder of their own and an app that answers in kind. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { appendFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Clock, systemClock } from "@fed/core";
import { McpServer } from "@modelcontextprotocol/server";
import { expect } from "vitest";
import { z } from "zod";
import { type AppConfig, createHub, type Hub, type HubOptions } from "../src/index.js";

/** What an app was asked, as it saw it itself. */
export interface AppLog {
  readonly calls: unknown[];
  cancelled: number;
}

/** An in-process app with tools `echo`, `wait` (until cancelled) and `count` (with progress). */
export function testApp(log: AppLog = { calls: [], cancelled: 0 }): AppConfig {
  return {
    title: "Test app",
    server: () => {
      const server = new McpServer({ name: "test-app", version: "1.0.0" }, { capabilities: { tools: {} } });
      server.registerTool(
        "echo",
        { inputSchema: z.object({ text: z.string() }), annotations: { readOnlyHint: true } },
        ({ text }) => {
          log.calls.push(text);
          return { content: [{ type: "text", text }] };
        },
      );
      server.registerTool("count", { inputSchema: z.object({ to: z.number() }) }, async ({ to }, { mcpReq }) => {
        for (let progress = 1; progress <= to; progress++) {
          const progressToken = mcpReq._meta?.progressToken;
          if (progressToken !== undefined)
            await mcpReq.notify({ method: "notifications/progress", params: { progress, total: to, progressToken } });
        }
        return { content: [{ type: "text", text: `counted to ${to}` }] };
      });
      server.registerTool("wait", { inputSchema: z.object({}) }, async (_input, { mcpReq }) => {
        log.calls.push("wait");
        await new Promise<void>((resolve) => mcpReq.signal.addEventListener("abort", () => resolve(), { once: true }));
        log.cancelled++;
        return { content: [] };
      });
      return server;
    },
  };
}

/** Makes hubs and takes them down again. */
export class TestFleet implements AsyncDisposable {
  readonly root: string = mkdtempSync(join(tmpdir(), "fed-hub-"));
  readonly #hubs: Hub[] = [];

  dirOf(name: string): string {
    return join(this.root, name);
  }

  async hub(name: string, options: Partial<HubOptions> = {}): Promise<Hub> {
    const hub = await createHub({ dir: this.dirOf(name), name, ...options });
    this.#hubs.push(hub);
    return hub;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const hub of this.#hubs) await hub.close();
    rmSync(this.root, { recursive: true, force: true });
  }
}

/** Two hubs of one cluster on the LAN, connected; `pc1` founded it and dials nobody. */
export async function pair(
  fleet: TestFleet,
  options: { readonly pc1?: Partial<HubOptions>; readonly pc2?: Partial<HubOptions> } = {},
): Promise<{ pc1: Hub; pc2: Hub }> {
  const pc1 = await fleet.hub("pc1", { lan: loopback, ...options.pc1 });
  await pc1.cluster.create({ name: "home" });
  const pc2 = await fleet.hub("pc2", { lan: { ...loopback, peers: [addressOf(pc1)] }, ...options.pc2 });
  await pc2.apps.settled();
  await pc2.cluster.join(await pc1.cluster.invite());
  return { pc1, pc2 };
}

/** Where a hub listens on the LAN. */
export function addressOf(hub: Hub): string {
  return hub.cluster.status().lan!.addresses[0]!;
}

const fixture = (name: string): string => fileURLToPath(new URL(`fixture/${name}`, import.meta.url));

/**
 * Starts `pc2` in a process of its own and waits until it is up: its directory, the LAN address of a hub to try, a file
 * that its app `notes` appends to, and a pairing token if it is to join.
 */
export async function startHubProcess(
  ...args: [dir: string, peer: string, effects: string, token?: string]
): Promise<ChildProcess> {
  const source = ["--import", fixture("from-source.mjs"), fixture("hub-process.ts")];
  const child = spawn(process.execPath, [...source, ...(args as string[])], { stdio: ["ignore", "pipe", "inherit"] });
  const [first] = await Promise.race([once(child.stdout!, "data"), once(child, "exit")]);
  expect(String(first)).toBe("up\n");
  return child;
}

/** As the kernel ends a process that it has no memory for. */
export async function killProcess(child: ChildProcess): Promise<void> {
  child.kill("SIGKILL");
  await once(child, "exit");
}

/** A file system of its own that can be filled up. */
export interface TinyDisk extends Disposable {
  readonly path: string;
  fill(): void;
  free(): void;
  remount(mode: "ro" | "rw"): void;
}

/** A disk of `size` bytes (`1m`), or undefined where this process may not mount one: then the reason is printed. */
export function tinyDisk(size: string): TinyDisk | undefined {
  const path = mkdtempSync(join(tmpdir(), "fed-disk-"));
  const filler = join(path, "filler");
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", `size=${size}`, "fed-test", path], { stdio: "pipe" });
  } catch (cause) {
    rmSync(path, { recursive: true, force: true });
    console.info(`skipped: no file system can be mounted here (${String(cause).split("\n")[0]})`);
    return undefined;
  }
  return {
    path,
    fill() {
      for (let bytes = 1024 * 1024; bytes >= 1; bytes >>= 1) {
        try {
          for (;;) appendFileSync(filler, Buffer.alloc(bytes));
        } catch {
          // Full for pieces of this size.
        }
      }
    },
    free: () => rmSync(filler, { force: true }),
    remount: (mode) => void execFileSync("mount", ["-o", `remount,${mode}`, path]),
    [Symbol.dispose]() {
      execFileSync("umount", ["-l", path]);
      rmSync(path, { recursive: true, force: true });
    },
  };
}

/** A wall clock that days can be added to. Timers of an hour and more run by it, shorter ones by the machine's clock. */
export interface Calendar extends Clock {
  pass(days: number): void;
}

/** See {@link Calendar}. Begin in the past: OpenSSL judges leaves by the machine's clock and takes none from the future. */
export function createCalendar(options: { readonly daysAgo: number }): Calendar {
  const hourMs = 60 * 60_000;
  let aheadMs = -options.daysAgo * 24 * hourMs;
  const timers = new Set<{ readonly atMs: number; readonly callback: () => void }>();
  const nowMs = () => systemClock.nowMs() + aheadMs;
  return {
    nowMs,
    monotonicMs: () => systemClock.monotonicMs() + aheadMs,
    setTimer(delayMs, callback) {
      if (delayMs < hourMs) return systemClock.setTimer(delayMs, callback);
      const timer = { atMs: nowMs() + delayMs, callback };
      timers.add(timer);
      return { cancel: () => void timers.delete(timer) };
    },
    pass(days) {
      aheadMs += days * 24 * hourMs;
      for (const timer of [...timers]) {
        if (timer.atMs > nowMs()) continue;
        timers.delete(timer);
        timer.callback();
      }
    },
  };
}

/** On loopback, found by address alone. */
export const loopback = { listen: { host: "127.0.0.1", port: 0 }, discovery: false } as const;
