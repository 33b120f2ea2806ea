/**
 * Packages of others that are measured, not depended upon: npm installs them, in the versions named, below
 * `node_modules/.cache` when they are first needed, without running their install scripts.
 */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { access, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

/** The `node_modules` that has these `versions`. @throws {Error} what npm said when it cannot. */
export async function installPackages(versions: Readonly<Record<string, string>>): Promise<string> {
  const wanted = Object.entries(versions).map(([name, version]) => `${name}@${version}`);
  const name = createHash("sha256").update(wanted.join()).digest("hex").slice(0, 16);
  const folder = join(import.meta.dirname, "node_modules/.cache/peers", name);
  const done = join(folder, "installed");
  try {
    await access(done);
  } catch {
    await mkdir(folder, { recursive: true });
    // A manifest of its own: npm must not take the workspace around it for its project.
    await writeFile(join(folder, "package.json"), JSON.stringify({ private: true }));
    const options = ["--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"];
    await promisify(execFile)("npm", ["install", ...options, ...wanted], { cwd: folder });
    await writeFile(done, "");
  }
  return join(folder, "node_modules");
}
