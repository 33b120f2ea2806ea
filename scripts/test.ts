/** `pnpm test`: everything that must hold, one step after the other; the first failure ends it. */
import { run } from "./steps.ts";

const node = process.execPath;
const steps: readonly (readonly [name: string, command: string, ...args: string[]])[] = [
  ["build", "turbo", "run", "build", "--output-logs=errors-only"],
  ["lint", "biome", "ci", "."],
  ["types of tests, examples and scripts", "tsc", "-p", "tsconfig.test.json"],
  ["unit, conformance and fault tests", "vitest", "run"],
  ["packages", node, "scripts/check-packages.ts"],
  ["examples", node, "scripts/run-examples.ts"],
  ["MCP conformance", node, "scripts/conformance.ts"],
  ["documentation", node, "scripts/run-docs.ts"],
];

let passed = 0;
for (const [name, command, ...args] of steps) {
  process.stdout.write(`\n── ${name}\n`);
  const { code, ms } = await run(command, args, {
    show: true,
    timeoutMs: 600_000,
    env: { ...process.env, TURBO_TELEMETRY_DISABLED: "1", DO_NOT_TRACK: "1" },
  });
  process.stdout.write(`── ${name}: ${code === 0 ? "ok" : `failed (${code})`}, ${(ms / 1000).toFixed(1)} s\n`);
  if (code !== 0) {
    process.stdout.write(`\n${passed} passed, 1 failed\n`);
    process.exit(1);
  }
  passed++;
}
process.stdout.write(`\n${passed} passed, 0 failed\n`);
