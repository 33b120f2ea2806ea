import { readFileSync } from "node:fs";
import { decodeHex, encodeHex } from "@fed/core";
import { expectCode } from "@fed/core/testing";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { SessionError } from "../src/errors.js";
import {
  encodeFrame,
  encodeFrameHeader,
  FLAG_EARLY,
  FRAME_DATA,
  FRAME_OPEN,
  FrameReader,
  HEADER_BYTES,
  MAX_CHUNK_BYTES,
  MAX_OPEN_BYTES,
  readU64,
  writeU64,
} from "../src/frame.js";
import { decodeGreeting, encodeGreeting } from "../src/greeting.js";
import { decodeReason } from "../src/reason.js";
import { decodeResume } from "../src/resume.js";
import type { SeenFrame } from "./fixture.js";
import { rawPeer } from "./fixture.js";

interface Case {
  readonly name: string;
  readonly hex: string;
}
interface InvalidCase extends Case {
  readonly code: string;
}
interface Vectors {
  readonly frames: {
    readonly valid: readonly (Case & {
      readonly frames: readonly { type: number; flags: number; stream: number; body: string }[];
    })[];
    readonly invalid: readonly InvalidCase[];
  };
  readonly reason: {
    readonly valid: readonly (Case & { readonly reason: Record<string, unknown> })[];
    readonly invalid: readonly InvalidCase[];
  };
  readonly resume: {
    readonly valid: readonly (Case & {
      readonly resume: {
        epoch: string;
        peerEpoch: string;
        generation: number;
        received: number;
        limits: Record<string, number>;
      };
    })[];
    readonly invalid: readonly InvalidCase[];
  };
  readonly greeting: {
    readonly valid: readonly (Case & { readonly greeting: { epoch: string; limits: Record<string, number> } })[];
    readonly invalid: readonly InvalidCase[];
  };
  readonly session: { readonly invalid: readonly InvalidCase[] };
}

const vectors = JSON.parse(
  readFileSync(new URL("../../../vectors/session/frames.json", import.meta.url), "utf8"),
) as Vectors;

function framesOf(message: Uint8Array): SeenFrame[] {
  const reader = new FrameReader();
  reader.load(message);
  const frames: SeenFrame[] = [];
  while (reader.next()) {
    frames.push({ type: reader.type, flags: reader.flags, stream: reader.stream, body: reader.body() });
  }
  return frames;
}

describe("vectors", () => {
  it("frames", async () => {
    for (const { name, hex, frames } of vectors.frames.valid) {
      const message = decodeHex(hex);
      const read = framesOf(message);
      expect(
        read.map((frame) => ({ ...frame, body: encodeHex(frame.body) })),
        name,
      ).toEqual(frames);
      const written = read.map((frame) => encodeHex(encodeFrame(frame.type, frame.flags, frame.stream, frame.body)));
      expect(written.join(""), name).toBe(hex);
    }
    for (const { name, hex, code } of vectors.frames.invalid) {
      const error = await expectCode(() => framesOf(decodeHex(hex)), code);
      expect(error, name).toBeInstanceOf(SessionError);
    }
    console.info(`frames: ${vectors.frames.valid.length} valid, ${vectors.frames.invalid.length} invalid`);
  });

  it("reasons", async () => {
    for (const { name, hex, reason } of vectors.reason.valid) {
      expect(decodeReason(decodeHex(hex)), name).toMatchObject(reason);
    }
    for (const { hex, code } of vectors.reason.invalid) await expectCode(() => decodeReason(decodeHex(hex)), code);
    console.info(`reasons: ${vectors.reason.valid.length} valid, ${vectors.reason.invalid.length} invalid`);
  });

  it("RESUME bodies", async () => {
    for (const { name, hex, resume } of vectors.resume.valid) {
      const { early, ...read } = decodeResume(decodeHex(hex), 0);
      expect({ ...read, epoch: encodeHex(read.epoch), peerEpoch: encodeHex(read.peerEpoch) }, name).toEqual(resume);
      expect(early).toBe(false);
      expect(decodeResume(decodeHex(hex), FLAG_EARLY).early).toBe(true);
    }
    for (const { hex, code } of vectors.resume.invalid) await expectCode(() => decodeResume(decodeHex(hex), 0), code);
    console.info(`resume: ${vectors.resume.valid.length} valid, ${vectors.resume.invalid.length} invalid`);
  });

  it("greetings", async () => {
    for (const { name, hex, greeting } of vectors.greeting.valid) {
      const { epoch, limits } = decodeGreeting(decodeHex(hex));
      expect({ epoch: encodeHex(epoch), limits }, name).toEqual(greeting);
      expect(encodeHex(encodeGreeting(epoch, limits))).toBe(hex);
    }
    for (const { hex, code } of vectors.greeting.invalid) await expectCode(() => decodeGreeting(decodeHex(hex)), code);
    await expectCode(() => encodeGreeting(new Uint8Array(15)), "INVALID_OPTION");
    console.info(`greetings: ${vectors.greeting.valid.length} valid, ${vectors.greeting.invalid.length} invalid`);
  });

  it("what ends a session", async () => {
    for (const { name, hex, code } of vectors.session.invalid) {
      const peer = await rawPeer({ handler: { stream: (stream) => void stream.receive().catch(() => {}) } });
      peer.send(decodeHex(hex));
      expect(await peer.session.closed, name).toMatchObject({ code });
      expect(await peer.session.closed, name).toBeInstanceOf(SessionError);
    }
    console.info(`session: ${vectors.session.invalid.length} invalid`);
  });
});

