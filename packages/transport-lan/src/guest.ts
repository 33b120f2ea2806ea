/** The way in for somebody without a leaf: ALPN `fed-join/1`, nothing shown, the responder judged by its chain. */
import { type GuestDial, systemClock } from "@fed/core";
import { parseAddress } from "./address.js";
import { guestContext, presentedChain } from "./credentials.js";
import { dialTls } from "./dial.js";
import { LanError } from "./errors.js";
import { defaultLimits, maxGuestMessageBytes } from "./limits.js";

export const memberAlpn = "fed/1";
export const guestAlpn = "fed-join/1";

const prefix = "lan:";

/**
 * Connects as a guest to `lan:host:port`. The responder's chain (leaf, then its CA) is judged before a byte is sent.
 * Messages of a guest's connection are at most 64 KiB, and it lives at most 60 s.
 * @throws {LanError} INVALID_ADDRESS, CERTIFICATE_MISSING, TLS_FAILED, HANDSHAKE_TIMEOUT.
 * @throws {FedError} UNREACHABLE, ABORTED, what `authenticateResponder` throws, or what the responder refused with.
 */
export const dialLanGuest: GuestDial = async (address, options) => {
  if (!address.startsWith(prefix)) {
    throw new LanError({ code: "INVALID_ADDRESS", message: "Not a LAN guest address: it begins with lan:." });
  }
  return dialTls([parseAddress(address.slice(prefix.length))], {
    alpn: guestAlpn,
    context: guestContext(),
    judge(socket) {
      const chain = presentedChain(socket);
      if (chain.length === 0) {
        throw new LanError({ code: "CERTIFICATE_MISSING", message: "The responder showed no certificate." });
      }
      options.authenticateResponder(chain);
      return undefined;
    },
    maxMessageBytes: maxGuestMessageBytes,
    wary: undefined,
    limits: defaultLimits,
    clock: systemClock,
    signal: options.signal,
  });
};

/** The guest form of an address. */
export function formatGuestAddress(address: string): string {
  return prefix + address;
}
