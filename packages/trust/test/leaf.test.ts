import { execFileSync } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isFedError } from "@fed/core";
import { expectCode } from "@fed/core/testing";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { subjectAltName } from "../src/certificate-builder.js";
import { membersOf, readDer } from "../src/der.js";
import {
  createCa,
  decodePem,
  encodePem,
  encodeSpki,
  hubDnsName,
  issueLeaf,
  readLeafClaims,
  spiffeUri,
  verifyCa,
  verifyLeaf,
} from "../src/index.js";
import {
  atMs,
  caKey,
  caWith,
  clusterId,
  der,
  dns,
  ed25519Algorithm,
  hubId,
  hubKey,
  leafWith,
  otherCaKey,
  otherClusterId,
  signTbs,
  type TestKey,
  uri,
} from "./certificate-world.js";

const dayMs = 86_400_000;
const issue = (ca: Uint8Array, change: Partial<Parameters<typeof issueLeaf>[0]> = {}) =>
  issueLeaf({ ca, caKey: caKey.signer, publicKey: hubKey.publicKey, clusterId, hubId, nowMs: atMs, ...change });

describe("issueLeaf", () => {
  it("makes what verifyLeaf accepts, for thirty days less five minutes", async () => {
    const ca = await createCa({ clusterId, key: caKey, nowMs: atMs });
    expect(verifyCa(ca, { clusterId, atMs })).toMatchObject({ clusterId, publicKey: caKey.publicKey });
    const leaf = verifyLeaf(await issue(ca), { cas: [caWith({ key: otherCaKey }), ca], clusterId, atMs });
    expect(leaf).toMatchObject({ hubId, clusterId, publicKey: hubKey.publicKey });
    expect([leaf.notBeforeMs, leaf.notAfterMs]).toEqual([atMs - 300_000, atMs + 30 * dayMs]);
    expect(leaf.serial).toMatch(/^01[0-9a-f]{32}$/);
    expect(new X509Certificate(leaf.der).checkIssued(new X509Certificate(ca))).toBe(true);
  });

  it("never outlives its CA and never repeats a serial", async () => {
    const ca = await createCa({ clusterId, key: caKey, nowMs: atMs, lifetimeDays: 10 });
    const leaves = await Promise.all(Array.from({ length: 20 }, () => issue(ca)));
    const verified = leaves.map((one) => verifyLeaf(one, { cas: [ca], clusterId, atMs }));
    expect(new Set(verified.map(({ serial }) => serial)).size).toBe(20);
    expect(verified[0]!.notAfterMs).toBe(atMs + 10 * dayMs);
  });

  it("refuses names, keys and CAs that are not sound", async () => {
    const ca = caWith();
    await expectCode(issue(ca, { hubId: "pc1" }), "BAD_NAME");
    await expectCode(issue(ca, { clusterId: "home" }), "BAD_NAME");
    await expectCode(createCa({ clusterId: "home", key: caKey, nowMs: atMs }), "BAD_NAME");
    await expectCode(issue(ca, { caKey: otherCaKey.signer }), "BAD_KEY");
    await expectCode(issue(ca, { publicKey: new Uint8Array(32) }), "BAD_KEY");
    await expectCode(issue(ca, { clusterId: otherClusterId }), "CA_BAD_NAME");
    await expectCode(issue(ca, { nowMs: atMs + 3651 * dayMs }), "CA_EXPIRED");
  });
});

describe("readLeafClaims", () => {
  it("tells what a leaf says, whoever has issued it and however old it is", async () => {
    const ca = await createCa({ clusterId, key: caKey, nowMs: atMs });
    const leaf = await issue(ca, { lifetimeDays: 1 });
    expect(readLeafClaims(leaf)).toEqual({ clusterId, notAfterMs: atMs + dayMs });
  });

  it("refuses what is no leaf of any cluster", async () => {
    await expectCode(() => readLeafClaims(Uint8Array.of(0x30, 0)), "LEAF_MALFORMED");
    await expectCode(() => readLeafClaims(caWith({})), "LEAF_BAD_NAME");
    const elsewhere = subjectAltName(uri(`spiffe://home/hub/${hubId}`), dns(`${hubId}.home`));
    await expectCode(() => readLeafClaims(leafWith({ extensions: { subjectAltName: elsewhere } })), "LEAF_BAD_NAME");
  });
});

