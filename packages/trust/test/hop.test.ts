import { expectCode } from "@fed/core/testing";
import { describe, expect, it } from "vitest";
import { signHop } from "../src/index.js";
import { alpha, bodyDigest, bravo, epochOf, hop, nowMs, origin, partsOf, scope } from "./envelope-world.js";

describe("signHop", () => {
  it("lives for 60 seconds and names itself anew each time by default", () => {
    const sign = () =>
      signHop(alpha.signer, {
        from: alpha.hubId,
        to: bravo.hubId,
        origin: origin(),
        bodyDigest,
        thumbprint: alpha.thumbprint,
        epoch: epochOf(bravo),
        hop: 1,
        scope,
        nowMs: nowMs + 999,
      });
    const [, first] = partsOf(sign());
    const [, second] = partsOf(sign());
    expect(first).toMatchObject({ iat: nowMs / 1000, exp: nowMs / 1000 + 60 });
    expect(first.jti).not.toBe(second.jti);
  });

  it("signs nothing that would be refused", async () => {
    await expectCode(() => hop(alpha, bravo, { lifetimeMs: 61_000 }), "ENVELOPE_LIFETIME");
    await expectCode(() => hop(alpha, bravo, { bodyDigest: new Uint8Array(31) }), "ENVELOPE_MALFORMED");
    await expectCode(() => hop(alpha, bravo, { thumbprint: "" }), "ENVELOPE_MALFORMED");
    await expectCode(() => hop(alpha, bravo, { epoch: "1" }), "ENVELOPE_MALFORMED");
    await expectCode(() => hop(alpha, bravo, { hop: 0 }), "ENVELOPE_MALFORMED");
    await expectCode(() => hop(alpha, bravo, { hop: 2 }), "BROKEN_CHAIN");
    await expectCode(() => hop(alpha, bravo, { hop: 5, previousHop: "x" }), "TOO_MANY_HOPS");
  });
});
