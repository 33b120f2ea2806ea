/**
 * Agents' calls that wait for an answer to what their app has asked. No exchange is open meanwhile, and still they end with
 * the token that they came with, as what is open does: then the app is told that the call is given up.
 */
import type { Clock, FedError, Timer } from "@fed/core";
import { InFlight } from "@fed/router";
import { heldMs } from "./apps/held-call.js";
import type { OpenExchanges, Standing } from "./operators/open-exchanges.js";
import type { Operator } from "./operators/operator.js";

const maxPerOperator = 256;
const maxWaiting = 1024;

interface WaitingCall {
  readonly principal: string;
  readonly standing: Standing;
  readonly timer: Timer;
}

/** See the module header. */
export class WaitingCalls {
  readonly #exchanges: OpenExchanges;
  readonly #clock: Clock;
  /** By the state that continues each. */
  readonly #waiting = new Map<string, WaitingCall>();
  readonly #count = new InFlight(maxPerOperator, maxWaiting);

  constructor(exchanges: OpenExchanges, clock: Clock) {
    this.#exchanges = exchanges;
    this.#clock = clock;
  }

  /**
   * The call of `operator` waits, for ten minutes at most; `end` is called if its token ends before.
   * @throws {RouterError} BUSY above 256 of an operator's, or 1,024.
   */
  add(requestState: string, operator: Operator, end: (error: FedError) => void): void {
    const { principal } = operator;
    this.#count.take(principal);
    const standing = this.#exchanges.begin(operator);
    const timer = this.#clock.setTimer(heldMs, () => this.delete(requestState, principal));
    this.#waiting.set(requestState, { principal, standing, timer });
    standing.onEnd((error) => {
      this.delete(requestState, principal);
      end(error);
    });
  }

  has(requestState: string, principal: string): boolean {
    return this.#waiting.get(requestState)?.principal === principal;
  }

  /** The call of `principal` waits no more. Idempotent. */
  delete(requestState: string, principal: string): void {
    const call = this.#waiting.get(requestState);
    if (call?.principal !== principal) return;
    this.#waiting.delete(requestState);
    this.#count.release(principal);
    call.timer.cancel();
    call.standing.close();
  }

  /** Forgets them all. */
  close(): void {
    for (const [requestState, { principal }] of [...this.#waiting]) this.delete(requestState, principal);
  }
}
