/** One hub dialled over several relays, so that one that swallows everything costs a second, not the connection. */
import { abortedError, type Clock, type Connection, CoreError, type FedError, PeerError, toFedError } from "@fed/core";
import { RelayError } from "./errors.js";

/** How long a relay is tried alone before the next one is tried beside it. */
const staggerMs = 1_000;

/** Options of {@link raceRelays}. */
export interface RelayRaceOptions {
  readonly clock: Clock;
  readonly signal?: AbortSignal | undefined;
}

/**
 * The first connection of `attempts`, begun a second apart or as soon as the one before failed; the others are aborted.
 * What the other hub said ends the race; what a relay may have done or said does not.
 * @throws {FedError} ABORTED; UNREACHABLE when nobody knows the hub; else the first failure that says more.
 */
export function raceRelays<T extends Connection>(
  attempts: readonly ((signal: AbortSignal) => Promise<T>)[],
  { clock, signal }: RelayRaceOptions,
): Promise<T> {
  const over = new AbortController();
  return new Promise<T>((resolve, reject) => {
    let failure: FedError | undefined;
    let begun = 0;
    let running = 0;
    const onAbort = () => finish(() => reject(abortedError(signal!)));
    let stagger = clock.setTimer(0, () => {});
    signal?.addEventListener("abort", onAbort, { once: true });
    if (signal?.aborted) onAbort();
    else begin();

    function finish(settle: () => void): void {
      stagger.cancel();
      signal?.removeEventListener("abort", onAbort);
      settle();
      over.abort();
    }

    function begin(): void {
      stagger.cancel();
      const attempt = attempts[begun++];
      if (attempt === undefined) {
        if (running === 0) finish(() => reject(failure ?? unreachableByRelay()));
        return;
      }
      if (begun < attempts.length) stagger = clock.setTimer(staggerMs, begin);
      running++;
      attempt(over.signal).then(
        (connection) => {
          running--;
          if (over.signal.aborted) connection.close();
          else finish(() => resolve(connection));
        },
        (cause) => {
          running--;
          if (over.signal.aborted) return;
          const error = toFedError(cause);
          if (isFinal(error)) return finish(() => reject(error));
          if (error.code !== "UNREACHABLE") failure ??= error;
          begin();
        },
      );
    }
  });
}

/** Whether the other hub, or our judgement of it, refused: another relay would change nothing. */
function isFinal(error: FedError): boolean {
  // Two initiations of ours may overtake each other on different relays; the later one goes on.
  if (error instanceof PeerError) return error.code !== "HANDSHAKE_REPLAYED";
  return !(error instanceof RelayError) && !error.retryable;
}

function unreachableByRelay(): CoreError {
  const message = "The hub is not connected to any of our relays.";
  return new CoreError({ code: "UNREACHABLE", message, retryable: true });
}
