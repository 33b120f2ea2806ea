/** Hubs as a user runs them: `fed` as a process of its own, on state directories in a temporary folder. */
import { type ChildProcess, type SpawnOptions, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createHub, type RunFile } from "@fed/hub";
import { expect, vi } from "vitest";

/** The built command. */
export const cli: string = join(import.meta.dirname, "../dist/cli.js");
/** Hundreds of processes that all load the same modules. */
const compileCache = join(tmpdir(), "fed-cli-compile-cache");
const fixture = join(import.meta.dirname, "fixture/app.ts");

/** How a command ended. */
export interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** What stderr says of a failure with `--json`. */
export interface Failure {
  readonly code: string;
  readonly message: string;
  readonly hint?: string;
}

/** What `fed up --json` prints. */
export interface HubUp {
  readonly hubId: string;
  readonly url: string;
  readonly mcp: string;
  readonly pid: number;
}

/** A command that runs on. */
export interface Running<T> {
  readonly child: ChildProcess;
  /** The document it printed once it was up. */
  readonly up: T;
  /** Sends `signal`, by default SIGTERM, and waits for the end. Idempotent. */
  stop(signal?: NodeJS.Signals): Promise<{ readonly status: number | null; readonly signal: NodeJS.Signals | null }>;
}

/** A folder with hubs in it; whatever still runs ends with it. */
export class Home implements AsyncDisposable {
  readonly root: string = mkdtempSync(join(tmpdir(), "fed-cli-"));
  readonly #children = new Set<ChildProcess>();

  /** The state directory of `hub`, or any other path in the folder. */
  path(...names: string[]): string {
    return join(this.root, ...names);
  }

  /** Runs `fed` to its end. */
  async run(args: readonly string[], options: SpawnOptions = {}): Promise<Ended> {
    const child = this.spawn(args, options);
    const output = collect(child);
    const [status] = (await once(child, "close")) as [number | null];
    return { status, ...output() };
  }

  /** Runs `fed --dir HUB --json …`, which must succeed: one document on stdout and nothing anywhere else. */
  async json<T>(hub: string, ...args: string[]): Promise<T> {
    const { status, stdout, stderr } = await this.run(["--dir", this.path(hub), "--json", ...args]);
    expect({ status, stderr }, args.join(" ")).toEqual({ status: 0, stderr: "" });
    return JSON.parse(stdout) as T;
  }

  /** What the running `hub` answers at `path` of its API: the command's own answer without a process, to be asked often. */
  async get<T>(hub: string, path: string): Promise<T> {
    const { url, token } = JSON.parse(readFileSync(this.path(hub, "run.json"), "utf8")) as RunFile;
    const answer = await fetch(`${url}/api/federation${path}`, { headers: { authorization: `Bearer ${token}` } });
    expect(answer.status, path).toBe(200);
    return (await answer.json()) as T;
  }

  /** Runs `fed --dir HUB …`, which must succeed, and returns what a person reads. */
  async text(hub: string, ...args: string[]): Promise<string> {
    const { status, stdout, stderr } = await this.run(["--dir", this.path(hub), ...args]);
    expect({ status, stderr }, args.join(" ")).toEqual({ status: 0, stderr: "" });
    return stdout;
  }

  /** Runs `fed --dir HUB --json …`, which must fail with `code` and a next step, and print nothing on stdout. */
  async refused(hub: string, args: readonly string[], code: string, status = 1): Promise<Failure> {
    const json = await this.run(["--dir", this.path(hub), "--json", ...args]);
    const { error } = JSON.parse(json.stderr) as { error: Failure };
    expect({ status: json.status, stdout: json.stdout, code: error.code }, args.join(" ")).toEqual({
      status,
      stdout: "",
      code,
    });
    expect(error.hint, `${args.join(" ")}: ${error.message}`).toBeTruthy();
    return error;
  }

  /** Starts a command that runs on; resolves with the first JSON document it prints. */
  async start<T>(args: readonly string[], options: SpawnOptions = {}): Promise<Running<T>> {
    const child = this.spawn(["--json", ...args], options);
    const output = collect(child);
    const up = await new Promise<T>((resolve, reject) => {
      child.stdout!.on("data", () => {
        try {
          resolve(JSON.parse(output().stdout) as T);
        } catch {
          // The document is not whole yet.
        }
      });
      child.once("close", () => reject(new Error(`fed ${args.join(" ")} ended: ${output().stderr}`)));
    });
    return {
      child,
      up,
      stop: async (signal = "SIGTERM") => {
        if (child.exitCode !== null) return { status: child.exitCode, signal: null };
        const ended = once(child, "exit") as Promise<[number | null, NodeJS.Signals | null]>;
        child.kill(signal);
        const [status, by] = await ended;
        return { status, signal: by };
      },
    };
  }

