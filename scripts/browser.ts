/** A browser for tests and examples: headless Chromium, and programs bundled from source as a page would load them. */
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { build, type Plugin } from "esbuild";
import { type Browser, chromium } from "playwright-core";
import { root } from "./workspace.ts";

const programs = ["chromium-headless-shell", "chromium", "google-chrome"].map((name) => `/usr/bin/${name}`);

/** Starts Chromium, which is installed first if need be and possible; the reason where there is none. */
export async function launchBrowser(): Promise<Browser | string> {
  const installed = () => programs.find((path) => existsSync(path));
  if (!installed() && process.getuid?.() === 0 && existsSync("/etc/debian_version")) install();
  const executablePath = installed();
  if (executablePath === undefined) return "no Chromium; install chromium-headless-shell";
  return chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu"] });
}

/** Debian's package; a new machine may have no package lists yet, and another process may be installing, too. */
function install(): void {
  const shell = `get() { apt-get -qq -o DPkg::Lock::Timeout=120 "$@"; }
    get install -y --no-install-recommends chromium-headless-shell ||
    { get update && get install -y --no-install-recommends chromium-headless-shell; }`;
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  try {
    execFileSync("sh", ["-c", shell], { env, stdio: "ignore", timeout: 240_000 });
  } catch {
    // Offline, perhaps: what counts is whether it is there now.
  }
}

/** What `imports` of our packages name off Node, in the source. */
const offNode: Readonly<Record<string, string>> = {
  "#hmac-sha256": "packages/audit-chain/src/hmac-sha256-noble.ts",
  "#ed25519": "packages/trust/src/ed25519-noble.ts",
  "#relay-ed25519": "packages/transport-relay/src/ed25519-noble.ts",
  "#relay-hmac": "packages/transport-relay/src/hmac-noble.ts",
  "#noise-suite": "packages/transport-relay/src/noise-suite-noble.ts",
  "#chacha": "packages/transport-relay/src/chacha-noble.ts",
};

const fromSource: Plugin = {
  name: "from-source",
  setup({ onResolve }) {
    onResolve({ filter: /^#/ }, ({ path }) => ({ path: join(root, offNode[path]!) }));
    onResolve({ filter: /^@fed\// }, ({ path }) => {
      const [, room, door = ""] = path.split("/");
      return { path: join(root, "packages", room!, "src", door, "index.ts"), sideEffects: false };
    });
  },
};

/** The program at `entry` (TypeScript, absolute) with our packages from source, for a browser; Node's modules are an error. */
export async function bundleFromSource(entry: string): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [entry],
    bundle: true,
    write: false,
    format: "esm",
    platform: "browser",
    target: "es2024",
    plugins: [fromSource],
    logLevel: "silent",
  });
  return outputFiles[0]!.text;
}

/** A site of one page that runs `program`. */
export interface Site extends AsyncDisposable {
  readonly url: string;
}

/** As strict as a page's policy can be: no code but its own program's, none made of text, no WebAssembly. */
const policy = "default-src 'none'; script-src 'self'; connect-src 'self' ws://127.0.0.1:*";

/** Serves `program` on loopback, which browsers take for secure. */
export async function serveProgram(program: string, title = "a page"): Promise<Site> {
  const html = `<!doctype html><title>${title}</title><script type="module" src="/program.js"></script>`;
  const server: Server = createServer(({ url }, response) => {
    const [type, body] = url === "/program.js" ? ["text/javascript", program] : ["text/html", html];
    response.writeHead(200, { "content-type": `${type}; charset=utf-8`, "content-security-policy": policy }).end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
