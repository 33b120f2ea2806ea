/** How much is under way at once. */
import { RouterError } from "./errors.js";

/** Counts what is in flight, per key (a peer, an operator) and in all: calls, or the bytes of their requests. */
export class InFlight {
  readonly #maxPerKey: number;
  readonly #max: number;
  readonly #perKey = new Map<string, number>();
  #total = 0;

  constructor(maxPerKey: number, max: number) {
    this.#maxPerKey = maxPerKey;
    this.#max = max;
  }

  /** @throws {RouterError} BUSY once either limit is reached. */
  take(key: string, amount = 1): void {
    const count = this.#perKey.get(key) ?? 0;
    if (count >= this.#maxPerKey || this.#total >= this.#max) {
      throw new RouterError({
        code: "BUSY",
        message: "Too many calls are in flight; this one was not started.",
        hint: "Wait for some to finish and try again.",
        retryable: true,
      });
    }
    this.#perKey.set(key, count + amount);
    this.#total += amount;
  }

  /** Gives back what was taken. */
  release(key: string, amount = 1): void {
    const count = (this.#perKey.get(key) ?? amount) - amount;
    if (count > 0) this.#perKey.set(key, count);
    else this.#perKey.delete(key);
    this.#total -= amount;
  }
}
