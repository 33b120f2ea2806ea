/** The address that a pairing token carries for a guest: `relay:<base64url of JSON>`. docs/spec/relay.md §8. */
import { decodeBase64Url, encodeBase64Url, encodeUtf8, parseJson } from "@fed/core";
import { maxTokenBytes } from "./capability-token.js";
import { RelayError } from "./errors.js";
import { routeIdBytes } from "./frame.js";

const prefix = "relay:";
const maxAddressBytes = 4_096;

/** All a guest needs to reach one hub once. Secret: whoever has it can be this guest until the token expires. */
export interface GuestAddress {
  /** The relay. */
  readonly url: string;
  /** The hub's route, 16 bytes. */
  readonly route: Uint8Array;
  /** The hub's Noise key, 32 bytes. */
  readonly noiseKey: Uint8Array;
  /** Ed25519 seed of the key in the token, 32 bytes. */
  readonly seed: Uint8Array;
  /** Capability token of class `guest`. */
  readonly token: string;
}

/** The text form of `address`. */
export function formatGuestAddress(address: GuestAddress): string {
  const fields = {
    u: address.url,
    r: encodeBase64Url(address.route),
    k: encodeBase64Url(address.noiseKey),
    s: encodeBase64Url(address.seed),
    t: address.token,
  };
  return prefix + encodeBase64Url(encodeUtf8(JSON.stringify(fields)));
}

/** @throws {RelayError} GUEST_ADDRESS_INVALID unless `text` is what {@link formatGuestAddress} writes. */
export function parseGuestAddress(text: string): GuestAddress {
  try {
    if (text.length > maxAddressBytes || !text.startsWith(prefix)) throw invalid();
    const value = parseJson(decodeBase64Url(text.slice(prefix.length)), { maxBytes: maxAddressBytes, maxDepth: 1 });
    if (typeof value !== "object" || value === null) throw invalid();
    const { u, r, k, s, t, ...rest } = value as Record<string, unknown>;
    if (Object.keys(rest).length > 0 || typeof u !== "string" || typeof t !== "string") throw invalid();
    if (t.length > maxTokenBytes) throw invalid();
    return { url: u, route: bytes(r, routeIdBytes), noiseKey: bytes(k, 32), seed: bytes(s, 32), token: t };
  } catch (cause) {
    if (cause instanceof RelayError) throw cause;
    throw invalid(cause);
  }
}

function bytes(value: unknown, length: number): Uint8Array {
  const decoded = typeof value === "string" ? decodeBase64Url(value) : undefined;
  if (decoded?.length !== length) throw invalid();
  return decoded;
}

function invalid(cause?: unknown): RelayError {
  return new RelayError({
    code: "GUEST_ADDRESS_INVALID",
    message: "Not a relay address for guests.",
    hint: "Copy the pairing token again, whole.",
    cause,
  });
}
