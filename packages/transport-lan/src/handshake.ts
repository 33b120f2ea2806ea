/** The exchange of verdicts on a fresh TLS socket: both sides judge, say so, and only then is there a connection. */
import type { TLSSocket } from "node:tls";
import { type FedError, isFedError } from "@fed/core";
import { LanError } from "./errors.js";
import { encodeFrameHeader, FrameReader } from "./framing.js";
import { refuseLingerMs } from "./limits.js";
import { decodeVerdict, encodeAccept, encodeRefuse, maxVerdictBytes } from "./verdict.js";

/** Both sides have accepted; the socket is paused and without this module's listeners. */
export interface Agreement {
  readonly reader: FrameReader;
  /** The smaller of both sides' values, bytes. */
  readonly maxMessageBytes: number;
}

/**
 * Tells the other side that it is accepted and waits for its verdict on us. Deadlines are the caller's: it destroys
 * the socket.
 * @throws {FedError} what the other side refused with, HANDSHAKE_MALFORMED, FRAME_* or CONNECTION_LOST.
 */
export function exchangeVerdicts(socket: TLSSocket, maxMessageBytes: number): Promise<Agreement> {
  const reader = new FrameReader(maxVerdictBytes);
  accept(socket, maxMessageBytes);
  return new Promise((resolve, reject) => {
    const settle = (finish: () => void): void => {
      socket.off("data", onData).off("end", onLost).off("error", onLost).off("close", onLost);
      finish();
    };
    const onData = (chunk: Uint8Array): void => {
      try {
        reader.push(chunk);
        const message = reader.next();
        if (message === undefined) return;
        socket.pause();
        const verdict = decodeVerdict(message);
        settle(() => {
          if (!verdict.accepted) return reject(verdict.error);
          resolve({ reader, maxMessageBytes: Math.min(maxMessageBytes, verdict.maxMessageBytes) });
        });
      } catch (cause) {
        settle(() => reject(cause));
      }
    };
    const onLost = (cause?: unknown): void =>
      settle(() => reject(noVerdictError(cause instanceof Error ? cause : undefined)));
    socket.on("data", onData).on("end", onLost).on("error", onLost).on("close", onLost);
  });
}

/** Tells the other side that it is accepted. */
export function accept(socket: TLSSocket, maxMessageBytes: number): void {
  sendVerdict(socket, encodeAccept(maxMessageBytes));
}

/** Tells the other side why it is refused and destroys the socket, a little later so that the reason arrives. */
export function refuse(socket: TLSSocket, error: FedError): void {
  socket.on("error", () => socket.destroy());
  if (!socket.writable) {
    socket.destroy();
    return;
  }
  const timer = setTimeout(() => socket.destroy(), refuseLingerMs);
  timer.unref();
  socket.once("close", () => clearTimeout(timer));
  // What still comes in is read and dropped: an unread byte would make the kernel reset and lose the reason.
  socket.on("data", () => {}).resume();
  sendVerdict(socket, encodeRefuse(error));
  socket.end();
}

export function noVerdictError(cause?: Error): LanError {
  return new LanError({
    code: "CONNECTION_LOST",
    message: "The connection ended before the other side gave its verdict.",
    retryable: true,
    cause,
  });
}

export function otherLimitError(): LanError {
  return new LanError({
    code: "HANDSHAKE_MALFORMED",
    message: "The verdict is not what the other side greeted with.",
  });
}

export function timeoutError(): LanError {
  return new LanError({
    code: "HANDSHAKE_TIMEOUT",
    message: "The handshake did not finish in time.",
    retryable: true,
  });
}

/** `cause` as the FedError to hand on. */
export function handshakeError(cause: unknown): FedError {
  if (isFedError(cause)) return cause;
  return new LanError({
    code: "TLS_FAILED",
    message: `The TLS handshake failed (${tlsReason(cause)}).`,
    hint: "Both ends must speak TLS 1.3 and this protocol, and show a certificate.",
    cause,
  });
}

function sendVerdict(socket: TLSSocket, body: Uint8Array): void {
  socket.write(Buffer.concat([encodeFrameHeader(body.length), body]));
}

function tlsReason(cause: unknown): string {
  const { code, message } = cause as NodeJS.ErrnoException;
  return String(code ?? message).slice(0, 100);
}
