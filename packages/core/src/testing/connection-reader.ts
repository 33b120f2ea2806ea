/** Reads a connection by asking, so that tests can await what arrives. */
import { CoreError, type FedError } from "../errors.js";
import type { Connection } from "../transport.js";

/** See {@link readConnection}. */
export interface ConnectionReader {
  /** All messages so far, in order; the very buffers that were handed over. */
  readonly messages: readonly Uint8Array[];
  /** The message after those that `next` has returned before. Rejects once the connection is over. */
  next(): Promise<Uint8Array>;
  /** Resolves with what `closed` reported. */
  readonly closed: Promise<FedError | undefined>;
  /** How many times `closed` was reported. */
  closedCount(): number;
}

/** Starts `connection` and collects what it delivers. */
export function readConnection(connection: Connection): ConnectionReader {
  const messages: Uint8Array[] = [];
  const closed = Promise.withResolvers<FedError | undefined>();
  const arrivals = new Set<() => void>();
  let read = 0;
  let count = 0;
  connection.start({
    message(bytes) {
      messages.push(bytes);
      for (const arrived of arrivals) arrived();
    },
    closed(error) {
      count++;
      closed.resolve(error);
    },
  });
  return {
    messages,
    closed: closed.promise,
    closedCount: () => count,
    async next() {
      const index = read++;
      while (messages.length <= index) {
        const arrival = Promise.withResolvers<void>();
        arrivals.add(arrival.resolve);
        await Promise.race([
          arrival.promise,
          closed.promise.then((error) => {
            if (messages.length <= index) throw error ?? closedError();
          }),
        ]);
        arrivals.delete(arrival.resolve);
      }
      return messages[index]!;
    },
  };
}

function closedError(): CoreError {
  return new CoreError({ code: "CLOSED", message: "The connection was closed before the message came." });
}
