/** What happens to calls on this hub, told once to whoever listens: metrics, the tap and the log. */
import type { Clock } from "@fed/core";

/** A call under way on this hub. */
export interface ObservedCall {
  /** The id it has in the audit logs of both hubs. */
  readonly id: string;
  /** Who asked this hub: an agent of its own, or another hub. A call of an own agent to an own app is one call. */
  readonly side: "agent" | "peer";
  /** The hub it came from, of `peer`. */
  readonly from: string | undefined;
  readonly operator: string;
  /** The id of the hub that has the app; until that is known, what the agent asked for. */
  hub: string | undefined;
  readonly app: string;
  readonly method: string;
  readonly params: unknown;
  /** `local`, the transport it takes or came by, or `none`. */
  path: string | undefined;
  readonly traceId: string | undefined;
  /** Passed on so far. */
  notifications: number;
  /** Monotonic. */
  readonly startedMs: number;
}

/** How a call ended. */
export interface CallOutcome {
  /** `ok`, `tool_error`, or the code of the error. */
  readonly code: string;
  readonly durationMs: number;
  readonly result?: unknown;
  readonly error?: unknown;
}

/** A call that this hub's rules did not let through to the app. */
export interface DeniedCall {
  readonly callId: string;
  readonly app: string;
  readonly method: string;
  readonly tool?: string;
  /** The hub it came from; absent for an own agent. */
  readonly from?: string;
  /** Absent where it is not known who asks. */
  readonly operator?: string;
  readonly rule: string;
}

/** Hears of calls; a throw is dropped. */
export interface CallListener {
  started?(call: ObservedCall): void;
  ended?(call: ObservedCall, outcome: CallOutcome): void;
  denied?(denied: DeniedCall): void;
}

/** See the module header. */
export class CallEvents {
  readonly #clock: Clock;
  readonly #listeners = new Set<CallListener>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** @returns what ends it. */
  listen(listener: CallListener): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  begin(call: Omit<ObservedCall, "notifications" | "startedMs">): ObservedCall {
    const observed: ObservedCall = { ...call, notifications: 0, startedMs: this.#clock.monotonicMs() };
    this.#tell((listener) => listener.started?.(observed));
    return observed;
  }

  end(call: ObservedCall, outcome: Omit<CallOutcome, "durationMs">): void {
    const ended = { ...outcome, durationMs: this.#clock.monotonicMs() - call.startedMs };
    this.#tell((listener) => listener.ended?.(call, ended));
  }

  deny(denied: DeniedCall): void {
    this.#tell((listener) => listener.denied?.(denied));
  }

  #tell(tell: (listener: CallListener) => void): void {
    for (const listener of this.#listeners) {
      try {
        tell(listener);
      } catch {
        // Whoever looks on must not break what is looked at.
      }
    }
  }
}
