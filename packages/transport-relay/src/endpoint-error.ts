/** Why a handshake or a connection through a relay did not come about. docs/spec/relay.md §5. */
import { CoreError, type FedError, PeerError } from "@fed/core";
import { RelayError } from "./errors.js";

/** Why an UNKNOWN is answered. Not authenticated: it only ends waiting early. */
export const unknownReason = { noSession: 0, notListening: 1, unreadable: 2, busy: 3 } as const;

/** What an UNKNOWN means to who gets it: `connected` when a connection of ours was meant, not a handshake. */
export function unknownError(reason: number | undefined, connected: boolean): FedError {
  if (connected) {
    return new RelayError({
      code: "SESSION_LOST",
      message: "The other hub no longer knows this connection.",
      retryable: true,
    });
  }
  switch (reason) {
    case unknownReason.unreadable:
      return new RelayError({
        code: "HANDSHAKE_FAILED",
        message: "The other hub could not read the handshake.",
        hint: "Is its Noise key in the manifest current?",
      });
    case unknownReason.busy:
      return tooManyHandshakes();
    default:
      return unreachable("The other hub does not listen.");
  }
}

/** The other hub refused with `code`, which is a code of its own. */
export function refusedBy(code: string): PeerError {
  return new PeerError({ code, message: `The other hub refused the connection: ${code}.` });
}

/** An initiation was made for another Noise key, or for another place, than ours. */
export function notForUs(): RelayError {
  return new RelayError({
    code: "HANDSHAKE_FAILED",
    message: "A handshake was not made for this hub's Noise key.",
    hint: "Does the other hub have the current manifest?",
  });
}

/** More handshakes than are answered. */
export function tooManyHandshakes(): RelayError {
  return new RelayError({ code: "HANDSHAKE_TOO_MANY", message: "Too many handshakes at once.", retryable: true });
}

/** Nobody is there. */
export function unreachable(message: string): CoreError {
  return new CoreError({ code: "UNREACHABLE", message, retryable: true });
}
