/**
 * Collections for what is under way: a call, a stream, a response. It comes and goes all the time, in a collection that lives
 * as long as the hub. A `Set` or `Map` is bad at that in V8: each table it leaves behind points to the next one, so once one
 * of them has become old, every table since, and whatever was in it, outlives each scavenge until a full collection.
 * Here what is under way lies in an array whose places are used again.
 */

/** A set whose members know their place. It is iterated in no order; what is removed meanwhile is not met. */
export class LiveSet<T> {
  readonly #items: (T | undefined)[] = [];
  readonly #free: number[] = [];

  get size(): number {
    return this.#items.length - this.#free.length;
  }

  /** @returns the place to {@link delete}; nobody else has it until then. */
  add(item: T): number {
    const place = this.#free.pop() ?? this.#items.length;
    this.#items[place] = item;
    return place;
  }

  /** What is at `place`. */
  at(place: number): T | undefined {
    return this.#items[place];
  }

  /** Frees a place that {@link add} gave; once only. */
  delete(place: number): void {
    this.#items[place] = undefined;
    this.#free.push(place);
  }

  *[Symbol.iterator](): Generator<T> {
    for (const item of this.#items) if (item !== undefined) yield item;
  }
}

/** A map of the same kind: the table from keys to places holds no object. */
export class LiveMap<K extends string | number, T> {
  readonly #places = new Map<K, number>();
  readonly #items = new LiveSet<T>();

  get size(): number {
    return this.#items.size;
  }

  has(key: K): boolean {
    return this.#places.has(key);
  }

  get(key: K): T | undefined {
    const place = this.#places.get(key);
    return place === undefined ? undefined : this.#items.at(place);
  }

  /** A key that is set again moves to the end, as if it had been deleted first; that of a `Map` would stay where it was. */
  set(key: K, item: T): void {
    this.delete(key);
    this.#places.set(key, this.#items.add(item));
  }

  /** @returns whether it was there. */
  delete(key: K): boolean {
    const place = this.#places.get(key);
    if (place === undefined) return false;
    this.#places.delete(key);
    this.#items.delete(place);
    return true;
  }

  /** Removes all. */
  clear(): void {
    for (const key of [...this.#places.keys()]) this.delete(key);
  }

  /** In the order they were last set. */
  keys(): Iterable<K> {
    return this.#places.keys();
  }

  /** In the order they were last set. */
  *values(): Generator<T> {
    for (const place of this.#places.values()) {
      const item = this.#items.at(place);
      if (item !== undefined) yield item;
    }
  }
}
