/**
 * How much the hub's ports take of one operator: rate, number at once and memory, counted over all its tokens and their children,
 * since whoever has a token can make more of them.
 */
import type { Clock } from "@fed/core";
import { InFlight, type Rate, RateLimit } from "@fed/router";
import { type Holding, MemoryShares } from "./memory-shares.js";
import type { Operator } from "./operator.js";

/** Above what two cores serve of one operator, so it stops loops that run away and nobody who works. */
export const defaultOperatorRate: Rate = { perSecond: 5000, burst: 20_000 };

const perOperator = 256;
const overall = 2048;

/** See the module header. Callers in this process are not counted: they are the program itself. */
export interface Admission {
  /**
   * Answers one HTTP request.
   * @throws {RouterError} RATE_LIMITED above the rate, BUSY while 256 of its requests or 2048 of all are being answered.
   */
  request<T>(operator: Operator, answer: () => Promise<T>): Promise<T>;
  /** Counts what an exchange fills of the hub's memory. */
  hold(operator: Operator): Holding;
  /**
   * Does one call, listing or subscription; subscriptions last, so calls are not counted with them.
   * @throws {RouterError} BUSY while 256 of the operator's or 2048 of all are under way.
   */
  call<T>(operator: Operator, method: string, work: () => Promise<T>): Promise<T>;
}

/** Counts from nothing. */
export function createAdmission(clock: Clock, rate: Rate = defaultOperatorRate): Admission {
  const rates = new RateLimit(rate, clock);
  const requests = new InFlight(perOperator, overall);
  const calls = new InFlight(perOperator, overall);
  const memory = new MemoryShares();
  const subscriptions = new InFlight(perOperator, overall);

  async function counted<T>(inFlight: InFlight, { principal }: Operator, work: () => Promise<T>): Promise<T> {
    inFlight.take(principal);
    try {
      return await work();
    } finally {
      inFlight.release(principal);
    }
  }

  return {
    async request({ principal }, answer) {
      rates.take(principal);
      requests.take(principal);
      try {
        return await answer();
      } finally {
        requests.release(principal);
      }
    },
    hold: (operator) => memory.hold(operator),
    call: (operator, method, work) =>
      counted(method === "subscriptions/listen" ? subscriptions : calls, operator, work),
  };
}
