/** What the conformance suite is pointed at: the same app, reached in different ways. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { setTimeout as pause } from "node:timers/promises";
import type { AppConfig, Hub, HubOptions } from "../packages/hub/src/index.ts";
import { root } from "./workspace.ts";

/** A target that runs. */
export interface OpenTarget {
  /** An MCP endpoint on loopback: the suite tests protection against DNS rebinding, which is about loopback. */
  readonly url: string;
  /** What every request needs as `Authorization: Bearer`. */
  readonly token?: string;
  close(): Promise<void>;
}

/** A way to the app. */
export interface ConformanceTarget {
  readonly name: string;
  open(): Promise<OpenTarget>;
}

/** What a child says when it is ready. */
async function firstLineOf(stdout: Readable): Promise<string> {
  for await (const line of createInterface(stdout)) return line;
  throw new Error("The target ended before it was ready.");
}

const app = join(root, "examples/conformance-app");

/** The app alone, as a baseline. */
const direct: ConformanceTarget = {
  name: "direct",
  async open() {
    const child = spawn(process.execPath, [join(app, "http.ts")], { stdio: ["ignore", "pipe", "inherit"] });
    return {
      url: await firstLineOf(child.stdout),
      async close() {
        child.kill();
        if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
      },
    };
  },
};

/** A hub that reaches the app itself, over its pipes or over HTTP. */
function ownHub(name: string, config: () => Promise<OpenApp>): ConformanceTarget {
  return {
    name,
    async open() {
      const stack = new AsyncDisposableStack();
      const app = stack.use(await config());
      const hub = await openHub(stack, "pc1", { http, apps: { everything: app.config } });
      return endpointOf(hub, "pc1", stack);
    },
  };
}

/** A hub that reaches the app through another hub on the LAN. */
const overLan: ConformanceTarget = {
  name: "hub to hub, LAN",
  async open() {
    const stack = new AsyncDisposableStack();
    const pc1 = await openHub(stack, "pc1", { http, lan: loopback });
    await pc1.cluster.create({ name: "home" });
    const peers = pc1.cluster.status().lan?.addresses ?? [];
    return farApp(stack, pc1, { lan: { ...loopback, peers } });
  },
};

/** A hub that reaches the app through another hub behind a relay. */
const overRelay: ConformanceTarget = {
  name: "hub to hub, relay",
  async open() {
    const stack = new AsyncDisposableStack();
    const dir = await temporary(stack);
    const founded = await openHub(stack, "pc1", { relays: false }, dir);
    await founded.cluster.create({ name: "home" });
    const { relayAdmissionKey } = founded.cluster.status();
    await founded.close();
    const { startRelay } = (await import(
      join(root, "apps/relay/dist/index.js")
    )) as typeof import("../apps/relay/src/index.ts");
    const relay = await startRelay({ admissionKeys: [relayAdmissionKey!] });
    stack.defer(() => relay.close());
    const pc1 = await openHub(stack, "pc1", { http, relays: [relay.url] }, dir);
    while (pc1.cluster.status().relays[0]?.status !== "up") await pause(50);
    return farApp(stack, pc1, { relays: [relay.url] });
  },
};

/** Lets a second hub join `near` and share the app with it. */
async function farApp(stack: AsyncDisposableStack, near: Hub, options: Partial<HubOptions>): Promise<OpenTarget> {
  const { config } = stack.use(await overStdio());
  const far = await openHub(stack, "pc2", { ...options, apps: { everything: config } });
  await far.cluster.join(await near.cluster.invite());
  await far.sharing.share("everything", "cluster");
  while (!near.cluster.peers().some(({ name, path }) => name === "pc2" && path !== undefined)) await pause(50);
  return endpointOf(near, "pc2", stack);
}

interface OpenApp extends AsyncDisposable {
  readonly config: AppConfig;
}

const http = { host: "127.0.0.1", port: 0 };
const loopback = { listen: { host: "127.0.0.1", port: 0 }, discovery: false } as const;

async function overStdio(): Promise<OpenApp> {
  return { config: { command: process.execPath, args: [join(app, "stdio.ts")] }, async [Symbol.asyncDispose]() {} };
}

async function overHttp(): Promise<OpenApp> {
  const { url, close } = await direct.open();
  return { config: { url }, [Symbol.asyncDispose]: close };
}

async function openHub(
  stack: AsyncDisposableStack,
  name: string,
  options: Partial<HubOptions>,
  dir?: string,
): Promise<Hub> {
  const { createHub } = (await import(
    join(root, "packages/hub/dist/index.js")
  )) as typeof import("../packages/hub/src/index.ts");
  return stack.use(await createHub({ dir: dir ?? (await temporary(stack)), name, ...options }));
}

async function temporary(stack: AsyncDisposableStack): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), "fed-conformance-"));
  stack.defer(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

async function endpointOf(hub: Hub, owner: string, stack: AsyncDisposableStack): Promise<OpenTarget> {
  const { token } = await hub.operators.issueToken({ name: "judge", scope: "ReadWrite" });
  return { url: `${hub.url}/apps/${owner}/everything/mcp`, token, close: () => stack.disposeAsync() };
}

export const targets: readonly ConformanceTarget[] = [
  direct,
  ownHub("own hub, stdio app", overStdio),
  ownHub("own hub, HTTP app", overHttp),
  overLan,
  overRelay,
];
