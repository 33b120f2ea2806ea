import { encodeBase32 } from "@fed/core";
import { expectCode } from "@fed/core/testing";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { formatPrincipal, parsePrincipal } from "../src/index.js";

const hubId = encodeBase32(new Uint8Array(16).fill(7));

describe("principal", () => {
  it("parses what it formats", () => {
    const name = fc.stringMatching(/^[a-z0-9][a-z0-9._-]{0,63}$/);
    const hub = fc.uint8Array({ minLength: 16, maxLength: 16 }).map(encodeBase32);
    fc.assert(
      fc.property(name, hub, (name, hubId) => {
        expect(parsePrincipal(formatPrincipal({ name, hubId }))).toEqual({ name, hubId });
      }),
    );
  });

  it.each([
    "",
    "alice",
    `@${hubId}`,
    `Alice@${hubId}`,
    `.alice@${hubId}`,
    `alice@${hubId.toUpperCase()}`,
    `alice@${hubId.slice(1)}`,
    `alice@${hubId.slice(0, -1)}b`,
    `alice@${hubId}\n`,
    `alice@bob@${hubId}`,
    `${"a".repeat(65)}@${hubId}`,
  ])("refuses %j", async (text) => {
    await expectCode(() => parsePrincipal(text), "PRINCIPAL_MALFORMED");
  });

  it("formats nothing that it would not parse", async () => {
    await expectCode(() => formatPrincipal({ name: "a@b", hubId }), "PRINCIPAL_MALFORMED");
    await expectCode(() => formatPrincipal({ name: "a", hubId: "b" }), "PRINCIPAL_MALFORMED");
  });
});
