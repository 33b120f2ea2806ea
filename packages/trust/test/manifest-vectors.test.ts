import { readFileSync, writeFileSync } from "node:fs";
import { expectCode } from "@fed/core/testing";
import { describe, expect, it } from "vitest";
import { verifyChain } from "../src/index.js";
import { type ManifestCase, type ManifestVectors, manifestVectors } from "./manifest-cases.js";

const path = new URL("../../../vectors/trust/manifest.json", import.meta.url);

// FED_WRITE_VECTORS=1 writes the file anew; then `biome check --write vectors`.
if (process.env.FED_WRITE_VECTORS) writeFileSync(path, JSON.stringify(manifestVectors()));

describe("vectors/trust/manifest.json", () => {
  const file = JSON.parse(readFileSync(path, "utf8")) as ManifestVectors;
  const invalid = file.cases.filter((one) => one.code !== undefined).length;
  console.info(`vectors/trust/manifest.json: ${file.cases.length - invalid} valid, ${invalid} invalid cases`);

  it("holds what the cases make", () => {
    expect(file).toEqual(JSON.parse(JSON.stringify(manifestVectors())));
  });

  const verify = ({ chain, clusterId, atMs = file.atMs }: ManifestCase) =>
    verifyChain(chain, { atMs, ...(clusterId === undefined ? {} : { clusterId }) });

  it.each(file.cases.map((one) => [one.name, one] as const))("%s", async (_, one) => {
    if (one.code !== undefined) await expectCode(() => verify(one), one.code);
    else expect(verify(one)).toMatchObject({ clusterId: file.clusterId, manifest: { version: one.chain.length } });
  });

  it("names the last manifest by its hash", () => {
    expect(verify(file.cases[0]!).hash).toBe(file.hash);
  });
});