describe("foreign tools", () => {
  function opensslVerify(ca: Uint8Array, leaf: Uint8Array): string {
    const folder = mkdtempSync(join(tmpdir(), "fed-leaf-"));
    try {
      writeFileSync(join(folder, "ca.pem"), encodePem(ca, "CERTIFICATE"));
      writeFileSync(join(folder, "leaf.pem"), encodePem(leaf, "CERTIFICATE"));
      const at = ["-attime", String(atMs / 1000)];
      const args = ["verify", "-x509_strict", "-purpose", "sslserver", ...at, "-CAfile", "ca.pem", "leaf.pem"];
      return execFileSync("openssl", args, { cwd: folder, encoding: "utf8", stdio: "pipe" });
    } catch (error) {
      return String((error as { stderr: string }).stderr);
    } finally {
      rmSync(folder, { recursive: true });
    }
  }

  const named = (name: string, url: string) =>
    leafWith({ extensions: { subjectAltName: subjectAltName(uri(url), dns(name)) } });

  it("openssl -x509_strict accepts our chain and keeps the CA inside its cluster", async () => {
    const ca = await createCa({ clusterId, key: caKey, nowMs: atMs });
    expect(opensslVerify(ca, await issue(ca))).toContain("leaf.pem: OK");
    const foreignDns = named(hubDnsName(otherClusterId, hubId), spiffeUri(clusterId, hubId));
    const foreignUri = named(hubDnsName(clusterId, hubId), spiffeUri(otherClusterId, hubId));
    expect(opensslVerify(ca, foreignDns)).toContain("permitted subtree violation");
    expect(opensslVerify(ca, foreignUri)).toContain("permitted subtree violation");
  });

  it("one byte of a leaf changed is a leaf refused", () => {
    const leaf = leafWith();
    let refused = 0;
    fc.assert(
      fc.property(fc.nat(leaf.length - 1), fc.integer({ min: 1, max: 255 }), (at, mask) => {
        try {
          verifyLeaf(leaf.with(at, leaf[at]! ^ mask), { cas: [caWith()], clusterId, atMs });
        } catch (error) {
          if (!isFedError(error)) throw error;
          expect(error.code).toMatch(/^LEAF_/);
          refused++;
        }
      }),
      { numRuns: 200 },
    );
    expect(refused).toBe(200);
  });
});

describe("x509-limbo", () => {
  interface Case {
    readonly id: string;
    readonly trusted_certs: string[];
    readonly untrusted_intermediates: string[];
    readonly peer_certificate: string;
    readonly validation_time: string | null;
    readonly expected_result: "SUCCESS" | "FAILURE";
  }
  const file = readFileSync(`${process.env.FED_VECTORS}/x509-limbo/limbo-a.json`, "utf8");
  const { testcases } = JSON.parse(file) as { testcases: Case[] };
  const timeOf = (one: Case) => (one.validation_time ? Date.parse(one.validation_time) : Date.now());

  /** The code that refuses the case, or undefined. */
  function refusal(leaf: () => Uint8Array, cas: () => readonly Uint8Array[], time: number): string | undefined {
    try {
      verifyLeaf(leaf(), { cas: cas(), clusterId, atMs: time });
      return undefined;
    } catch (error) {
      if (!isFedError(error)) throw error;
      return error.code;
    }
  }

  /** The case's certificate with its names and extensions, but with our keys, so that the signature is not why it falls. */
  function reissue(pem: string, key: TestKey, issuer: TestKey): Uint8Array {
    const [tbs] = membersOf(readDer(decodePem(pem, "CERTIFICATE")), 0x30);
    const fields = membersOf(tbs, 0x30).map((field) => field.encoded);
    // A version 1 certificate has no version field in front.
    const at = fields[0]![0] === 0xa0 ? 2 : 1;
    const changed = fields.with(at, ed25519Algorithm).with(at + 4, encodeSpki(key.publicKey));
    return signTbs(der(0x30, ...changed), issuer.signer);
  }

  it("refuses every case as it stands, must-fail and must-pass: none has a cluster's names", () => {
    const codes: Record<string, number> = {};
    for (const one of testcases) {
      const read = (pem: string) => decodePem(pem, "CERTIFICATE");
      const code = refusal(
        () => read(one.peer_certificate),
        () => one.trusted_certs.map(read),
        timeOf(one),
      );
      expect(code, one.id).toBeDefined();
      codes[code!] = (codes[code!] ?? 0) + 1;
    }
    const mustFail = testcases.filter(({ expected_result }) => expected_result === "FAILURE").length;
    console.info(`x509-limbo as is: ${testcases.length} cases refused (${mustFail} must fail)`, codes);
    expect([testcases.length, mustFail]).toEqual([97, 73]);
  });

  it("refuses every direct chain re-issued with Ed25519 keys, by its extensions and names alone", () => {
    const direct = testcases.filter(
      (one) => one.trusted_certs.length === 1 && one.untrusted_intermediates.length === 0,
    );
    const codes: Record<string, number> = {};
    for (const one of direct) {
      const leaf = () => reissue(one.peer_certificate, hubKey, caKey);
      const cas = () => [reissue(one.trusted_certs[0]!, caKey, caKey)];
      const code = refusal(leaf, cas, timeOf(one));
      expect(code, one.id).toBeDefined();
      codes[code!] = (codes[code!] ?? 0) + 1;
    }
    console.info(`x509-limbo re-issued: ${direct.length} direct chains refused`, codes);
    expect(direct.length).toBeGreaterThan(50);
  });
});
