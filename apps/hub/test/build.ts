/** Makes sure that what the tests start is what the sources say: bundles every package whose `dist` is older than its `src`. */
import { execFileSync } from "node:child_process";
import { existsSync, globSync, statSync } from "node:fs";
import { join } from "node:path";
import { root, workspacesIn } from "../../../scripts/workspace.ts";

/** Vitest runs this once, before the first test of this folder. */
export function setup(): void {
  for (const { directory } of [...workspacesIn("packages"), ...workspacesIn("apps")]) {
    if (!existsSync(join(directory, "tsup.config.ts")) || isFresh(directory)) continue;
    execFileSync(process.execPath, [join(root, "node_modules/tsup/dist/cli-default.js"), "--silent"], {
      cwd: directory,
      stdio: ["ignore", "ignore", "inherit"],
    });
  }
}

function isFresh(directory: string): boolean {
  const built = join(directory, "dist/index.js");
  if (!existsSync(built)) return false;
  const builtAt = statSync(built).mtimeMs;
  return globSync(join(directory, "src/**/*.ts")).every((file) => statSync(file).mtimeMs <= builtAt);
}
