/**
 * Runs what the documents show. In READMEs and guides
 * - every `ts` fence is a program of its own, run by Node with types stripped, in the folder of its package;
 * - all `sh` fences of one document are one script, run with a home of its own, `fed` and `fed-relay` on the path; it must leave no
 *   process of its own running;
 * - `npm install @fed/…` lines are what check-packages.ts does with the packed packages;
 * - the two commands of the root README are CI itself, so a fence that only names those is not run a second time.
 */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { run } from "./steps.ts";
import { root, workspacesIn } from "./workspace.ts";

const ciItself = /^npx --yes pnpm@12 (demo|test)$/;
const installLine = /^npm install( (@[a-z-]+\/)?[a-z-]+)+$/;

interface Fence {
  readonly language: string;
  readonly text: string;
  readonly line: number;
}

function fencesOf(markdown: string): Fence[] {
  const fences: Fence[] = [];
  const lines = markdown.split("\n");
  for (let i = 0; i < lines.length; i++) {
    const open = /^```(\w+)/.exec(lines[i]!);
    if (!open) continue;
    const start = i + 1;
    while (++i < lines.length && lines[i] !== "```");
    fences.push({ language: open[1]!, text: lines.slice(start, i).join("\n"), line: start });
  }
  return fences;
}

function documents(): string[] {
  const found = [join(root, "README.md")];
  for (const folder of ["packages", "apps", "examples"] as const) {
    for (const { directory } of workspacesIn(folder)) found.push(join(directory, "README.md"));
  }
  const guide = join(root, "docs/guide");
  if (existsSync(guide)) for (const name of readdirSync(guide)) if (name.endsWith(".md")) found.push(join(guide, name));
  return found.filter((file) => existsSync(file));
}

async function runProgram(file: string, fence: Fence): Promise<void> {
  const folder =
    file.includes("/docs/") || dirname(file) === root.replace(/\/$/, "")
      ? join(root, "examples/embedded-hub")
      : dirname(file);
  const program = join(folder, `.doc-${process.pid}.ts`);
  writeFileSync(program, fence.text);
  try {
    report(file, fence, await run(process.execPath, [program], { cwd: folder, timeoutMs: 30_000 }));
  } finally {
    rmSync(program);
  }
}

async function runScript(file: string, fences: readonly Fence[]): Promise<void> {
  const text = fences
    .flatMap((fence) => fence.text.split("\n"))
    .filter((line) => !ciItself.test(line) && !installLine.test(line))
    .join("\n");
  if (text.trim() === "") return;
  const home = mkdtempSync(join(tmpdir(), "fed-docs-"));
  mkdirSync(join(home, "bin"));
  for (const [name, cli] of [
    ["fed", "apps/hub/dist/cli.js"],
    ["fed-relay", "apps/relay/dist/cli.js"],
  ] as const) {
    writeFileSync(join(home, "bin", name), `#!/bin/sh\nexec "${process.execPath}" "${join(root, cli)}" "$@"\n`, {
      mode: 0o755,
    });
  }
  const epilogue = "\nif jobs -pr | grep -q .; then echo 'left running:' >&2; jobs >&2; exit 1; fi\n";
  try {
    const ended = await run("bash", ["-c", `set -euo pipefail\n${text}${epilogue}`], {
      cwd: home,
      timeoutMs: 120_000,
      env: {
        ...process.env,
        PATH: `${join(home, "bin")}:${dirname(process.execPath)}:${process.env.PATH}`,
        HOME: home,
        FED_CHECKOUT: root,
      },
    });
    report(file, fences[0]!, ended);
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
}

function report(file: string, fence: Fence, { code, output, ms }: { code: number; output: string; ms: number }): void {
  console.log(
    `${code === 0 ? "ok  " : "FAIL"} ${relative(root, file)}:${fence.line} ${fence.language} (${(ms / 1000).toFixed(1)} s)`,
  );
  if (code === 0) return;
  console.log(output);
  process.exit(1);
}

let programs = 0;
const only = process.argv[2];
for (const file of documents().filter((path) => only === undefined || relative(root, path).startsWith(only))) {
  const fences = fencesOf(readFileSync(file, "utf8"));
  for (const fence of fences.filter(({ language }) => language === "ts")) {
    await runProgram(file, fence);
    programs++;
  }
  const scripts = fences.filter(({ language }) => language === "sh");
  if (scripts.length > 0) await runScript(file, scripts);
}
console.log(`${programs} programs from documents ran`);
