/**
 * `pnpm conformance`: the official MCP conformance suite against the conformance app, directly and through hubs. Prints a table
 * and what failed, and exits with 1 when a scenario failed that its revision requires.
 *
 *   --target NAME   --revision 2025-11-25|2026-07-28   --scenario NAME   --json
 */
import { parseArgs } from "node:util";
import { startBearerProxy } from "./bearer-proxy.ts";
import { type Revision, revisions, runSuite, type ScenarioResult, suiteVersion } from "./conformance-suite.ts";
import { type ConformanceTarget, targets } from "./conformance-targets.ts";

/** One revision through one target. */
interface Row {
  readonly target: string;
  readonly revision: Revision;
  readonly seconds: number;
  readonly scenarios: readonly ScenarioResult[];
}

const { values } = parseArgs({
  options: {
    target: { type: "string" },
    revision: { type: "string" },
    scenario: { type: "string" },
    json: { type: "boolean", default: false },
  },
});
const wantedTargets = targets.filter(({ name }) => values.target === undefined || name === values.target);
const wantedRevisions = revisions.filter((revision) => values.revision === undefined || revision === values.revision);
if (wantedTargets.length === 0) throw new Error(`--target is one of ${targets.map(({ name }) => name).join(", ")}`);
if (wantedRevisions.length === 0) throw new Error(`--revision is one of ${revisions.join(", ")}`);

/** Both revisions side by side, which is what a target has to bear anyway. */
async function judge(target: ConformanceTarget): Promise<Row[]> {
  const open = await target.open();
  const proxy = open.token === undefined ? undefined : await startBearerProxy(open.url, open.token);
  try {
    return await Promise.all(
      wantedRevisions.map(async (revision) => {
        const startedAt = performance.now();
        const scenarios = await runSuite(proxy?.url ?? open.url, revision, values.scenario);
        const seconds = (performance.now() - startedAt) / 1000;
        return { target: target.name, revision, seconds: Math.round(seconds * 10) / 10, scenarios };
      }),
    );
  } finally {
    await proxy?.close();
    await open.close();
  }
}

/** A Markdown table, to be read here and pasted there. */
function table(rows: readonly Row[]): string {
  const head = ["revision", "target", "scored scenarios", "checks", "not scored", "seconds"];
  const body = rows.map(({ revision, target, scenarios, seconds }) => {
    const scored = scenarios.filter((scenario) => scenario.scored);
    const unscored = scenarios.filter((scenario) => !scenario.scored);
    const checks = sum(scored.map((scenario) => scenario.checks.passed));
    const of = sum(scored.map((scenario) => scenario.checks.total));
    return [revision, target, share(scored), `${checks}/${of}`, share(unscored), String(seconds)];
  });
  const widths = head.map((title, i) => Math.max(title.length, ...body.map((cells) => cells[i]!.length)));
  const line = (cells: readonly string[]) => `| ${cells.map((cell, i) => cell.padEnd(widths[i]!)).join(" | ")} |`;
  return [line(head), `|${widths.map((width) => "-".repeat(width + 2)).join("|")}|`, ...body.map(line)].join("\n");
}

function share(scenarios: readonly ScenarioResult[]): string {
  return `${scenarios.filter(({ passed }) => passed).length}/${scenarios.length}`;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}

function report(title: string, rows: readonly Row[], messages: (scenario: ScenarioResult) => readonly string[]): void {
  const found = rows.flatMap(({ revision, target, scenarios }) =>
    scenarios
      .map((scenario) => [`  ${revision} ${target} ${scenario.scenario}`, ...messages(scenario)])
      .filter(({ length }) => length > 1),
  );
  if (found.length > 0) console.log(`\n${title}:\n${found.map((lines) => lines.join("\n    ")).join("\n")}`);
}

const rows: Row[] = [];
for (const target of wantedTargets) rows.push(...(await judge(target)));
if (rows.every(({ scenarios }) => scenarios.length === 0)) throw new Error(`no scenario ${values.scenario}`);
if (values.json) {
  console.log(JSON.stringify({ suite: suiteVersion, rows }, undefined, 2));
} else {
  console.log(`@modelcontextprotocol/conformance ${suiteVersion}\n\n${table(rows)}`);
  report("Failed", rows, ({ scored, failures }) => (scored ? failures : []));
  report("Failed, not scored", rows, ({ scored, failures }) => (scored ? [] : failures));
  report("Warned", rows, ({ warnings }) => warnings);
}
process.exitCode = rows.some(({ scenarios }) => scenarios.some(({ scored, passed }) => scored && !passed)) ? 1 : 0;
