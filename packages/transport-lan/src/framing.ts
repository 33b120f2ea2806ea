/** Messages on the byte stream: u32 big-endian length, then that many bytes. docs/spec/lan.md, "Frames". */
import { LanError } from "./errors.js";

export const frameHeaderBytes = 4;

/** The header in front of a message of `length` bytes. */
export function encodeFrameHeader(length: number): Uint8Array {
  return Uint8Array.of(length >>> 24, length >>> 16, length >>> 8, length);
}

/**
 * Cuts a byte stream into messages, each checked against the limit before memory is taken for it.
 * Pushed chunks must never be reused: a message that lies inside one chunk is a view of it, so keeping a message
 * keeps its chunk. Every byte is copied at most once.
 */
export class FrameReader {
  /** Largest message, bytes; may be changed between messages. */
  maxMessageBytes: number;
  readonly #chunks: Uint8Array[] = [];
  /** Bytes of the first chunk that are used up. */
  #offset = 0;
  /** Bytes in all chunks that are not used up. */
  #available = 0;
  /** A message that spans chunks, and how much of it is there. */
  #partial: Uint8Array | undefined;
  #filled = 0;

  constructor(maxMessageBytes: number) {
    this.maxMessageBytes = maxMessageBytes;
  }

  /** Adds what arrived. */
  push(chunk: Uint8Array): void {
    if (chunk.length === 0) return;
    this.#chunks.push(chunk);
    this.#available += chunk.length;
  }

  /** Whether a message has begun and not ended: an end of stream here is a truncation. */
  get midway(): boolean {
    return this.#partial !== undefined || this.#available > 0;
  }

  /**
   * The next whole message, or undefined until more is pushed.
   * @throws {LanError} FRAME_EMPTY or FRAME_TOO_LARGE; the stream is then out of step for good.
   */
  next(): Uint8Array | undefined {
    if (this.#partial === undefined) {
      if (this.#available < frameHeaderBytes) return undefined;
      const length = this.#takeLength();
      if (length === 0) throw new LanError({ code: "FRAME_EMPTY", message: "A frame without content arrived." });
      if (length > this.maxMessageBytes) {
        throw new LanError({
          code: "FRAME_TOO_LARGE",
          message: `A frame of ${length} bytes was announced; at most ${this.maxMessageBytes} are read.`,
        });
      }
      const first = this.#chunks[0];
      if (first !== undefined && first.length - this.#offset >= length) {
        const message = new Uint8Array(first.buffer, first.byteOffset + this.#offset, length);
        this.#consume(length);
        return message;
      }
      this.#partial = new Uint8Array(length);
      this.#filled = 0;
    }
    const message = this.#partial;
    while (this.#filled < message.length) {
      const chunk = this.#chunks[0];
      if (chunk === undefined) return undefined;
      const size = Math.min(chunk.length - this.#offset, message.length - this.#filled);
      message.set(chunk.subarray(this.#offset, this.#offset + size), this.#filled);
      this.#filled += size;
      this.#consume(size);
    }
    this.#partial = undefined;
    return message;
  }

  #takeLength(): number {
    let length = 0;
    for (let i = 0; i < frameHeaderBytes; i++) {
      length = length * 256 + this.#chunks[0]![this.#offset]!;
      this.#consume(1);
    }
    return length;
  }

  #consume(size: number): void {
    this.#available -= size;
    this.#offset += size;
    if (this.#offset === this.#chunks[0]!.length) {
      this.#chunks.shift();
      this.#offset = 0;
    }
  }
}
