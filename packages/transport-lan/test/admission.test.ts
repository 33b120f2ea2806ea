import { createTestClock, expectCode } from "@fed/core/testing";
import { describe, expect, it } from "vitest";
import { createAdmission } from "../src/admission.js";
import { defaultLimits } from "../src/limits.js";

describe("createAdmission", () => {
  it("takes 4 from one source, and the next once one is released", async () => {
    const admission = createAdmission(createTestClock(), defaultLimits);
    const releases = [1, 2, 3, 4].map(() => admission.admit("192.0.2.1"));
    await expectCode(() => admission.admit("192.0.2.1"), "TOO_MANY_CONNECTIONS");
    admission.admit("192.0.2.2");
    releases[0]!();
    releases[0]!();
    admission.admit("192.0.2.1");
    await expectCode(() => admission.admit("192.0.2.1"), "TOO_MANY_CONNECTIONS");
  });

  it("takes 32 in all, and as many from loopback, where hubs share an address", async () => {
    for (const source of [(i: number) => `192.0.2.${i}`, () => "127.0.0.1"]) {
      const admission = createAdmission(createTestClock(), defaultLimits);
      for (let i = 0; i < 32; i++) admission.admit(source(i));
      await expectCode(() => admission.admit("192.0.2.99"), "TOO_MANY_CONNECTIONS");
    }
  });

  it("takes 64 a second", async () => {
    const clock = createTestClock();
    const admission = createAdmission(clock, defaultLimits);
    for (let i = 0; i < 64; i++) admission.admit(`192.0.2.${i}`)();
    await expectCode(() => admission.admit("192.0.2.1"), "TOO_MANY_CONNECTIONS");
    await clock.advance(500);
    for (let i = 0; i < 32; i++) admission.admit(`192.0.2.${i}`)();
    await expectCode(() => admission.admit("192.0.2.1"), "TOO_MANY_CONNECTIONS");
    expect(clock.monotonicMs()).toBe(500);
  });

  it("takes 16 a second from one source, so that the fastest cannot keep the others out", async () => {
    const clock = createTestClock();
    const admission = createAdmission(clock, defaultLimits);
    for (let i = 0; i < 16; i++) admission.admit("192.0.2.1")();
    for (let i = 0; i < 1_000; i++) await expectCode(() => admission.admit("192.0.2.1"), "TOO_MANY_CONNECTIONS");
    for (let i = 2; i < 50; i++) admission.admit(`192.0.2.${i}`)();
    await clock.advance(1_000);
    admission.admit("192.0.2.1")();
  });
});
