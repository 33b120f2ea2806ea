/** Messages in the making: one growing buffer each, and one budget for all of a session's. */

const FIRST_BYTES = 64 * 1024;

/** The bytes of one unfinished message. Grows with what arrived, never ahead of it by more than double. */
export class Assembly {
  length = 0;
  #buffer = new Uint8Array(FIRST_BYTES);

  append(chunk: Uint8Array): void {
    const needed = this.length + chunk.length;
    if (needed > this.#buffer.length) {
      this.#buffer = new Uint8Array(this.#buffer.buffer.transfer(Math.max(needed, this.#buffer.length * 2)));
    }
    this.#buffer.set(chunk, this.length);
    this.length = needed;
  }

  /** The whole message. The assembly must not be used afterwards. */
  finish(): Uint8Array {
    return this.#buffer.subarray(0, this.length);
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
