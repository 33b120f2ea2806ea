import { readFileSync, writeFileSync } from "node:fs";
import { decodeBase64Url, encodeUtf8 } from "@fed/core";
import { expectCode } from "@fed/core/testing";
import { describe, expect, it } from "vitest";
import { createReplayGuard, type EnvelopeContext, sha256, verifyEnvelope } from "../src/index.js";
import { type EnvelopeCase, type EnvelopeVectors, envelopeVectors } from "./envelope-cases.js";

const path = new URL("../../../vectors/trust/envelope.json", import.meta.url);

// FED_WRITE_VECTORS=1 writes the file anew; then `biome check --write vectors`.
if (process.env.FED_WRITE_VECTORS) writeFileSync(path, JSON.stringify(envelopeVectors()));

describe("vectors/trust/envelope.json", () => {
  const file = JSON.parse(readFileSync(path, "utf8")) as EnvelopeVectors;
  const invalid = file.cases.filter((one) => one.code !== undefined).length;
  console.info(`vectors/trust/envelope.json: ${file.cases.length - invalid} valid, ${invalid} invalid cases`);

  it("holds what the cases make", () => {
    expect(file).toEqual(envelopeVectors());
  });

  it("begins with the tokens that docs/spec/envelope.md shows", () => {
    const spec = readFileSync(new URL("../../../docs/spec/envelope.md", import.meta.url), "utf8").replace(/\n\s*/g, "");
    const { origin, hop } = file.cases[0]!.envelopes[0]!;
    const [header, , signature] = origin.split(".");
    expect(spec).toContain(`${header}.`);
    expect(spec).toContain(`.${signature}`);
    for (const part of [...origin.split(".").slice(0, 2), ...hop.split(".").slice(0, 2)]) {
      expect(spec).toContain(new TextDecoder().decode(decodeBase64Url(part)));
    }
    expect(spec).toContain(`${origin.length} characters`);
    expect(spec).toContain(`${hop.length} characters`);
  });

  function contextFor({ context }: EnvelopeCase): EnvelopeContext {
    const { body, peer, atMs, ...shared } = { ...file.context, ...context };
    const { hubId, thumbprint } = file.hubs[peer]!;
    const strangers = context?.strangers ?? [];
    const members = Object.entries(file.hubs).filter(([name]) => !strangers.includes(name));
    const keys = new Map(members.map(([, hub]) => [hub.hubId, decodeBase64Url(hub.publicKey)]));
    return {
      ...shared,
      atMs,
      peer: { hubId, thumbprint, clusterId: shared.audience, name: peer, serial: "01", spki: "" },
      bodyDigest: sha256(encodeUtf8(body)),
      publicKeyOf: (id) => keys.get(id),
      replay: createReplayGuard(),
    };
  }

  it.each(file.cases.map((one) => [`${one.flag}: ${one.name}`, one] as const))("%s", async (_, one) => {
    const context = contextFor(one);
    const last = one.envelopes.at(-1)!;
    for (const envelope of one.envelopes.slice(0, -1)) verifyEnvelope(envelope, context);
    if (one.code !== undefined) await expectCode(() => verifyEnvelope(last, context), one.code);
    else expect(verifyEnvelope(last, context)).toMatchObject(one.accepted!);
  });
});
