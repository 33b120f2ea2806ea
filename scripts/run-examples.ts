/**
 * Runs every example's `start` script; an example checks itself and exits non-zero on a mismatch. The first fleet runs once
 * more where multicast does not work, because then another way must carry it, and it must say so.
 */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { type Ended, run } from "./steps.ts";
import { root, workspacesIn } from "./workspace.ts";

function report(what: string, { code, output, ms }: Ended, alsoHolds = true): void {
  const ok = code === 0 && alsoHolds;
  console.log(`${ok ? "ok  " : "FAIL"} ${what} (${(ms / 1000).toFixed(1)} s)`);
  if (ok) return;
  console.log(output);
  process.exit(1);
}

for (const { path, directory, json } of workspacesIn("examples")) {
  const start = json.scripts?.start;
  if (!start) throw new Error(`${path} has no start script`);
  report(path, await run("sh", ["-c", start], { cwd: directory, timeoutMs: 120_000 }));
}

// A network of its own, in which somebody who shares it with nobody holds the multicast DNS port.
const holdPort = 'require("node:dgram").createSocket("udp6").bind(5353)';
const script = `ip link set lo up
"$NODE" -e '${holdPort}' &
until grep -q ":14E9 " /proc/net/udp6; do sleep 0.1; done
"$NODE" main.ts
status=$?
kill %1
exit $status`;
if (spawnSync("unshare", ["--net", "true"]).status === 0) {
  const ended = await run("unshare", ["--net", "bash", "-c", script], {
    cwd: join(root, "examples/first-fleet"),
    env: { ...process.env, NODE: process.execPath },
    timeoutMs: 120_000,
  });
  report("examples/first-fleet without multicast", ended, ended.output.includes("multicast does not work here"));
} else {
  console.log("skip examples/first-fleet without multicast: needs Linux and root for a network namespace");
}
