/** Exchanges of agents that are under way, by the token they came with: when that ends, they do. */
import { type Clock, type FedError, LiveSet, type Timer } from "@fed/core";
import type { Operator } from "./operator.js";
import { unauthenticated } from "./tokens.js";

/** No timer runs longer at a time. */
const maxTimerMs = 3_600_000;

/** One exchange's claim to go on. */
export interface Standing {
  /** Calls `end` when the token has ended, at once if it has already. The last one given counts. */
  onEnd(end: (error: FedError) => void): void;
  /** The exchange is over. Idempotent. */
  readonly close: () => void;
}

/** What a token's exchanges share. */
interface Bearer {
  readonly open: LiveSet<OpenExchange>;
  timer: Timer | undefined;
}

/** See the module header. */
export class OpenExchanges {
  readonly #clock: Clock;
  readonly #onExpired: (operator: Operator, ended: number) => void;
  readonly #bearers = new Map<Operator, Bearer>();

  /** `onExpired` hears of each token that expired, and how many exchanges ended with it. */
  constructor(clock: Clock, onExpired: (operator: Operator, ended: number) => void) {
    this.#clock = clock;
    this.#onExpired = onExpired;
  }

  /** Begins one. What {@link Operator} is the same object has the same token. */
  begin(operator: Operator): Standing {
    const bearer: Bearer = this.#bearers.get(operator) ?? { open: new LiveSet(), timer: undefined };
    const { open } = bearer;
    const exchange = new OpenExchange(() => {
      open.delete(place);
      if (open.size === 0) this.#forget(operator, bearer);
    });
    const place = open.add(exchange);
    if (open.size === 1) {
      this.#bearers.set(operator, bearer);
      this.#watch(operator, bearer);
    }
    return exchange;
  }

  /** Ends those that `concerns` names, because of `error`. */
  end(concerns: (operator: Operator) => boolean, error: FedError): void {
    for (const operator of [...this.#bearers.keys()]) if (concerns(operator)) this.#end(operator, error);
  }

  #watch(operator: Operator, bearer: Bearer): void {
    if (operator.expiresAtMs === undefined) return;
    const leftMs = operator.expiresAtMs - this.#clock.nowMs();
    if (leftMs > 0) {
      bearer.timer = this.#clock.setTimer(Math.min(leftMs, maxTimerMs), () => this.#watch(operator, bearer));
      return;
    }
    const ended = bearer.open.size;
    this.#end(operator, unauthenticated("The token has expired."));
    this.#onExpired(operator, ended);
  }

  #end(operator: Operator, error: FedError): void {
    const bearer = this.#bearers.get(operator);
    if (!bearer) return;
    this.#forget(operator, bearer);
    for (const exchange of bearer.open) exchange.end(error);
  }

  #forget(operator: Operator, bearer: Bearer): void {
    bearer.timer?.cancel();
    if (this.#bearers.get(operator) === bearer) this.#bearers.delete(operator);
  }
}

class OpenExchange implements Standing {
  readonly #leave: () => void;
  #left = false;
  #ended: FedError | undefined;
  #onEnd: ((error: FedError) => void) | undefined;

  constructor(leave: () => void) {
    this.#leave = leave;
  }

  readonly close = (): void => {
    if (this.#left) return;
    this.#left = true;
    this.#leave();
  };

  onEnd(end: (error: FedError) => void): void {
    this.#onEnd = end;
    if (this.#ended) end(this.#ended);
  }

  end(error: FedError): void {
    this.#ended = error;
    this.#onEnd?.(error);
  }
}
