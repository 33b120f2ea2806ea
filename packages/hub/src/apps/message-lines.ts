/** Cuts what an app prints on standard output into lines, one JSON-RPC message each, with a bound on what is kept. */
import { JsonRpcIdScanner } from "./json-rpc-id.js";

/** Who hears of the lines. */
export interface LineHandlers {
  /** One line without its end. */
  onLine(line: string): void;
  /** A line above the bound has ended; `id` is that of the request it answers, where it answers one. */
  onOversized(id: number | undefined, bytes: number): void;
  /** A line has more than `maxSkippedBytes`; nothing more is heard. */
  onEndless(): void;
}

/** Bounds of {@link MessageLines}, bytes. */
export interface LineLimits {
  /** A line that is kept. */
  readonly maxLineBytes: number;
  /** A line that is let go as it comes. */
  readonly maxSkippedBytes: number;
}

const newline = 10;
const firstCapacity = 64 * 1024;

/** See the module header. */
export class MessageLines {
  readonly #limits: LineLimits;
  readonly #handlers: LineHandlers;
  /** The beginning of a line whose end has not come; grows by doubling, so that an app that prints byte by byte costs no more. */
  #kept: Buffer = Buffer.alloc(0);
  #length = 0;
  #skipped: JsonRpcIdScanner | undefined;
  #ended = false;

  constructor(limits: LineLimits, handlers: LineHandlers) {
    this.#limits = limits;
    this.#handlers = handlers;
  }

  push(chunk: Buffer): void {
    let from = 0;
    for (let end = chunk.indexOf(newline); end >= 0 && !this.#ended; end = chunk.indexOf(newline, from)) {
      const piece = chunk.subarray(from, end);
      if (this.#length === 0 && piece.length <= this.#limits.maxLineBytes)
        this.#handlers.onLine(piece.toString("utf8"));
      else this.#last(piece);
      from = end + 1;
    }
    if (from < chunk.length && !this.#ended) this.#keep(chunk.subarray(from));
  }

  #last(piece: Buffer): void {
    this.#keep(piece);
    if (this.#ended) return;
    const bytes = this.#length;
    const skipped = this.#skipped;
    const line = skipped ? "" : this.#kept.toString("utf8", 0, bytes);
    this.#forget();
    if (skipped) this.#handlers.onOversized(skipped.id, bytes);
    else this.#handlers.onLine(line);
  }

  #keep(piece: Buffer): void {
    const length = this.#length + piece.length;
    if (length > this.#limits.maxSkippedBytes) {
      this.#ended = true;
      this.#forget();
      this.#handlers.onEndless();
      return;
    }
    if (!this.#skipped && length > this.#limits.maxLineBytes) {
      this.#skipped = new JsonRpcIdScanner();
      this.#skipped.push(this.#kept.subarray(0, this.#length));
      this.#kept = Buffer.alloc(0);
    }
    if (this.#skipped) this.#skipped.push(piece);
    else {
      this.#reserve(length);
      piece.copy(this.#kept, this.#length);
    }
    this.#length = length;
  }

  #reserve(length: number): void {
    if (length <= this.#kept.length) return;
    const grown = Buffer.allocUnsafe(Math.max(firstCapacity, length, this.#kept.length * 2));
    this.#kept.copy(grown, 0, 0, this.#length);
    this.#kept = grown;
  }

  #forget(): void {
    // A buffer that one long line needed is not kept for the short ones.
    if (this.#kept.length > firstCapacity) this.#kept = Buffer.alloc(0);
    this.#length = 0;
    this.#skipped = undefined;
  }
}
