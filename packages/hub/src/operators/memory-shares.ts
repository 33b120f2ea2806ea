/**
 * How much of this hub's memory the requests and answers of one operator fill, however many connections they come on: bodies
 * for as long as they are worked on, and what clients have not read yet.
 */
import { Tally } from "@fed/core";
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
  readonly release: () => void;
}

/** See the module header. */
export class MemoryShares {
  readonly #bytes = new Tally<string>();
  #total = 0;

  /** A new exchange of `operator`'s. */
  hold({ principal }: Operator): Holding {
    return new Share(this, principal);
  }

  /** Whether `factor` times what `principal` may fill, or all may, is filled. */
  isFull(principal: string, factor = 1): boolean {
    return this.#bytes.get(principal) >= perOperator * factor || this.#total >= overall * factor;
  }

  add(principal: string, bytes: number): void {
    this.#bytes.add(principal, bytes);
    this.#total += bytes;
  }
}

class Share implements Holding {
  readonly #shares: MemoryShares;
  readonly #principal: string;
  #taken = 0;
  #unread = 0;
  #released = false;

  constructor(shares: MemoryShares, principal: string) {
    this.#shares = shares;
    this.#principal = principal;
  }

  get full(): boolean {
    return this.#shares.isFull(this.#principal);
  }

  take(bytes: number): void {
    if (this.full) throw noRoom();
    if (this.#released) return;
    this.#taken += bytes;
    this.#shares.add(this.#principal, bytes);
  }

  unread(bytes: number): boolean {
    if (this.#released) return true;
    this.#shares.add(this.#principal, bytes - this.#unread);
    this.#unread = bytes;
    return bytes === 0 || !this.#shares.isFull(this.#principal, forAnswers);
  }

  readonly release = (): void => {
    if (!this.#released) this.#shares.add(this.#principal, -this.#taken - this.#unread);
    this.#released = true;
  };
}

function noRoom(): RouterError {
  return new RouterError({
    code: "BUSY",
    message: "What this operator's agents send, and have not read yet, fills the memory there is for it.",
    hint: "Read answers, wait for calls to finish, and try again.",
    retryable: true,
  });
}
