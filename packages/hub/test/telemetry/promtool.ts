/** `promtool` of Debian's prometheus package, taken out of the package: installing it would set up a server as well. */
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, globSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** The program's path, or why there is none. */
export function findPromtool(): { readonly path: string } | { readonly missing: string } {
  if (spawnSync("promtool", ["--version"]).status === 0) return { path: "promtool" };
  if (process.getuid?.() !== 0 || !existsSync("/etc/debian_version")) {
    return { missing: "promtool is not installed, and is fetched only by root on Debian" };
  }
  const cwd = mkdtempSync(join(tmpdir(), "fed-promtool-"));
  const run = (...[command, ...args]: string[]) =>
    execFileSync(command!, args, { cwd, stdio: "ignore", timeout: 120_000 });
  const fetch = () => run("apt-get", "download", "prometheus");
  try {
    try {
      fetch();
    } catch {
      // A new machine may have no package lists yet.
      run("apt-get", "update");
      fetch();
    }
    run("dpkg-deb", "-x", globSync("prometheus_*.deb", { cwd })[0]!, ".");
    return { path: join(cwd, "usr/bin/promtool") };
  } catch (cause) {
    return { missing: `promtool could not be fetched: ${(cause as Error).message}` };
  }
}

/** What it has to say of a page of metrics; throws when it cannot read the page. */
export function remarksOn(page: string, promtool: string): string[] {
  const { status, stderr } = spawnSync(promtool, ["check", "metrics"], { input: page });
  const said = stderr.toString();
  // 3: readable, with remarks.
  if (status !== 0 && status !== 3) throw new Error(said);
  return said.split("\n").filter(Boolean);
}
