/**
 * Frames: docs/spec/session.md §2. Ten bytes of header (type u8, flags u8, stream u32, length u32, big-endian), then the body.
 * Reading checks everything that a frame alone can tell before a body is touched, and copies nothing.
 */
import { SessionError } from "./errors.js";

export const FRAME_OPEN = 1;
export const FRAME_DATA = 2;
export const FRAME_CREDIT = 3;
export const FRAME_CLOSE = 4;
export const FRAME_RESET = 5;
export const FRAME_STOP = 6;
export const FRAME_GOAWAY = 7;
export const FRAME_PING = 8;
export const FRAME_PONG = 9;
export const FRAME_ACK = 10;
export const FRAME_RESUME = 11;
export const FRAME_FROM = 12;
export const FRAME_END = 13;

/** Types up to this one belong to the session: they are counted, acknowledged and sent again. The others to a connection. */
export const LAST_SEQUENCED_TYPE = FRAME_GOAWAY;

/** DATA: the body ends a message. */
export const FLAG_END_MESSAGE = 1;
/** DATA: it is also the last of this direction. Only with {@link FLAG_END_MESSAGE}. */
export const FLAG_END_STREAM = 2;
/** RESUME, of the side that dialled: it has begun the session and goes on without an answer. */
export const FLAG_EARLY = 1;

/** Bytes of a frame header. */
export const HEADER_BYTES = 10;
/** Largest DATA frame, and its body. */
export const MAX_CHUNK_FRAME_BYTES = 16 * 1024;
export const MAX_CHUNK_BYTES = MAX_CHUNK_FRAME_BYTES - HEADER_BYTES;
/**
 * What longer messages are cut into. Such a frame, alone in a transport message behind four bytes of length, fills a TLS
 * record: it arrives in one piece, and nobody has to put it together.
 */
export const CUT_FRAME_BYTES = MAX_CHUNK_FRAME_BYTES - 4;
/**
 * A transport message of this length takes in no more of what waits: frames with less room would shrink to crumbs. So much
 * makes the other side acknowledge at once.
 */
export const FULL_MESSAGE_BYTES = CUT_FRAME_BYTES - 1024;
/** Largest OPEN body. */
export const MAX_OPEN_BYTES = 64 * 1024;
/** Largest reason in RESET, STOP, GOAWAY and END. */
export const MAX_REASON_BYTES = 2 * 1024;
/** Bytes of a RESUME body. */
export const RESUME_BYTES = 60;

/** Smallest and largest body, allowed flags, and whether the frame names a stream (undefined: either), by type. */
const shapes: readonly (readonly [min: number, max: number, flags: number, onStream: boolean | undefined])[] = [
  [0, 0, 0, false],
  [0, MAX_OPEN_BYTES, 3, true],
  [0, MAX_CHUNK_BYTES, FLAG_END_MESSAGE | FLAG_END_STREAM, true],
  [4, 4, 0, undefined],
  [0, 0, 0, true],
  [2, MAX_REASON_BYTES, 0, true],
  [2, MAX_REASON_BYTES, 0, true],
  [6, 4 + MAX_REASON_BYTES, 0, false],
  [8, MAX_CHUNK_BYTES, 0, false],
  [8, MAX_CHUNK_BYTES, 0, false],
  [8, 8, 0, false],
  [RESUME_BYTES, RESUME_BYTES, FLAG_EARLY, false],
  [8, 8, 0, false],
  [0, MAX_REASON_BYTES, 0, false],
];

/**
 * Writes a header at `offset` of `target` and returns the offset of the body. The caller has made sure of the room
 * and of the values; nothing is checked here.
 */
export function encodeFrameHeader(
  target: Uint8Array,
  offset: number,
  type: number,
  flags: number,
  stream: number,
  length: number,
): number {
  target[offset] = type;
  target[offset + 1] = flags;
  writeU32(target, offset + 2, stream);
  writeU32(target, offset + 6, length);
  return offset + HEADER_BYTES;
}

/** One frame in a buffer of its own. `body` is copied. */
export function encodeFrame(
  type: number,
  flags: number,
  stream: number,
  body: Uint8Array = new Uint8Array(0),
): Uint8Array {
  const frame = new Uint8Array(HEADER_BYTES + body.length);
  frame.set(body, encodeFrameHeader(frame, 0, type, flags, stream, body.length));
  return frame;
}

/**
 * Walks over the frames of one transport message. Reused from message to message:
 * `load`, then `next` until it returns false; the fields describe the frame last returned.
 */
export class FrameReader {
  type = 0;
  flags = 0;
  stream = 0;
  /** Where the body of the current frame begins and ends in the message. */
  start = 0;
  end = 0;
  #message: Uint8Array = new Uint8Array(0);

