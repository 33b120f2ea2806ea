/** What the workspace holds, and who may import whom (the design's rule, checked by check-packages.ts). */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** The repository. */
export const root: string = fileURLToPath(new URL("..", import.meta.url));

/** The parts of a package.json that the scripts read. */
export interface PackageJson {
  readonly name: string;
  readonly private?: boolean;
  readonly version: string;
  readonly license?: string;
  readonly sideEffects?: boolean;
  readonly type?: string;
  readonly engines?: { readonly node?: string };
  readonly publishConfig?: { readonly provenance?: boolean };
  readonly scripts?: Readonly<Record<string, string>>;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly exports?: Readonly<Record<string, unknown>>;
}

/** One workspace package. */
export interface Workspace {
  /** e.g. `packages/core`. */
  readonly path: string;
  readonly directory: string;
  readonly json: PackageJson;
}

/** Rooms that run in Node, a browser and a Worker. */
export const universal: readonly string[] = [
  "core",
  "session",
  "trust",
  "revocation",
  "audit-chain",
  "pairing",
  "router",
  "transport-relay",
];

/** For each room the rooms it may import; apps and examples import anything. */
export const arrows: Readonly<Record<string, readonly string[]>> = {
  core: [],
  session: ["core"],
  trust: ["core"],
  "audit-chain": ["core"],
  "transport-lan": ["core"],
  "transport-relay": ["core"],
  router: ["core"],
  revocation: ["core", "trust"],
  pairing: ["core", "trust"],
  hub: [
    "core",
    "session",
    "trust",
    "audit-chain",
    "transport-lan",
    "transport-relay",
    "router",
    "revocation",
    "pairing",
  ],
};

/** All packages below `folder`. */
export function workspacesIn(folder: "packages" | "apps" | "examples"): Workspace[] {
  return readdirSync(join(root, folder), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => {
      const directory = join(root, folder, name);
      const json = JSON.parse(readFileSync(join(directory, "package.json"), "utf8")) as PackageJson;
      return { path: `${folder}/${name}`, directory, json };
    });
}