describe("frames", () => {
  it("read back what was written, many to a message, without copying", () => {
    const part = fc.record({ id: fc.integer({ min: 1, max: 0xffffffff }), body: fc.uint8Array({ minLength: 1 }) });
    fc.assert(
      fc.property(fc.array(part, { maxLength: 20 }), (parts) => {
        const message = new Uint8Array(parts.reduce((sum, { body }) => sum + HEADER_BYTES + body.length, 0));
        let at = 0;
        for (const { id, body } of parts) {
          at = encodeFrameHeader(message, at, FRAME_DATA, 1, id, body.length);
          message.set(body, at);
          at += body.length;
        }
        const frames = framesOf(message);
        expect(frames.map(({ stream, body }) => ({ id: stream, body }))).toEqual(parts);
        for (const { body } of frames) expect(body.buffer).toBe(message.buffer);
      }),
      { numRuns: 100 },
    );
  });

  it("carry the largest bodies, and not one byte more", async () => {
    for (const [type, max] of [
      [FRAME_OPEN, MAX_OPEN_BYTES],
      [FRAME_DATA, MAX_CHUNK_BYTES],
    ] as const) {
      expect(framesOf(encodeFrame(type, 1, 1, new Uint8Array(max)))[0]?.body.length).toBe(max);
      await expectCode(() => framesOf(encodeFrame(type, 1, 1, new Uint8Array(max + 1))), "FRAME_TOO_LARGE");
    }
  });

  it("of any bytes end in a SessionError or stay inside the message", () => {
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc
        .tuple(fc.integer({ min: 0, max: 14 }), fc.integer({ min: 0, max: 4 }), fc.integer({ min: 0, max: 40 }))
        .map(([type, flags, length]) => encodeFrame(type, flags, 1, new Uint8Array(length))),
    );
    fc.assert(
      fc.property(bytes, fc.nat(), (message, cut) => {
        const input = message.subarray(0, cut % (message.length + 1));
        try {
          let sum = 0;
          for (const { body } of framesOf(input)) sum += HEADER_BYTES + body.length;
          expect(sum).toBe(input.length);
        } catch (error) {
          expect(error).toBeInstanceOf(SessionError);
        }
      }),
      { numRuns: 200 },
    );
  });

  it("count in 64 bits", () => {
    const bytes = new Uint8Array(8);
    fc.assert(
      fc.property(fc.maxSafeNat(), (value) => {
        writeU64(bytes, 0, value);
        expect(readU64(bytes, 0)).toBe(value);
      }),
      { numRuns: 100 },
    );
  });
});
