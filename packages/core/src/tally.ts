/** Sums by key, where keys return to zero all the time: how much of something is under way, and whose. */

/** Keys at zero that are kept: dropping one only to add it again costs more than the addition. */
const idleKeys = 256;

/** Whole numbers by key; 0 where nothing was added. Holds the keys that are not at zero, and up to 256 more. */
export class Tally<K> {
  readonly #sums = new Map<K, number>();
  #idle = 0;

  /** Keys held. */
  get size(): number {
    return this.#sums.size;
  }

  get(key: K): number {
    return this.#sums.get(key) ?? 0;
  }

  /** @returns the sum it leads to. */
  add(key: K, amount: number): number {
    const before = this.#sums.get(key);
    const sum = (before ?? 0) + amount;
    if (before === undefined && sum === 0) return 0;
    this.#sums.set(key, sum);
    if (before === 0) this.#idle--;
    if (sum === 0 && ++this.#idle > idleKeys) this.#dropIdle();
    return sum;
  }

  #dropIdle(): void {
    for (const [key, sum] of this.#sums) if (sum === 0) this.#sums.delete(key);
    this.#idle = 0;
  }
}
