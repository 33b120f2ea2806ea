import { createTestClock, expectCode } from "@fed/core/testing";
import { describe, expect, it } from "vitest";
import { createEnvelopeSigner, type SignRequest, verifyEnvelope } from "../src/index.js";
import {
  alice,
  alpha,
  bodyDigest,
  bravo,
  charlie,
  clusterId,
  contextOf,
  epochOf,
  type TestHub,
} from "./envelope-world.js";

function signerOf(hub: TestHub, clock = createTestClock()) {
  const { signer, hubId } = hub;
  return createEnvelopeSigner({ signer, hubId, thumbprint: () => hub.thumbprint, audience: clusterId, clock });
}

function callTo(hub: TestHub, changes: Partial<SignRequest> = {}): SignRequest {
  return {
    operator: alice,
    roles: ["ops"],
    scope: ["apps:call"],
    to: hub.hubId,
    epoch: epochOf(hub),
    bodyDigest,
    ...changes,
  };
}

describe("envelope signer", () => {
  it("makes envelopes that verify", () => {
    const envelope = signerOf(alpha).sign(callTo(bravo));
    expect(verifyEnvelope(envelope, contextOf())).toMatchObject({ operator: alice, hop: 1, scope: ["apps:call"] });
  });

  it("passes a call on, with the scope it still has", () => {
    const incoming = signerOf(alpha).sign(callTo(charlie, { scope: ["apps:call", "apps:list"] }));
    const envelope = signerOf(charlie).sign(callTo(bravo, { incoming }));
    expect(envelope.origin).toBe(incoming.origin);
    expect(envelope.via).toEqual([incoming.hop]);
    expect(verifyEnvelope(envelope, contextOf(charlie))).toMatchObject({
      operator: alice,
      hop: 2,
      scope: ["apps:call"],
    });
  });

  it("stops after four hops", async () => {
    let envelope = signerOf(alpha).sign(callTo(charlie));
    for (let i = 0; i < 3; i++) envelope = signerOf(charlie).sign(callTo(charlie, { incoming: envelope }));
    await expectCode(() => signerOf(charlie).sign(callTo(bravo, { incoming: envelope })), "TOO_MANY_HOPS");
  });

  it("makes one origin assertion per operator, roles and scope, and a new one while 60 seconds are left", async () => {
    const clock = createTestClock();
    const signer = signerOf(alpha, clock);
    const first = signer.sign(callTo(bravo));
    expect(signer.sign(callTo(charlie)).origin).toBe(first.origin);
    expect(signer.sign(callTo(bravo)).hop).not.toBe(first.hop);
    expect(signer.sign(callTo(bravo, { roles: [] })).origin).not.toBe(first.origin);
    expect(signer.sign(callTo(bravo, { scope: [] })).origin).not.toBe(first.origin);
    expect(signer.sign(callTo(bravo, { operator: alice.replace("alice", "bob") })).origin).not.toBe(first.origin);
    await clock.advance(240_000);
    expect(signer.sign(callTo(bravo)).origin).toBe(first.origin);
    await clock.advance(1);
    const renewed = signer.sign(callTo(bravo));
    expect(renewed.origin).not.toBe(first.origin);
    expect(verifyEnvelope(renewed, contextOf(alpha, { atMs: clock.nowMs() })).operator).toBe(alice);
  });

  it("does not use an assertion from the future after its clock was set back", async () => {
    const clock = createTestClock();
    let offsetMs = 0;
    const signer = signerOf(alpha, { ...clock, nowMs: () => clock.nowMs() + offsetMs });
    const first = signer.sign(callTo(bravo));
    offsetMs = -60_000;
    const second = signer.sign(callTo(bravo));
    expect(second.origin).not.toBe(first.origin);
    expect(verifyEnvelope(second, contextOf(alpha, { atMs: clock.nowMs() - 60_000 })).operator).toBe(alice);
  });

  it("forgets its assertions on purge", () => {
    const signer = signerOf(alpha);
    const first = signer.sign(callTo(bravo));
    signer.purge();
    expect(signer.sign(callTo(bravo)).origin).not.toBe(first.origin);
  });

  it("follows a renewed leaf", () => {
    let thumbprint = alpha.thumbprint;
    const { signer, hubId } = alpha;
    const envelopes = createEnvelopeSigner({
      signer,
      hubId,
      thumbprint: () => thumbprint,
      audience: clusterId,
      clock: createTestClock(),
    });
    const peer = { ...contextOf().peer, thumbprint: charlie.thumbprint };
    thumbprint = charlie.thumbprint;
    expect(verifyEnvelope(envelopes.sign(callTo(bravo)), contextOf(alpha, { peer })).operator).toBe(alice);
  });

  it("refuses rights that do not fit an envelope", async () => {
    const wide = Array.from({ length: 32 }, (_, i) => `${i}`.padEnd(64, "x"));
    await expectCode(() => signerOf(alpha).sign(callTo(bravo, { roles: wide, scope: wide })), "ENVELOPE_TOO_LARGE");
    await expectCode(() => signerOf(alpha).sign(callTo(bravo, { operator: "alice" })), "PRINCIPAL_MALFORMED");
    await expectCode(() => signerOf(charlie).sign(callTo(bravo)), "FOREIGN_OPERATOR");
  });
});
