import { X509Certificate } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { decodeBase64Url, encodeHex } from "@fed/core";
import { expectCode } from "@fed/core/testing";
import { describe, expect, it } from "vitest";
import { verifyLeaf } from "../src/index.js";
import { type LeafCase, type LeafVectors, leafVectors } from "./leaf-cases.js";

const path = new URL("../../../vectors/trust/leaf.json", import.meta.url);

// FED_WRITE_VECTORS=1 writes the file anew; then `biome check --write vectors`.
if (process.env.FED_WRITE_VECTORS) writeFileSync(path, JSON.stringify(leafVectors()));

describe("vectors/trust/leaf.json", () => {
  const file = JSON.parse(readFileSync(path, "utf8")) as LeafVectors;
  const invalid = file.cases.filter((one) => one.code !== undefined).length;
  console.info(`vectors/trust/leaf.json: ${file.cases.length - invalid} valid, ${invalid} invalid cases`);

  it("holds what the cases make", () => {
    expect(file).toEqual(leafVectors());
  });

  const verify = ({ leaf, cas = file.cas, atMs = file.atMs }: LeafCase) =>
    verifyLeaf(decodeBase64Url(leaf), { cas: cas.map(decodeBase64Url), clusterId: file.clusterId, atMs });

  it.each(file.cases.map((one) => [one.name, one] as const))("%s", async (_, one) => {
    if (one.code !== undefined) {
      await expectCode(() => verify(one), one.code);
      return;
    }
    const leaf = verify(one);
    const foreign = new X509Certificate(leaf.der);
    expect(leaf.hubId).toBe(file.hubId);
    expect(foreign.serialNumber.toLowerCase().padStart(leaf.serial.length, "0")).toBe(leaf.serial);
    expect([Date.parse(foreign.validFrom), Date.parse(foreign.validTo)]).toEqual([leaf.notBeforeMs, leaf.notAfterMs]);
    expect(foreign.fingerprint256.replaceAll(":", "").toLowerCase()).toBe(encodeHex(decodeBase64Url(leaf.thumbprint)));
  });
});
