/**
 * What a package must be before anybody installs it: only allowed imports, every error code explained, well-formed for
 * every resolver, free of Node where it says so, and installable from its packed form.
 */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "esbuild";
import { publint } from "publint";
import { formatMessage } from "publint/utils";
import { run } from "./steps.ts";
import { arrows, root, universal, type Workspace, workspacesIn } from "./workspace.ts";

const failures: string[] = [];
const rooms = workspacesIn("packages");
const published = [...rooms, ...workspacesIn("apps")].filter(({ json }) => !json.private);

function expect(holds: boolean, complaint: string): void {
  if (!holds) failures.push(complaint);
}

function checkArrows({ path, directory, json }: Workspace): void {
  const room = path.replace("packages/", "");
  const allowed = arrows[room];
  if (!allowed) return void failures.push(`${path}: scripts/workspace.ts does not say whom it may import`);
  const imported = Object.keys(json.dependencies ?? {})
    .filter((name) => name.startsWith("@fed/"))
    .map((name) => name.slice("@fed/".length));
  const referenced = (
    JSON.parse(readFileSync(join(directory, "tsconfig.json"), "utf8")) as { references: { path: string }[] }
  ).references.map(({ path }) => path.slice("../".length));
  for (const name of [...imported, ...referenced]) expect(allowed.includes(name), `${path}: must not import ${name}`);
  expect(
    imported.toSorted().join() === referenced.toSorted().join(),
    `${path}: dependencies and project references differ`,
  );
}

function checkManifest({ path, json }: Workspace): void {
  expect(json.type === "module", `${path}: not ESM`);
  expect(json.sideEffects === false, `${path}: sideEffects is not false`);
  expect(json.engines?.node === ">=22.13", `${path}: engines.node is not >=22.13`);
  expect(json.license === "Apache-2.0", `${path}: licence is not Apache-2.0`);
  expect(json.publishConfig?.provenance === true, `${path}: provenance is off`);
}

/** Bundles the room's own code as a browser would resolve it; a Node builtin that is reached fails. */
async function checkUniversal({ path, directory }: Workspace): Promise<void> {
  const { metafile } = await build({
    entryPoints: [join(directory, "dist/index.js")],
    bundle: true,
    write: false,
    metafile: true,
    format: "esm",
    platform: "browser",
    conditions: ["browser"],
    external: ["@*", "asn1js", "canonicalize", "pkijs", "zod", "node:*"],
    logLevel: "silent",
  });
  for (const { imports } of Object.values(metafile.outputs)) {
    for (const { path: target } of imports)
      expect(!target.startsWith("node:"), `${path}: reaches ${target} in a browser`);
  }
}

/** A whole program for a web page, with all it depends on: what a browser does not have cannot be resolved, and fails. */
async function checkPage(): Promise<void> {
  const built = await build({
    stdin: {
      contents: 'import { createPageHub } from "@fed/hub/page"; console.log(createPageHub);',
      resolveDir: join(root, "examples/browser-hub"),
    },
    bundle: true,
    write: false,
    minify: true,
    splitting: true,
    outdir: "page",
    format: "esm",
    platform: "browser",
    logLevel: "silent",
  }).catch(({ message }: Error) => message);
  if (typeof built === "string") return void failures.push(`@fed/hub/page in a browser: ${built}`);
  const kib = built.outputFiles.map(({ contents }) => Math.round(contents.length / 1024));
  console.log(`@fed/hub/page bundles for a browser: ${kib.join(" + ")} KiB`);
}

/** The README says what every code of the room means, and no code is declared that nothing throws. */
function checkCodes({ path, directory }: Workspace): void {
  const errors = join(directory, "src/errors.ts");
  const union = /export type \w+ErrorCode =([^;]+);/.exec(readFileSync(errors, "utf8"))?.[1];
  if (union === undefined) return void failures.push(`${path}: src/errors.ts declares no union of codes`);
  const readme = readFileSync(join(directory, "README.md"), "utf8");
  const sources = readdirSync(join(directory, "src"), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .map((name) => readFileSync(join(directory, "src", name), "utf8"))
    .join("\n");
  for (const [quoted, code] of union.matchAll(/"([A-Z0-9_]+)"/g)) {
    expect(readme.includes(`\`${code}\``), `${path}: README.md does not explain ${code}`);
    expect(sources.split(quoted).length > 2, `${path}: nothing throws ${code}`);
  }
}

async function checkPublint({ path, directory }: Workspace): Promise<void> {
  const { messages, pkg } = await publint({ pkgDir: directory, strict: true, pack: false });
  for (const message of messages)
    failures.push(`${path}: publint: ${formatMessage(message, pkg as Record<string, unknown>) ?? message.code}`);
}

async function checkTypes(tarball: string): Promise<void> {
  const { code, output } = await run("attw", [tarball, "--profile", "esm-only", "--format", "ascii", "--no-emoji"]);
  expect(code === 0, `attw ${tarball}:\n${output}`);
}

/** The install that the READMEs show, from what would be published. */
async function checkInstall(tarballs: ReadonlyMap<string, string>, folder: string): Promise<void> {
  const project = join(folder, "project");
  mkdirSync(project);
  const dependencies = Object.fromEntries([...tarballs].map(([name, file]) => [name, `file:${file}`]));
  writeFileSync(
    join(project, "package.json"),
    JSON.stringify({ private: true, type: "module", dependencies, overrides: dependencies }),
  );
  const install = await run("npm", ["install", "--no-audit", "--no-fund", "--loglevel=error"], { cwd: project });
  expect(install.code === 0, `npm install of the packed packages:\n${install.output}`);
  if (install.code !== 0) return;
  const names = rooms.map(({ json }) => json.name);
  writeFileSync(join(project, "use.js"), names.map((name) => `await import(${JSON.stringify(name)});`).join("\n"));
  const use = await run(process.execPath, ["use.js"], { cwd: project });
  expect(use.code === 0, `importing the installed packages:\n${use.output}`);
  const cli = await run(process.execPath, ["node_modules/@fed/cli/dist/cli.js", "--help"], { cwd: project });
  expect(cli.code === 0, `the installed fed:\n${cli.output}`);
}

for (const room of rooms) checkArrows(room);
for (const room of rooms) checkCodes(room);
for (const workspace of published) checkManifest(workspace);
for (const name of universal) await checkUniversal(rooms.find(({ path }) => path === `packages/${name}`)!);
await checkPage();
for (const workspace of published) await checkPublint(workspace);
console.log(`${rooms.length} rooms import only what they may; ${universal.length} of them bundle for a browser`);

const folder = mkdtempSync(join(tmpdir(), "fed-pack-"));
try {
  const tarballs = new Map<string, string>();
  for (const { json, directory } of published) {
    const packed = await run("npx", ["--yes", "pnpm@12", "pack", "--pack-destination", folder, "--json"], {
      cwd: directory,
    });
    const file = /"filename":\s*"([^"]+)"/.exec(packed.output)?.[1];
    if (packed.code !== 0 || !file) throw new Error(`pnpm pack ${json.name}:\n${packed.output}`);
    tarballs.set(json.name, file);
  }
  for (const file of tarballs.values()) await checkTypes(file);
  console.log(`${published.length} packages pass publint and are-the-types-wrong`);
  await checkInstall(tarballs, folder);
  console.log("the packed packages install and import in a new project");
} finally {
  rmSync(folder, { recursive: true, force: true });
}

if (failures.length > 0) {
  console.error(failures.map((failure) => `- ${failure}`).join("\n"));
  process.exit(1);
}
