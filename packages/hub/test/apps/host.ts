/** An app host for tests, with real processes, and what tests ask of it. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Clock, type HubId, type Store, systemClock } from "@fed/core";
import { createMemoryStore } from "@fed/core/memory";
import type { AppContext, Notification } from "@fed/router";
import { type AppHost, createAppHost } from "../../src/apps/app-host.js";
import { processes } from "../../src/apps/process-group.js";
import type { AppConfig, AppHealth, StdioAppConfig } from "../../src/index.js";
import { openSeal } from "../../src/seal.js";

const fixture = (name: string): string => fileURLToPath(new URL(`../fixture/${name}`, import.meta.url));

/** The fixture with a fault, see there. */
export function withFault(fault: string, ...more: string[]): StdioAppConfig {
  return { command: process.execPath, args: [fixture("bad-app.ts"), fault, ...more] };
}

/** An app that starts in a few milliseconds; its tool `pid` says its process number. */
export const tinyApp: StdioAppConfig = { command: "/bin/sh", args: [fixture("tiny-app.sh")] };

/** Options of {@link openHost}. */
export interface TestHostOptions {
  readonly clock?: Clock;
  readonly store?: Store;
  readonly ledgerFile?: string;
}

/** A host, and a folder that goes with it. */
export interface TestHost extends AsyncDisposable {
  readonly host: AppHost;
  readonly root: string;
  file(name: string): string;
  /** Sends one request; `signal` default never aborts. */
  request(app: string, method: string, params?: object, options?: TestRequestOptions): Promise<unknown>;
  /** The text that a tool answers with. */
  call(app: string, tool: string, options?: TestRequestOptions & { readonly arguments?: object }): Promise<string>;
  health(app: string): AppHealth;
}

export interface TestRequestOptions {
  readonly signal?: AbortSignal;
  readonly notify?: (notification: Notification) => void;
}

/** A host with `apps`. */
export async function openHost(
  apps: Readonly<Record<string, AppConfig>>,
  { clock = systemClock, store = createMemoryStore(), ledgerFile }: TestHostOptions = {},
): Promise<TestHost> {
  const root = mkdtempSync(join(tmpdir(), "fed-apps-"));
  const host = createAppHost({
    clock,
    store,
    seal: await openSeal(store),
    ledgerFile: ledgerFile ?? join(root, "app-processes.json"),
    onError: (error) => {
      throw error;
    },
  });
  await host.configure(apps);
  const request: TestHost["request"] = (app, method, params = {}, { signal, notify } = {}) =>
    host.call(app, { method, params }, contextOf(signal, notify));
  return {
    host,
    root,
    file: (name) => join(root, name),
    request,
    async call(app, tool, { arguments: args = {}, ...options } = {}) {
      const result = (await request(app, "tools/call", { name: tool, arguments: args }, options)) as {
        readonly content: readonly { readonly text: string }[];
      };
      return result.content[0]!.text;
    },
    health: (app) => host.health().find((each) => each.app === app)!,
    async [Symbol.asyncDispose]() {
      await host.close();
      rmSync(root, { recursive: true, force: true });
    },
  };
}

/** What the router tells an app of a call by ann. */
export function contextOf(
  signal: AbortSignal = new AbortController().signal,
  notify: (notification: Notification) => void = () => {},
): AppContext {
  const homeHub = "hub" as HubId;
  return {
    callId: "call",
    caller: { operator: `ann@${homeHub}`, homeHub, roles: [], scope: ["apps.call"], local: true, hubs: [homeHub] },
    signal,
    notify,
  };
}

/** Whether a process runs; one that has ended and that nobody has waited for does not. */
export function isRunning(pid: number): boolean {
  return processes().some((each) => each.pid === pid && !each.zombie);
}

/** Processes below this one. */
export function descendants(): number[] {
  const parents = new Map<number, number>();
  for (const { pid, zombie } of processes()) {
    if (zombie) continue;
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
      parents.set(pid, Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]));
    } catch {
      // It has ended since.
    }
  }
  const isBelow = (pid: number | undefined): boolean =>
    pid !== undefined && (parents.get(pid) === process.pid || isBelow(parents.get(pid)));
  return [...parents.keys()].filter(isBelow);
}

/** Files, pipes and sockets this process has open. */
export function openFiles(): number {
  return readdirSync("/proc/self/fd").length;
}
