/** Sockets between accept and the end of their handshake: each ends once, as a success or as one reported refusal. */
import type { Socket } from "node:net";
import type { Clock, FedError } from "@fed/core";
import { unmapped } from "./address.js";
import type { Admission } from "./admission.js";
import { handshakeError, timeoutError } from "./handshake.js";

/** One unfinished handshake. */
export interface Attempt {
  /** The peer's IP address. */
  readonly source: string;
  /** The handshake is complete. False when it was over already, by deadline or close. */
  succeed(): boolean;
  /** The handshake was refused: reported once. The place is kept until the socket is gone. */
  fail(error: FedError): void;
}

/** The unfinished handshakes of one listening socket. */
export interface Attempts {
  /**
   * Counts `raw` in and starts its deadline.
   * @throws {LanError} TOO_MANY_CONNECTIONS.
   */
  begin(raw: Socket): void;
  /** The attempt behind `socket`, which is the accepted socket or the TLS socket around it; undefined when it is over. */
  find(socket: Socket): Attempt | undefined;
  /** Destroys all that are unfinished, without a report. */
  destroyAll(): void;
}

/** Options of {@link createAttempts}. */
export interface AttemptsOptions {
  readonly clock: Clock;
  readonly admission: Admission;
  readonly timeoutMs: number;
  refused(source: string, error: FedError): void;
}

export function createAttempts(options: AttemptsOptions): Attempts {
  const unfinished = new Map<string, Attempt & { destroy(): void }>();
  return {
    begin(raw) {
      const source = sourceOf(raw);
      const release = options.admission.admit(source);
      const key = keyOf(raw);
      const over = (): boolean => {
        timer.cancel();
        return unfinished.delete(key);
      };
      const attempt = {
        source,
        succeed() {
          release();
          return over();
        },
        fail(error: FedError) {
          if (over()) options.refused(source, error);
        },
        destroy() {
          over();
          raw.destroy();
        },
      };
      const timer = options.clock.setTimer(options.timeoutMs, () => {
        attempt.fail(timeoutError());
        raw.destroy();
      });
      raw.once("close", () => {
        release();
        attempt.fail(handshakeError(new Error("closed")));
      });
      unfinished.set(key, attempt);
    },
    find: (socket) => unfinished.get(keyOf(socket)),
    destroyAll() {
      for (const attempt of [...unfinished.values()]) attempt.destroy();
    },
  };
}

/** The peer's IP address in its plain form. */
export function sourceOf(socket: Socket): string {
  return unmapped(socket.remoteAddress ?? "unknown");
}

/** The same for a socket and for the TLS socket around it; unique among open sockets of one listening port. */
function keyOf(socket: Socket): string {
  return `${socket.remoteAddress} ${socket.remotePort} ${socket.localAddress}`;
}
