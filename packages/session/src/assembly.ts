/** Messages in the making, and one budget for all of a session's. */
import { concatBytes } from "@fed/core";

/** A chunk of this many bytes is kept as it came, if its buffer holds little else; smaller ones are copied together. */
const MIN_KEPT_BYTES = 4096;

/** The bytes of one unfinished message. Takes at most twice the memory of what has arrived, and 1 KiB for each 4 KiB of it. */
export class Assembly {
  length = 0;
  readonly #maxBytes: number;
  #parts: Uint8Array[] = [];
  #tail = new Uint8Array(0);
  #tailBytes = 0;

  /** The caller keeps the sum of chunks within `maxBytes`. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Takes a chunk, which must not change afterwards. */
  append(chunk: Uint8Array): void {
    this.length += chunk.length;
    if (chunk.length >= MIN_KEPT_BYTES && chunk.buffer.byteLength <= 2 * chunk.length) {
      this.#sealTail();
      this.#parts.push(chunk);
      return;
    }
    const needed = this.#tailBytes + chunk.length;
    if (needed > this.#tail.length) {
      const bytes = Math.max(Math.min(needed * 2, this.#maxBytes), 1024);
      this.#tail = new Uint8Array(this.#tail.buffer.transfer(bytes));
    }
    this.#tail.set(chunk, this.#tailBytes);
    this.#tailBytes = needed;
  }

  /** The whole message. The assembly must not be used afterwards. */
  finish(): Uint8Array {
    this.#sealTail();
    return this.#parts.length === 1 ? this.#parts[0]! : concatBytes(...this.#parts);
  }

  #sealTail(): void {
    if (this.#tailBytes === 0) return;
    this.#parts.push(this.#tail.subarray(0, this.#tailBytes));
    this.#tail = new Uint8Array(0);
    this.#tailBytes = 0;
  }
}

/** One who assembles and may have to wait with its grants. */
export interface Assembler {
  /** The budget has room for it again. */
  resume(): void;
}

/**
 * Keeps the sum of unfinished messages near a limit. Above it only the oldest message goes on being granted, so that
 * one always finishes and nobody waits for each other in a circle.
 */
export class AssemblyBudget {
  readonly #maxBytes: number;
  readonly #active = new Map<Assembler, number>();
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  add(assembler: Assembler, bytes: number): void {
    this.#active.set(assembler, (this.#active.get(assembler) ?? 0) + bytes);
    this.#bytes += bytes;
  }

  /** Whether `assembler` may let its peer send more. */
  admits(assembler: Assembler): boolean {
    return this.#bytes <= this.#maxBytes || this.#active.keys().next().value === assembler;
  }

  /** The message of `assembler` is finished or given up. */
  release(assembler: Assembler): void {
    const bytes = this.#active.get(assembler);
    if (bytes === undefined) return;
    const wasFull = this.#bytes > this.#maxBytes;
    this.#active.delete(assembler);
    this.#bytes -= bytes;
    if (!wasFull) return;
    for (const waiting of this.#active.keys()) {
      if (!this.admits(waiting)) return;
      waiting.resume();
    }
  }
}
