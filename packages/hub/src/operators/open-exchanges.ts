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
  /** As the first of them had it. */
  readonly operator: Operator;
  readonly open: LiveSet<OpenExchange>;
  timer: Timer | undefined;
}

/** See the module header. */
export class OpenExchanges {
  readonly #clock: Clock;
  readonly #onExpired: (operator: Operator, ended: number) => void;
  readonly #bearers = new Map<string, Bearer>();

  /** `onExpired` hears of each token that expired, and how many exchanges ended with it. */
  constructor(clock: Clock, onExpired: (operator: Operator, ended: number) => void) {
    this.#clock = clock;
    this.#onExpired = onExpired;
  }

  /** Begins one. */
  begin(operator: Operator): Standing {
    const key = keyOf(operator);
    const bearer: Bearer = this.#bearers.get(key) ?? { operator, open: new LiveSet(), timer: undefined };
    const { open } = bearer;
    const exchange = new OpenExchange(() => {
      open.delete(place);
      if (open.size === 0) this.#forget(key, bearer);
    });
    const place = open.add(exchange);
    if (open.size === 1) {
      this.#bearers.set(key, bearer);
      this.#watch(key, bearer);
    }
    return exchange;
  }

  /** Ends those that `concerns` names, because of `error`. */
  end(concerns: (operator: Operator) => boolean, error: FedError): void {
    for (const [key, bearer] of [...this.#bearers]) if (concerns(bearer.operator)) this.#end(key, bearer, error);
  }

  #watch(key: string, bearer: Bearer): void {
    const { operator, open } = bearer;
    if (operator.expiresAtMs === undefined) return;
    const leftMs = operator.expiresAtMs - this.#clock.nowMs();
    if (leftMs > 0) {
      bearer.timer = this.#clock.setTimer(Math.min(leftMs, maxTimerMs), () => this.#watch(key, bearer));
      return;
    }
    const ended = open.size;
    this.#end(key, bearer, unauthenticated("The token has expired."));
    this.#onExpired(operator, ended);
  }

  #end(key: string, bearer: Bearer, error: FedError): void {
    this.#forget(key, bearer);
    for (const exchange of bearer.open) exchange.end(error);
  }

  #forget(key: string, bearer: Bearer): void {
    bearer.timer?.cancel();
    if (this.#bearers.get(key) === bearer) this.#bearers.delete(key);
  }
}

/** Names a token: by its id, or, of one that this hub has not made, by whose it is and when it ends. */
function keyOf({ token, principal, expiresAtMs }: Operator): string {
  return token ?? `${principal} ${expiresAtMs ?? ""}`;
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
