/** Messages in the making: one growing buffer each, and one budget for all of a session's. */

/** The bytes of one unfinished message. Takes at most twice the memory of what has arrived, and 1 KiB. */
export class Assembly {
  length = 0;
  readonly #maxBytes: number;
  #buffer = new Uint8Array(1024);

  /** The caller keeps the sum of chunks within `maxBytes`. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  append(chunk: Uint8Array): void {
    const needed = this.length + chunk.length;
    if (needed > this.#buffer.length) {
      this.#buffer = new Uint8Array(this.#buffer.buffer.transfer(Math.min(needed * 2, this.#maxBytes)));
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