  load(message: Uint8Array): void {
    this.#message = message;
    this.end = 0;
  }

  /** The current body, a view into the message. */
  body(): Uint8Array {
    return this.#message.subarray(this.start, this.end);
  }

  /** The unsigned 32-bit number at `offset` of the current body. */
  u32(offset: number): number {
    return readU32(this.#message, this.start + offset);
  }

  /** The unsigned 64-bit number at `offset` of the current body. @throws {SessionError} FRAME_MALFORMED above 2^53-1. */
  u64(offset: number): number {
    return readU64(this.#message, this.start + offset);
  }

  /**
   * Moves to the next frame; false when the message is used up.
   * @throws {SessionError} FRAME_TRUNCATED when the message ends inside a frame; FRAME_UNKNOWN for a type not in the
   * table; FRAME_TOO_LARGE when the length is above the type's limit; FRAME_MALFORMED for flags, a stream id, a length or
   * a value the type does not allow.
   */
  next(): boolean {
    const message = this.#message;
    const at = this.end;
    if (at === message.length) return false;
    if (message.length - at < HEADER_BYTES) throw truncated();
    const type = message[at]!;
    const shape = shapes[type];
    if (type === 0 || !shape) {
      throw new SessionError({ code: "FRAME_UNKNOWN", message: `There is no frame of type ${type}.` });
    }
    const flags = message[at + 1]!;
    const stream = readU32(message, at + 2);
    const length = readU32(message, at + 6);
    if (length > shape[1]) {
      throw new SessionError({
        code: "FRAME_TOO_LARGE",
        message: `A frame of type ${type} announces ${length} bytes; at most ${shape[1]} are allowed.`,
      });
    }
    if (length < shape[0]) throw malformed(type, "is too short");
    if (flags & ~shape[2]) throw malformed(type, "has unknown flags");
    if (shape[3] !== undefined && shape[3] !== stream > 0) throw malformed(type, "has the wrong stream id");
    if (length > message.length - at - HEADER_BYTES) throw truncated();
    this.type = type;
    this.flags = flags;
    this.stream = stream;
    this.start = at + HEADER_BYTES;
    this.end = this.start + length;
    if (type === FRAME_DATA && !(flags & FLAG_END_MESSAGE)) {
      if (flags & FLAG_END_STREAM) throw malformed(type, "ends its stream inside a message");
      if (length === 0) throw malformed(type, "carries nothing and ends nothing");
    }
    if (type === FRAME_CREDIT && this.u32(0) === 0) throw malformed(type, "grants nothing");
    return true;
  }
}

/** A frame on no stream whose body is one u64. */
export function encodeCountFrame(type: number, count: number): Uint8Array {
  const frame = new Uint8Array(HEADER_BYTES + 8);
  writeU64(frame, encodeFrameHeader(frame, 0, type, 0, 0, 8), count);
  return frame;
}

/** Reads a big-endian unsigned 32-bit number. */
export function readU32(bytes: Uint8Array, offset: number): number {
  return ((bytes[offset]! << 24) | (bytes[offset + 1]! << 16) | (bytes[offset + 2]! << 8) | bytes[offset + 3]!) >>> 0;
}

/** Writes a big-endian unsigned 32-bit number. */
export function writeU32(bytes: Uint8Array, offset: number, value: number): void {
  bytes[offset] = value >>> 24;
  bytes[offset + 1] = value >>> 16;
  bytes[offset + 2] = value >>> 8;
  bytes[offset + 3] = value;
}

/** Writes `value`, a safe integer, as big-endian u64. */
export function writeU64(bytes: Uint8Array, offset: number, value: number): void {
  writeU32(bytes, offset, Math.floor(value / 2 ** 32));
  writeU32(bytes, offset + 4, value % 2 ** 32);
}

/**
 * Reads a big-endian u64.
 * @throws {SessionError} FRAME_MALFORMED above 2^53-1: no counter of a session gets there.
 */
export function readU64(bytes: Uint8Array, offset: number): number {
  const value = readU32(bytes, offset) * 2 ** 32 + readU32(bytes, offset + 4);
  if (!Number.isSafeInteger(value)) {
    throw new SessionError({ code: "FRAME_MALFORMED", message: "A 64-bit counter is above 2^53-1." });
  }
  return value;
}

function truncated(): SessionError {
  return new SessionError({ code: "FRAME_TRUNCATED", message: "The message ends inside a frame." });
}

function malformed(type: number, what: string): SessionError {
  return new SessionError({ code: "FRAME_MALFORMED", message: `A frame of type ${type} ${what}.` });
}
