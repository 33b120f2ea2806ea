/** Runs every example's `start` script; an example checks itself and exits non-zero on a mismatch. */
import { run } from "./steps.ts";
import { workspacesIn } from "./workspace.ts";

for (const { path, directory, json } of workspacesIn("examples")) {
  const start = json.scripts?.start;
  if (!start) throw new Error(`${path} has no start script`);
  const { code, output, ms } = await run("sh", ["-c", start], { cwd: directory, timeoutMs: 120_000 });
  console.log(`${code === 0 ? "ok  " : "FAIL"} ${path} (${(ms / 1000).toFixed(1)} s)`);
  if (code !== 0) {
    console.log(output);
    process.exit(1);
  }
}
