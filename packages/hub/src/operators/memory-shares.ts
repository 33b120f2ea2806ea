/**
 * How much of this hub's memory the requests and answers of one operator fill, however many connections they come on: bodies
 * for as long as they are worked on, and what clients have not read yet.
 */
import { RouterError } from "@fed/router";
import type { Operator } from "./operator.js";

const mib = 1024 * 1024;
/** Nothing new is taken in above these. */
const perOperator = 128 * mib;
const overall = 512 * mib;
/** Answers to what was taken in before are kept up to so much more. */
const forAnswers = 2;

/** What one exchange fills of its operator's share. */
export interface Holding {
  /** Whether the operator's share, or all memory there is for it, is used up. */
  readonly full: boolean;
  /** Counts `bytes` of the request. @throws {RouterError} BUSY when there is no room for them. */
  take(bytes: number): void;
  /** Counts `bytes` as what the client has not read yet, in place of the number before. @returns false: it is too much. */
  unread(bytes: number): boolean;
  /** Counts nothing any more; for good. */
  release(): void;
}

/** See the module header. */
export class MemoryShares {
  readonly #bytes = new Map<string, number>();
  #total = 0;

  /** A new exchange of `operator`'s. */
  hold({ principal }: Operator): Holding {
    let taken = 0;
    let unread = 0;
    let released = false;
    const isFull = (factor = 1) =>
      (this.#bytes.get(principal) ?? 0) >= perOperator * factor || this.#total >= overall * factor;
    return {
      get full() {
        return isFull();
      },
      take: (bytes) => {
        if (isFull()) throw noRoom();
        if (released) return;
        taken += bytes;
        this.#add(principal, bytes);
      },
      unread: (bytes) => {
        if (released) return true;
        this.#add(principal, bytes - unread);
        unread = bytes;
        return bytes === 0 || !isFull(forAnswers);
      },
      release: () => {
        if (!released && taken + unread > 0) this.#add(principal, -taken - unread);
        released = true;
      },
    };
  }

  #add(principal: string, bytes: number): void {
    const sum = (this.#bytes.get(principal) ?? 0) + bytes;
    if (sum > 0) this.#bytes.set(principal, sum);
    else this.#bytes.delete(principal);
    this.#total += bytes;
  }
}

function noRoom(): RouterError {
  return new RouterError({
    code: "BUSY",
    message: "What this operator's agents send, and have not read yet, fills the memory there is for it.",
    hint: "Read answers, wait for calls to finish, and try again.",
    retryable: true,
  });
}
