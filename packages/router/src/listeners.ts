/** Listening and discovering on every transport; one that fails does not hold up the others and is tried again. */
import {
  type Candidate,
  type Clock,
  type Connection,
  type FedError,
  type Listener,
  type ListenHandler,
  type Transport,
  toFedError,
} from "@fed/core";
import { limits } from "./limits.js";

/** How listening on one transport goes. */
export interface ListenerStatus {
  readonly transport: string;
  readonly addresses: readonly string[];
  /** Why it does not listen now. */
  readonly error: FedError | undefined;
}

/** What listeners are handed. */
export interface ListenersOptions {
  readonly transports: readonly Transport[];
  readonly clock: Clock;
  readonly random: () => number;
  onConnection(connection: Connection): void;
  onCandidate(candidate: Candidate, transport: Transport): void;
  onGuest?: ((connection: Connection) => void) | undefined;
  onRefused?: ((remoteAddress: string, error: FedError) => void) | undefined;
}

/** All listeners and searches of this hub. */
export class Listeners {
  readonly #options: ListenersOptions;
  readonly #listening = new Map<string, { listener: Listener | undefined; error: FedError | undefined }>();
  readonly #searches: { close(): Promise<void> }[] = [];
  readonly #closing = new AbortController();

  constructor(options: ListenersOptions) {
    this.#options = options;
  }

  /** Resolves once every transport listens or has failed for the first time. */
  async start(): Promise<void> {
    const { transports, onCandidate } = this.#options;
    await Promise.all(transports.map((transport) => this.#listen(transport, 0)));
    if (this.#closing.signal.aborted) return;
    for (const transport of transports) {
      const search = transport.discover?.((candidate) => onCandidate(candidate, transport));
      if (search) this.#searches.push(search);
    }
  }

  status(): ListenerStatus[] {
    return [...this.#listening].map(([transport, { listener, error }]) => ({
      transport,
      addresses: listener?.addresses ?? [],
      error,
    }));
  }

  async close(): Promise<void> {
    this.#closing.abort();
    const listeners = [...this.#listening.values()].map(({ listener }) => listener);
    await Promise.all([...this.#searches, ...listeners].map((open) => open?.close()));
  }

  async #listen(transport: Transport, failures: number): Promise<void> {
    const { clock, random } = this.#options;
    try {
      const listener = await transport.listen(this.#handler(), { signal: this.#closing.signal });
      if (this.#closing.signal.aborted) await listener.close();
      else this.#listening.set(transport.name, { listener, error: undefined });
    } catch (cause) {
      this.#listening.set(transport.name, { listener: undefined, error: toFedError(cause) });
      const limitMs = Math.min(limits.backoffMaxMs, limits.backoffFirstMs * 2 ** Math.min(failures, 20));
      clock.setTimer(random() * limitMs, () => {
        if (!this.#closing.signal.aborted) void this.#listen(transport, failures + 1);
      });
    }
  }

  #handler(): ListenHandler {
    const { onConnection, onGuest, onRefused } = this.#options;
    return {
      connection: onConnection,
      ...(onGuest ? { guest: onGuest } : {}),
      ...(onRefused ? { refused: onRefused } : {}),
    };
  }
}
