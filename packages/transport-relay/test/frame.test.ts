import { isFedError } from "@fed/core";
import { expectCode } from "@fed/core/testing";
import fc from "fast-check";
import { expect, test } from "vitest";
import { decodeFrame, encodeFrame, type Frame, maxFrameBytes } from "../src/frame.js";

const bytes = (min: number, max: number) => fc.uint8Array({ minLength: min, maxLength: max });
const route = bytes(16, 16);
const u32 = fc.nat(0xffff_ffff);
const frame: fc.Arbitrary<Frame> = fc.oneof(
  fc.record({ type: fc.constant("hello" as const), token: bytes(0, 900) }),
  fc.record({ type: fc.constant("challenge" as const), challenge: bytes(32, 32) }),
  fc.record({ type: fc.constant("proof" as const), signature: bytes(64, 64) }),
  fc.record({ type: fc.constant("welcome" as const), creditBytes: u32 }),
  fc.record({ type: fc.constantFrom("send" as const, "recv" as const), route, payload: bytes(1, 200) }),
  fc.record({ type: fc.constant("ack" as const), processedBytes: fc.nat(Number.MAX_SAFE_INTEGER) }),
  fc.record({ type: fc.constant("peer" as const), route, present: fc.boolean() }),
  fc.record({ type: fc.constant("noRoute" as const), route }),
  fc.record({ type: fc.constant("reset" as const), route, reason: fc.nat(255) }),
  fc.record({ type: fc.constant("rate" as const), waitMs: u32 }),
  fc.record({ type: fc.constant("restarting" as const), reconnectInMs: u32, tryForMs: u32 }),
);

test("every frame comes back as it was", () => {
  fc.assert(
    fc.property(frame, (value) => {
      expect(decodeFrame(encodeFrame(value))).toEqual(value);
    }),
    { numRuns: 200 },
  );
});

test("any bytes are a frame or a typed error, and a frame has one encoding", () => {
  fc.assert(
    fc.property(
      fc.oneof(
        bytes(0, 60),
        bytes(0, 60).map((rest) => Uint8Array.of(0x10, 0, ...rest)),
      ),
      (value) => {
        try {
          expect(encodeFrame(decodeFrame(value))).toEqual(value);
        } catch (error) {
          expect(isFedError(error) && error.code).toBe("FRAME_MALFORMED");
        }
      },
    ),
    { numRuns: 200 },
  );
});

test("an oversized frame is refused before it is looked at", async () => {
  await expectCode(() => decodeFrame(new Uint8Array(maxFrameBytes + 1)), "FRAME_TOO_LARGE");
});