  /** What `fed init` makes, without the cost of a process; founding a cluster and sharing `notes` with it on request. */
  async init(hub: string, options: { readonly cluster?: string; readonly share?: boolean } = {}): Promise<void> {
    await using made = await createHub({ dir: this.path(hub), name: hub, http: false, relays: false });
    if (options.cluster !== undefined) await made.cluster.create({ name: options.cluster });
    if (options.share) await made.sharing.share("notes", "cluster");
  }

  /** `fed up` for `hub`. */
  up(hub: string, ...args: string[]): Promise<Running<HubUp>> {
    return this.start<HubUp>(["--dir", this.path(hub), "up", ...args]);
  }

  /** An `mcpServers` file with the fixture under each name; a name that ends in `!` does not end when it is told to. */
  apps(hub: string, ...names: string[]): string {
    const entries = names.map((name) => [
      name.replace("!", ""),
      {
        command: process.execPath,
        args: [fixture, this.path(`${hub}-heard`), ...(name.endsWith("!") ? ["stubborn"] : [])],
      },
    ]);
    const file = this.path(`${hub}.json`);
    writeFileSync(file, JSON.stringify({ mcpServers: Object.fromEntries(entries) }));
    return file;
  }

  /** What the apps of `hub` wrote down so far. */
  heard(hub: string): string[] {
    try {
      return readFileSync(this.path(`${hub}-heard`), "utf8")
        .split("\n")
        .filter(Boolean);
    } catch {
      return [];
    }
  }

  /** Resolves once an app of `hub` wrote down `line`. */
  async hears(hub: string, line: string): Promise<void> {
    await eventually(() => expect(this.heard(hub)).toContain(line));
  }

  /**
   * `pc1`, which founded the cluster `home` and is its authority, and `pc2`, which joined it, on loopback and without
   * multicast. Each runs the fixture as `notes`; only pc2's is shared.
   */
  async pair(): Promise<{ pc1: Running<HubUp>; pc2: Running<HubUp> }> {
    await this.init("pc1", { cluster: "home" });
    await this.init("pc2", { share: true });
    const lan = ["--lan", "127.0.0.1:0", "--no-discovery"];
    const pc1 = await this.up("pc1", "--mcp-config", this.apps("pc1", "notes"), ...lan);
    const status = await this.json<{ lan: { addresses: string[] } }>("pc1", "cluster", "status");
    const peer = status.lan.addresses[0]!;
    const pc2 = await this.up("pc2", "--mcp-config", this.apps("pc2", "notes"), ...lan, "--peer", peer);
    const { token } = await this.json<{ token: string }>("pc1", "invite");
    const { connected } = await this.json<{ connected: boolean }>("pc2", "join", token);
    expect(connected).toBe(true);
    return { pc1, pc2 };
  }

  spawn(args: readonly string[], options: SpawnOptions = {}): ChildProcess {
    const child = spawn(process.execPath, [cli, ...args], {
      stdio: ["ignore", "pipe", "pipe"],
      cwd: this.root,
      ...options,
      env: { ...process.env, HOME: this.root, NODE_COMPILE_CACHE: compileCache, ...options.env },
    });
    this.#children.add(child);
    child.once("close", () => this.#children.delete(child));
    return child;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(
      [...this.#children].map(async (child) => {
        const gone = once(child, "close");
        child.kill("SIGKILL");
        await gone;
      }),
    );
    rmSync(this.root, { recursive: true, force: true });
  }
}

/** Resolves once `expectation` holds. */
export async function eventually(expectation: () => unknown): Promise<void> {
  await vi.waitFor(expectation, { timeout: 15_000, interval: 20 });
}

/** Whether a process is there. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

function collect(child: ChildProcess): () => { stdout: string; stderr: string } {
  let stdout = "";
  let stderr = "";
  child.stdout?.on("data", (chunk: Buffer) => (stdout += chunk.toString("utf8")));
  child.stderr?.on("data", (chunk: Buffer) => (stderr += chunk.toString("utf8")));
  return () => ({ stdout, stderr });
}
