/** The official suite, `@modelcontextprotocol/conformance`: what a revision requires, and one run of it against one URL. */
import { existsSync, globSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { parse } from "yaml";
import { run } from "./steps.ts";
import { root } from "./workspace.ts";

const suite = join(root, "node_modules/@modelcontextprotocol/conformance");

export const suiteVersion: string = JSON.parse(readFileSync(join(suite, "package.json"), "utf8")).version;

/** The revisions it has requirements for that we serve. */
export const revisions = ["2025-11-25", "2026-07-28"] as const;
export type Revision = (typeof revisions)[number];

/** One thing a scenario looked at, as the suite writes it. */
interface Check {
  readonly id: string;
  readonly status: "SUCCESS" | "FAILURE" | "WARNING" | "SKIPPED" | "INFO";
  readonly errorMessage?: string;
}

/** How one scenario went. */
export interface ScenarioResult {
  readonly scenario: string;
  /** Whether the revision requires it; the others are run to be seen. */
  readonly scored: boolean;
  /** Nothing failed, and something was checked. */
  readonly passed: boolean;
  readonly checks: { readonly passed: number; readonly total: number };
  /** `check: message` for what failed. */
  readonly failures: readonly string[];
  /** The same for what SHOULD be otherwise. */
  readonly warnings: readonly string[];
}

/** The server scenarios of `revision`: required, and run without counting. */
export function scenariosOf(revision: Revision): { scored: readonly string[]; unscored: readonly string[] } {
  const { server, not_scored } = parse(readFileSync(join(suite, `requirements/${revision}.yaml`), "utf8")) as {
    server: string[];
    not_scored: { scenario: string; leg: "server" | "client" }[];
  };
  return {
    scored: server,
    unscored: not_scored.filter(({ leg }) => leg === "server").map(({ scenario }) => scenario),
  };
}

/** Runs all scenarios of `revision` against `url`, or only `scenario`. One after another, as the suite does it. */
export async function runSuite(url: string, revision: Revision, scenario?: string): Promise<ScenarioResult[]> {
  const { scored, unscored } = scenariosOf(revision);
  const wanted = [...scored, ...unscored].filter((name) => scenario === undefined || name === scenario);
  if (wanted.length === 0) return [];
  const results = mkdtempSync(join(tmpdir(), "fed-conformance-"));
  try {
    const which = scenario
      ? ["--scenario", scenario, "--spec-version", revision, "--force"]
      : ["--requirements", revision];
    const { output } = await run(
      process.execPath,
      [join(suite, "dist/index.js"), "server", "--url", url, ...which, "--timeout", "15000", "-o", results],
      { timeoutMs: 180_000 },
    );
    // A folder for each scenario: `server-NAME-TIME`.
    const written = new Map(
      globSync("*/checks.json", { cwd: results }).map((path) => [
        basename(dirname(path))
          .replace(/^server-/, "")
          .replace(/-\d{4}-\d\d-\d\dT[\d-]+Z$/, ""),
        join(results, path),
      ]),
    );
    return wanted.map((name) => {
      const path = written.get(name);
      const checks: Check[] = path && existsSync(path) ? JSON.parse(readFileSync(path, "utf8")) : [];
      return summarize(name, scored.includes(name), checks, output);
    });
  } finally {
    rmSync(results, { recursive: true, force: true });
  }
}

function summarize(scenario: string, scored: boolean, checks: readonly Check[], output: string): ScenarioResult {
  const messages = (status: Check["status"]) =>
    checks.filter((check) => check.status === status).map(({ id, errorMessage }) => `${id}: ${errorMessage ?? status}`);
  const passed = checks.filter(({ status }) => status === "SUCCESS").length;
  const failures = messages("FAILURE");
  const total = passed + failures.length;
  if (checks.length === 0) failures.push(`not run: ${output.trimEnd().split("\n").at(-1)}`);
  else if (total === 0) failures.push(`nothing was checked: ${messages("SKIPPED").join(" ") || "no reason given"}`);
  return {
    scenario,
    scored,
    passed: failures.length === 0,
    checks: { passed, total },
    failures,
    warnings: messages("WARNING"),
  };
}
