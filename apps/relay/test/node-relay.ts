/** Node relays, and a NATS server, as processes that tests can kill. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { build } from "esbuild";
import type { StartRelayOptions } from "../src/index.js";

const root = join(import.meta.dirname, "../../..");

/** A process that listens. */
export interface ListeningProcess extends AsyncDisposable {
  readonly pid: number;
  readonly url: string;
  readonly port: number;
  /** Waits for its end. Idempotent. */
  end(signal: "SIGTERM" | "SIGKILL"): Promise<void>;
}

let bundled: Promise<string> | undefined;

/** The path of the bundle; named for what is in it, so that runs beside this one are not disturbed. */
async function bundle(): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [join(import.meta.dirname, "relay-process.ts")],
    bundle: true,
    write: false,
    format: "esm",
    platform: "node",
    target: "node22",
    external: ["ws", "@nats-io/transport-node"],
    alias: {
      "@fed/core": join(root, "packages/core/src/index.ts"),
      "@fed/transport-relay/core": join(root, "packages/transport-relay/src/core/index.ts"),
      "#relay-ed25519": join(root, "packages/transport-relay/src/ed25519-node.ts"),
    },
    logLevel: "error",
  });
  const { hash, contents } = outputFiles[0]!;
  const folder = join(import.meta.dirname, "../node_modules/.cache");
  const script = join(folder, `relay-process.${hash.replace(/\W/g, "")}.mjs`);
  mkdirSync(folder, { recursive: true });
  writeFileSync(`${script}.${process.pid}`, contents);
  renameSync(`${script}.${process.pid}`, script);
  return script;
}

/** Starts a relay from source. */
export async function startNodeRelay(
  options: Pick<StartRelayOptions, "limits" | "port" | "several"> & { admissionKeys: readonly string[] },
): Promise<ListeningProcess> {
  bundled ??= bundle();
  const script = await bundled;
  const child = spawn(process.execPath, [script, JSON.stringify(options)], { stdio: ["ignore", "pipe", "inherit"] });
  const [line] = (await Promise.race([
    once(createInterface(child.stdout), "line"),
    once(child, "exit").then(() => Promise.reject(new Error("the relay did not start"))),
  ])) as [string];
  const [url, port] = line.split(" ");
  return listening(child, url!, Number(port));
}

/** Why there can be no NATS server here; undefined when there can. It is installed if need be, as root on Debian. */
export function natsMissing(): string | undefined {
  if (hasNats()) return undefined;
  if (process.getuid?.() !== 0 || !existsSync("/etc/debian_version")) return "no nats-server, and not root on Debian";
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  // The package would start a server of its own.
  const policy = "/usr/sbin/policy-rc.d";
  const shell = `[ -e ${policy} ] || { printf '#!/bin/sh\\nexit 101\\n' > ${policy}; chmod +x ${policy}; mine=1; }
    get() { apt-get -qq -o DPkg::Lock::Timeout=120 "$@"; }
    get install -y nats-server || { get update && get install -y nats-server; }
    [ -z "$mine" ] || rm ${policy}`;
  try {
    execFileSync("sh", ["-c", shell], { env, stdio: "ignore", timeout: 240_000 });
  } catch {
    // Whatever the shell said: what counts is whether it is there now.
  }
  return hasNats() ? undefined : "nats-server could not be installed";
}

function hasNats(): boolean {
  try {
    execFileSync("nats-server", ["--version"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

/** Starts a NATS server of one's own. */
export async function startNats(port?: number): Promise<ListeningProcess> {
  const at = port ?? (await freePort());
  const folder = mkdtempSync(join(tmpdir(), "fed-nats-"));
  const child = spawn("nats-server", ["-a", "127.0.0.1", "-p", `${at}`, "-P", join(folder, "pid")], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  for await (const line of createInterface(child.stderr!)) if (line.includes("Server is ready")) break;
  child.stderr!.resume();
  return listening(child, `nats://127.0.0.1:${at}`, at);
}

/** A port that nobody listens at. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, "close");
  return port;
}

/** Resident memory of a process, bytes. */
export function residentBytes(pid: number): number {
  return 1024 * Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))![1]);
}

function listening(child: ChildProcess, url: string, port: number): ListeningProcess {
  const exited = once(child, "exit");
  const end = async (signal: "SIGTERM" | "SIGKILL") => {
    child.kill(signal);
    await exited;
  };
  return { pid: child.pid!, url, port, end, [Symbol.asyncDispose]: () => end("SIGKILL") };
}
