/**
 * The Cloudflare host on workerd, through miniflare, without an account. Wrangler and all it brings is 230 MB, so it is no dependency:
 * npm installs it in the version named here, without install scripts, below `node_modules/.cache` when it is first needed.
 */
import { execFile } from "node:child_process";
import { access, mkdir, rename, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { promisify } from "node:util";
import type { RelayLimits } from "@fed/transport-relay";
import { build } from "esbuild";

const wranglerVersion = "4.164.0";
const root = join(import.meta.dirname, "../../..");

/** The part of miniflare that is used here. */
interface Miniflare {
  readonly ready: Promise<URL>;
  unsafeEvictDurableObject(
    script: string,
    className: string,
    options: { name: string; webSockets: "hibernate" },
  ): Promise<void>;
  dispose(): Promise<void>;
}

/** The folder that has wrangler, installed now if need be. */
export async function installWrangler(): Promise<string> {
  const folder = join(import.meta.dirname, `../node_modules/.cache/wrangler-${wranglerVersion}`);
  const done = join(folder, "node_modules/wrangler/package.json");
  if (
    await access(done).then(
      () => true,
      () => false,
    )
  )
    return folder;
  // Into a folder of its own first: two runs may begin at once, and one may be cut short.
  const fresh = `${folder}.${process.pid}`;
  await mkdir(fresh, { recursive: true });
  await writeFile(
    join(fresh, "package.json"),
    JSON.stringify({ private: true, dependencies: { wrangler: wranglerVersion } }),
  );
  await promisify(execFile)("npm", ["install", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], {
    cwd: fresh,
    timeout: 180_000,
  });
  await rename(fresh, folder).catch(() => rm(fresh, { recursive: true }));
  return folder;
}

/** A relay on workerd that runs. */
export interface WorkerdRelay extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
  /** Takes the cluster's object out of memory, its sockets stay open; the next message wakes it. */
  hibernate(tag: string): Promise<void>;
  /** How often an object was made or woken. */
  wakes(): number;
  /** The process id of workerd. */
  readonly pid: number;
  kill(): Promise<void>;
  /** Ends workerd without a word to anybody, as a deployment does. Idempotent. */
  close(): Promise<void>;
}

/** Starts workerd with the Worker built from source. */
export async function startWorkerdRelay(options: {
  admissionKeys: readonly string[];
  port?: number;
  limits?: Partial<RelayLimits>;
}): Promise<WorkerdRelay> {
  const folder = await installWrangler();
  const miniflare = createRequire(join(folder, "node_modules/wrangler/package.json"))("miniflare") as {
    Miniflare: new (options: unknown) => Miniflare;
    convertV4MiniflareOptions(options: unknown): unknown;
  };
  const others = await workerds();
  let wakes = 0;
  const running = new miniflare.Miniflare(
    miniflare.convertV4MiniflareOptions({
      name: "fed-relay",
      host: "127.0.0.1",
      port: options.port ?? 0,
      modules: true,
      script: await bundledWorker(),
      compatibilityDate: "2026-09-01",
      bindings: { ADMIT: options.admissionKeys.join(" "), ...(options.limits && { LIMITS: options.limits }) },
      handleStructuredLogs: ({ message }: { message: string }) => {
        if (message === "woken") wakes++;
        else console.error(message);
      },
      durableObjects: { CLUSTERS: { className: "DurableRelay", useSQLite: true } },
    }),
  );
  const { host, port } = await running.ready;
  const pid = (await workerds()).find((one) => !others.includes(one))!;
  let closing: Promise<void> | undefined;
  const close = () => (closing ??= running.dispose());
  return {
    url: `ws://${host}`,
    port: Number(port),
    hibernate: (name) =>
      running.unsafeEvictDurableObject("fed-relay", "DurableRelay", { name, webSockets: "hibernate" }),
    wakes: () => wakes,
    pid,
    kill() {
      process.kill(pid, "SIGKILL");
      return close();
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

async function workerds(): Promise<number[]> {
  const { stdout } = await promisify(execFile)("pgrep", ["-P", `${process.pid}`, "workerd"]).catch(() => ({
    stdout: "",
  }));
  return stdout.trim().split("\n").map(Number);
}

let bundled: Promise<string> | undefined;

/** The Worker itself, and an object that tells when it is made. */
const entry = `
  import worker, { DurableRelay as Itself } from "./src/worker.ts";
  export class DurableRelay extends Itself {
    constructor(...given) {
      super(...given);
      console.log("woken");
    }
  }
  export default worker;
`;

/** As wrangler bundles it: with the conditions of a Worker, from source as every test. */
function bundledWorker(): Promise<string> {
  bundled ??= build({
    stdin: { contents: entry, resolveDir: join(root, "apps/relay") },
    bundle: true,
    write: false,
    format: "esm",
    target: "es2024",
    conditions: ["workerd", "worker", "browser"],
    alias: {
      "@fed/core": join(root, "packages/core/src/index.ts"),
      "@fed/transport-relay/core": join(root, "packages/transport-relay/src/core/index.ts"),
      "#relay-ed25519": join(root, "packages/transport-relay/src/ed25519-noble.ts"),
    },
    logLevel: "error",
  }).then(({ outputFiles }) => outputFiles[0]!.text);
  return bundled;
}
