import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { decodeHex, encodeHex } from "@fed/core";
import { expectCode } from "@fed/core/testing";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodeGreeting, encodeGreeting } from "../src/greeting.js";
import { createTestCluster } from "./fixture/cluster.js";

interface Vectors {
  readonly valid: readonly {
    readonly name: string;
    readonly der: string;
    readonly maxMessageBytes: number;
    readonly greeting: string;
  }[];
  readonly invalid: readonly { readonly name: string; readonly der: string; readonly code: string }[];
}

const vectors = JSON.parse(
  readFileSync(new URL("../../../vectors/transport-lan/greeting.json", import.meta.url), "utf8"),
) as Vectors;
const noOpenssl = spawnSync("openssl", ["version"]).error !== undefined;
if (noOpenssl) console.info("Skipped, openssl reads a greeting: there is no openssl.");

describe("greetings", () => {
  it.each(vectors.valid)("$name", ({ der, maxMessageBytes, greeting }) => {
    const read = decodeGreeting(decodeHex(der));
    expect({ ...read, greeting: encodeHex(read.greeting) }).toEqual({ maxMessageBytes, greeting });
    expect(encodeHex(encodeGreeting(read))).toBe(der);
  });

  it.each(vectors.invalid)("$name", async ({ der, code }) => {
    await expectCode(() => decodeGreeting(decodeHex(der)), code);
  });

  it("of no bytes and of too many are not made", async () => {
    for (const length of [0, 65]) {
      const greeting = new Uint8Array(length);
      await expectCode(() => encodeGreeting({ maxMessageBytes: 65_546, greeting }), "GREETING_INVALID");
      await expectCode((await createTestCluster()).hub({ greeting }), "GREETING_INVALID");
    }
  });

  it("random bytes end in HANDSHAKE_MALFORMED", async () => {
    for (const bytes of fc.sample(fc.uint8Array({ maxLength: 110 }), { numRuns: 200, seed: 1 })) {
      await expectCode(() => decodeGreeting(bytes), "HANDSHAKE_MALFORMED");
    }
  });

  it.skipIf(noOpenssl)("openssl reads one as an OCSP response of a type it does not know", () => {
    const folder = mkdtempSync(join(tmpdir(), "fed-greeting-"));
    const file = join(folder, "greeting.der");
    writeFileSync(file, encodeGreeting({ maxMessageBytes: 65_546, greeting: new Uint8Array(32) }));
    const { stdout } = spawnSync("openssl", ["ocsp", "-respin", file, "-resp_text", "-noverify"]);
    rmSync(folder, { recursive: true });
    expect(stdout.toString()).toContain("OCSP Response Status: successful (0x0)");
    expect(stdout.toString()).toMatch(/Response Type: 2\.25\.\d+ \(unknown response type\)/);
  });
});
