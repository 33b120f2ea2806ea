/** A first-in first-out list whose shift takes constant time: arrays move every element. */

interface Link<T> {
  readonly value: T;
  next: Link<T> | undefined;
}

/** A first-in first-out list. */
export class Fifo<T> {
  #head: Link<T> | undefined;
  #tail: Link<T> | undefined;
  /** How many values wait. */
  size = 0;

  push(value: T): void {
    const link = { value, next: undefined };
    if (this.#tail) this.#tail.next = link;
    else this.#head = link;
    this.#tail = link;
    this.size++;
  }

  /** The oldest value, left in place. */
  peek(): T | undefined {
    return this.#head?.value;
  }

  /** The newest value, left in place. */
  last(): T | undefined {
    return this.#tail?.value;
  }

  /** Takes the oldest value. */
  shift(): T | undefined {
    const link = this.#head;
    if (!link) return undefined;
    this.#head = link.next;
    if (!link.next) this.#tail = undefined;
    // A link that the collector has aged must not keep those after it.
    link.next = undefined;
    this.size--;
    return link.value;
  }

  clear(): void {
    this.#head = undefined;
    this.#tail = undefined;
    this.size = 0;
  }
}
