import { readFileSync } from "node:fs";

/** The language-neutral cases of this package. */
export function readVectors<T>(name: string): T {
  return JSON.parse(readFileSync(new URL(`../../../vectors/core/${name}.json`, import.meta.url), "utf8")) as T;
}
