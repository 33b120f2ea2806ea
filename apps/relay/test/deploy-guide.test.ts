/** The guide's own commands, up to what needs an account. */
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { mkdir, mkdtemp, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { formatAdmissionKey } from "@fed/transport-relay";
import { expect, test } from "vitest";
import { testRelayKeys } from "../../../packages/transport-relay/test/memory-relay.js";
import { freePort } from "./node-relay.js";
import { joinRawHub } from "./raw-hub.js";
import { installWrangler } from "./workerd.js";

const guide = readFileSync(join(import.meta.dirname, "../../../docs/guide/relay-cloudflare.md"), "utf8");
const fences = [...guide.matchAll(/```bash\n(.*?)```/gs)].map(([, text]) => text!.trim().split("\n"));
const isBuilt = existsSync(join(import.meta.dirname, "../dist/worker.js"));
if (!isBuilt) console.info("skipped: the deployment, because apps/relay is not built");
const folder = isBuilt ? await installWrangler().catch(() => undefined) : undefined;
if (isBuilt && folder === undefined) console.info("skipped: the deployment, because npm could not install wrangler");

const keys = testRelayKeys();
const admit = `ADMIT:${formatAdmissionKey(keys.admissionPublicKey)}`;

test("the guide deploys in at most five commands", () => {
  expect(fences.slice(0, 2).flat().length).toBeLessThanOrEqual(5);
});

test.skipIf(folder === undefined)(
  "what the guide says bundles, would be deployed, and serves hubs under wrangler dev",
  async () => {
    const home = await mkdtemp(join(tmpdir(), "fed-deploy-"));
    await using cleanup = new AsyncDisposableStack();
    cleanup.defer(() => rm(home, { recursive: true, force: true }));
    await mkdir(join(home, "node_modules/@fed"), { recursive: true });
    await symlink(join(import.meta.dirname, ".."), join(home, "node_modules/@fed/relay"));
    const env = {
      ...process.env,
      PATH: `${join(folder!, "node_modules/.bin")}:${process.env.PATH}`,
      HOME: home,
      CI: "1",
      WRANGLER_SEND_METRICS: "false",
    };
    const command = (start: string) => {
      const line = fences.flat().find((one) => one.startsWith(`npx ${start}`))!;
      const [program, ...args] = line.replace(/^npx /, "").split(" ");
      return { program: program!, args: args.map((one) => (one.startsWith("ADMIT:") ? admit : one)) };
    };

    const deploy = command("wrangler deploy");
    const { stdout } = await promisify(execFile)(deploy.program, [...deploy.args, "--dry-run"], { cwd: home, env });
    expect(stdout).toContain("env.CLUSTERS (DurableRelay)");
    expect(stdout).toContain("env.ADMIT");

    const port = await freePort();
    const dev = command("wrangler dev");
    const child = spawn(
      dev.program,
      dev.args.map((one) => (one === "8787" ? `${port}` : one)),
      {
        cwd: home,
        env,
        stdio: "ignore",
        detached: true,
      },
    );
    cleanup.defer(async () => {
      const ended = once(child, "exit");
      process.kill(-child.pid!, "SIGTERM");
      await ended;
    });
    const health = () =>
      fetch(`http://127.0.0.1:${port}/healthz`).then(
        (answer) => answer.text(),
        () => "",
      );
    await expect.poll(health, { timeout: 30_000 }).toBe("ok\n");
    const [a, b] = [
      await joinRawHub({ url: `ws://127.0.0.1:${port}`, keys }),
      await joinRawHub({ url: `ws://127.0.0.1:${port}`, keys }),
    ];
    a.send(b, Uint8Array.of(1));
    await expect.poll(() => b.count("recv")).toBe(1);
    for (const hub of [a, b]) hub.close();
  },
  60_000,
);
