/** How much is under way at once. */
import { Tally } from "@fed/core";
import { RouterError } from "./errors.js";

/** Counts what is in flight, per key (a peer, an operator) and in all: calls, or the bytes of their requests. */
export class InFlight {
  readonly #maxPerKey: number;
  readonly #max: number;
  readonly #perKey = new Tally<string>();
  #total = 0;

  constructor(maxPerKey: number, max: number) {
    this.#maxPerKey = maxPerKey;
    this.#max = max;
  }

  /** @throws {RouterError} BUSY once either limit is reached. */
  take(key: string, amount = 1): void {
    if (this.#perKey.get(key) >= this.#maxPerKey || this.#total >= this.#max) {
      throw new RouterError({
        code: "BUSY",
        message: "Too many calls are in flight; this one was not started.",
        hint: "Wait for some to finish and try again.",
        retryable: true,
      });
    }
    this.#perKey.add(key, amount);
    this.#total += amount;
  }

  /** Gives back what was taken. */
  release(key: string, amount = 1): void {
    this.#perKey.add(key, -amount);
    this.#total -= amount;
  }
}
