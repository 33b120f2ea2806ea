import { encodeUtf8, isFedError } from "@fed/core";
import { expectCode } from "@fed/core/testing";
import fc from "fast-check";
import { compactVerify, importJWK, jwtVerify } from "jose";
import { describe, expect, it } from "vitest";
import { createReplayGuard, type Envelope, hopType, originType, sha256, verifyEnvelope } from "../src/index.js";
import {
  alice,
  alpha,
  bodyDigest,
  bravo,
  charlie,
  clusterId,
  contextOf,
  delta,
  envelopeAlong,
  hop,
  id,
  nowMs,
  origin,
} from "./envelope-world.js";

describe("verifyEnvelope", () => {
  it("says who asks, through whom and with what rights", () => {
    const verified = verifyEnvelope(envelopeAlong([alpha, charlie, bravo]), contextOf(charlie));
    expect(verified).toEqual({
      operator: alice,
      homeHub: alpha.hubId,
      forwarder: charlie.hubId,
      hubs: [alpha.hubId, charlie.hubId],
      roles: ["ops"],
      scope: ["apps:list", "apps:call"],
      txn: expect.stringMatching(/^[\w-]{22}$/),
      jti: expect.stringMatching(/^[\w-]{22}$/),
      hop: 2,
      expiresAtMs: nowMs + 60_000,
    });
  });

  it("accepts any body and any narrowing along any path that ends at the receiver", () => {
    const scopes = fc.subarray(["a", "b", "c", "d"]);
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom(charlie, delta), { maxLength: 3 }),
        fc.uint8Array({ maxLength: 64 }),
        fc.array(scopes, { minLength: 5, maxLength: 5 }),
        (between, body, picks) => {
          const path = [alpha, ...between, bravo];
          const digest = sha256(body);
          let scope = picks[0]!;
          const token = origin({ scope });
          const hops: string[] = [];
          for (let i = 0; i + 1 < path.length; i++) {
            scope = scope.filter((entry) => picks[i + 1]!.includes(entry));
            const previousHop = hops.at(-1);
            hops.push(
              hop(path[i]!, path[i + 1]!, {
                origin: token,
                bodyDigest: digest,
                hop: i + 1,
                previousHop,
                scope,
                jti: id(`hop ${i}`),
              }),
            );
          }
          const envelope = { origin: token, hop: hops.at(-1)!, via: hops.slice(0, -1) };
          const verified = verifyEnvelope(envelope, contextOf(path.at(-2), { bodyDigest: digest }));
          expect(verified.scope).toEqual(scope);
          expect(verified.hop).toBe(path.length - 1);
        },
      ),
      { numRuns: 50 },
    );
  });

  it("refuses every envelope with one character changed", () => {
    const good = envelopeAlong([alpha, charlie, bravo]);
    const tokens = [good.origin, good.hop, good.via![0]!];
    const context = contextOf(charlie);
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 2 }),
        fc.nat(),
        fc.constantFrom(..."ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+ \n\u00e9"),
        (which, at, character) => {
          const token = tokens[which]!;
          const index = at % token.length;
          fc.pre(token[index] !== character);
          const changed = [...tokens];
          changed[which] = token.slice(0, index) + character + token.slice(index + 1);
          const [origin, hop, via] = changed as [string, string, string];
          expect(codeOf(() => verifyEnvelope({ origin, hop, via: [via] }, context))).toBeDefined();
        },
      ),
      { numRuns: 200 },
    );
    expect(verifyEnvelope(good, context).operator).toBe(alice);
  });

  it("ends in a typed error whatever it is given", () => {
    const token = fc.oneof(
      fc.string(),
      fc.constantFrom(origin(), hop(alpha, bravo)),
      fc.tuple(fc.json(), fc.json()).map((parts) => `${parts.map((part) => btoa(encodeURI(part))).join(".")}.AAAA`),
      fc.anything() as fc.Arbitrary<string>,
    );
    const envelope = fc.oneof(
      fc.record({ origin: token, hop: token, via: fc.option(fc.array(token, { maxLength: 4 }), { nil: undefined }) }),
      fc.record({ origin: token, hop: token, via: fc.anything() as fc.Arbitrary<string[]> }),
      fc.anything() as fc.Arbitrary<Envelope>,
    );
    fc.assert(
      fc.property(envelope, (envelope) => {
        codeOf(() => verifyEnvelope(envelope, contextOf()));
      }),
      { numRuns: 200 },
    );
  });

  it("uses nothing up when it refuses", async () => {
    const replay = createReplayGuard();
    const envelope = envelopeAlong([alpha, bravo]);
    await expectCode(
      () => verifyEnvelope(envelope, contextOf(alpha, { replay, bodyDigest: sha256(encodeUtf8("")) })),
      "BODY_MISMATCH",
    );
    const forged = { ...envelope, hop: hop(alpha, bravo, {}, charlie.signer) };
    await expectCode(() => verifyEnvelope(forged, contextOf(alpha, { replay })), "BAD_SIGNATURE");
    expect(replay.size).toBe(0);
    verifyEnvelope(envelope, contextOf(alpha, { replay }));
    expect(replay.size).toBe(1);
  });

  it("refuses a copied envelope to the last moment in which it could be honoured", async () => {
    const replay = createReplayGuard();
    const envelope = envelopeAlong([alpha, bravo]);
    verifyEnvelope(envelope, contextOf(alpha, { replay, atMs: nowMs }));
    for (let atMs = nowMs; atMs < nowMs + 65_000; atMs += 500) {
      await expectCode(() => verifyEnvelope(envelope, contextOf(alpha, { replay, atMs })), "REPLAYED");
    }
    await expectCode(
      () => verifyEnvelope(envelope, contextOf(alpha, { replay, atMs: nowMs + 65_000 })),
      "ENVELOPE_EXPIRED",
    );
  });

  it("says that the replay guard is full rather than forget", async () => {
    const replay = createReplayGuard({ perPeerLimit: 1 });
    verifyEnvelope(envelopeAlong([alpha, bravo], { jti: "A".repeat(22) }), contextOf(alpha, { replay }));
    await expectCode(
      () => verifyEnvelope(envelopeAlong([alpha, bravo], { jti: "B".repeat(22) }), contextOf(alpha, { replay })),
      "REPLAY_GUARD_FULL",
    );
  });
});

describe("jose", () => {
  it("verifies both tokens", async () => {
    const { origin, hop } = envelopeAlong([alpha, bravo]);
    const x = Buffer.from(alpha.signer.publicKey).toString("base64url");
    const key = await importJWK({ kty: "OKP", crv: "Ed25519", x }, "Ed25519");
    const common = { algorithms: ["Ed25519"], issuer: alpha.hubId, currentDate: new Date(nowMs) };
    const first = await jwtVerify(origin, key, { ...common, typ: originType, audience: clusterId, maxTokenAge: 300 });
    expect(first.payload).toMatchObject({ sub: alice, scope: "apps:list apps:call", roles: ["ops"] });
    const second = await jwtVerify(hop, key, { ...common, typ: hopType, audience: bravo.hubId, maxTokenAge: 60 });
    expect(second.payload.cdg).toBe(Buffer.from(bodyDigest).toString("base64url"));
    expect(second.payload.cnf).toEqual({ "x5t#S256": alpha.thumbprint });
    await expect(compactVerify(`${hop.slice(0, -4)}AAAA`, key)).rejects.toThrow();
  });
});

function codeOf(action: () => unknown): string | undefined {
  try {
    action();
  } catch (error) {
    if (!isFedError(error)) throw error;
    return error.code;
  }
  return undefined;
}
