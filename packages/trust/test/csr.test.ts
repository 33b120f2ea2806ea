import { execFileSync } from "node:child_process";
import { expectCode } from "@fed/core/testing";
import { describe, expect, it } from "vitest";
import { createCsr, encodePem, verifyCsr } from "../src/index.js";
import { der, ed25519Algorithm, hubKey, otherCaKey } from "./certificate-world.js";

/** CertificationRequestInfo with any subject, key and attributes, signed by the hub's key. */
function request({
  version = 0,
  subject = der(0x30),
  key = hubKey.publicKey,
  attributes = der(0xa0),
} = {}): Uint8Array {
  const spki = der(0x30, ed25519Algorithm, der(3, Uint8Array.of(0), key));
  const tbs = der(0x30, Uint8Array.of(2, 1, version), subject, spki, attributes);
  return der(0x30, tbs, ed25519Algorithm, der(3, Uint8Array.of(0), hubKey.signer.sign(tbs)));
}

describe("csr", () => {
  it("proves possession of the key, to us and to openssl", async () => {
    const csr = await createCsr({ key: hubKey });
    expect(verifyCsr(csr).publicKey).toEqual(hubKey.publicKey);
    const pem = encodePem(csr, "CERTIFICATE REQUEST");
    const text = execFileSync("openssl", ["req", "-verify", "-noout", "-text"], {
      input: pem,
      encoding: "utf8",
      stdio: "pipe",
    });
    expect(text).toContain("Public Key Algorithm: ED25519");
    expect(csr).toEqual(request());
  });

  const good = request();
  const flipped = good.with(good.length - 1, good.at(-1)! ^ 1);
  const name = der(0x31, der(0x30, Uint8Array.of(6, 3, 0x55, 4, 3), der(0x0c, Uint8Array.of(97))));
  it.each([
    ["nothing", "CSR_MALFORMED", new Uint8Array(0)],
    ["over 8 KiB", "CSR_MALFORMED", new Uint8Array(8193)],
    ["cut short", "CSR_MALFORMED", good.subarray(0, -1)],
    ["of another version", "CSR_MALFORMED", request({ version: 1 })],
    ["with a subject", "CSR_MALFORMED", request({ subject: der(0x30, name) })],
    ["with attributes", "CSR_MALFORMED", request({ attributes: der(0xa0, der(0x30)) })],
    ["with a key of small order", "CSR_MALFORMED", request({ key: new Uint8Array(32) })],
    ["for somebody else's key", "CSR_BAD_SIGNATURE", request({ key: otherCaKey.publicKey })],
    ["with a flipped bit", "CSR_BAD_SIGNATURE", flipped],
  ])("%s is %s", async (_, code, csr) => {
    await expectCode(() => verifyCsr(csr), code);
  });
});
