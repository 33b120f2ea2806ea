import { expectCode } from "@fed/core/testing";
import { describe, expect, it } from "vitest";
import { createOriginCache, verifyEnvelope } from "../src/index.js";
import { alice, alpha, bravo, charlie, contextOf, envelopeAlong, hop, id, nowMs, origin } from "./envelope-world.js";

describe("signOrigin", () => {
  it("vouches for its own operators only", async () => {
    await expectCode(() => origin({ homeHub: charlie.hubId }), "FOREIGN_OPERATOR");
    await expectCode(() => origin({ operator: "alice" }), "PRINCIPAL_MALFORMED");
  });

  it("signs nothing that would be refused", async () => {
    await expectCode(() => origin({ lifetimeMs: 301_000 }), "ENVELOPE_LIFETIME");
    await expectCode(() => origin({ lifetimeMs: 0 }), "ENVELOPE_LIFETIME");
    await expectCode(() => origin({ scope: ["two words"] }), "ENVELOPE_MALFORMED");
    await expectCode(() => origin({ scope: [""] }), "ENVELOPE_MALFORMED");
    await expectCode(() => origin({ roles: ["Ops"] }), "ENVELOPE_MALFORMED");
    await expectCode(() => origin({ txn: "1" }), "ENVELOPE_MALFORMED");
    await expectCode(() => origin({ nowMs: Number.NaN }), "ENVELOPE_MALFORMED");
  });
});

describe("origin cache", () => {
  const call = (name: string, token = origin()) => ({
    origin: token,
    hop: hop(alpha, bravo, { origin: token, jti: id(name) }),
  });

  it("serves many calls under one assertion", () => {
    const origins = createOriginCache();
    const context = contextOf(alpha, { origins });
    for (let i = 0; i < 3; i++) expect(verifyEnvelope(call(`call ${i}`), context).operator).toBe(alice);
    expect(origins.size).toBe(1);
  });

  it("remembers only what was verified", async () => {
    const origins = createOriginCache();
    const forged = origin({}, charlie.signer);
    const context = contextOf(alpha, { origins });
    for (let i = 0; i < 2; i++) {
      await expectCode(() => verifyEnvelope(call(`call ${i}`, forged), context), "BAD_SIGNATURE");
    }
    expect(origins.size).toBe(0);
  });

  it("still checks expiry, audience, membership and the key", async () => {
    const origins = createOriginCache();
    const token = origin({ lifetimeMs: 2000 });
    verifyEnvelope(call("call 1", token), contextOf(alpha, { origins }));
    const again = (changes: object) => () =>
      verifyEnvelope(call("call 2", token), contextOf(alpha, { origins, ...changes }));
    await expectCode(again({ atMs: nowMs + 7000 }), "ENVELOPE_EXPIRED");
    await expectCode(again({ audience: "another" }), "WRONG_AUDIENCE");
    await expectCode(again({ publicKeyOf: () => undefined }), "UNKNOWN_HUB");
    const relayed = envelopeAlong([alpha, charlie, bravo], { origin: token });
    // The home hub has a new key: what the old one signed is worth nothing, remembered or not.
    const renewed = (hubId: string) => (hubId === alpha.hubId ? bravo : charlie).signer.publicKey;
    const first = hop(alpha, charlie, { origin: token }, bravo.signer);
    const last = hop(charlie, bravo, { origin: token, hop: 2, previousHop: first });
    await expectCode(
      () =>
        verifyEnvelope(
          { ...relayed, origin: token, via: [first], hop: last },
          contextOf(charlie, { origins, publicKeyOf: renewed }),
        ),
      "BAD_SIGNATURE",
    );
  });

  it("is bounded and can be emptied", () => {
    const origins = createOriginCache({ max: 2 });
    for (let i = 0; i < 5; i++) {
      verifyEnvelope(call(`call ${i}`, origin({ txn: id(`txn ${i}`) })), contextOf(alpha, { origins }));
      expect(origins.size).toBe(Math.min(i + 1, 2));
    }
    origins.purge();
    expect(origins.size).toBe(0);
  });
});
