/** What all members of a cluster derive from their shared key to use a relay. docs/spec/relay.md §2. */

import { concatBytes, decodeBase64Url, encodeBase64Url, encodeUtf8, type HubId } from "@fed/core";
import { hkdf } from "@noble/hashes/hkdf.js";
import { hmac } from "@noble/hashes/hmac.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { ed25519PublicKey } from "#relay-ed25519";
import { RelayError } from "./errors.js";
import { routeIdBytes } from "./frame.js";

const dayMs = 86_400_000;
const admissionKeyPrefix = "fedrelay1.";

/** A cluster's keys towards its relays. Never sent; a relay learns only `admissionPublicKey`. */
export interface RelayKeys {
  /** Ed25519 seed, 32 bytes: signs capability tokens. */
  readonly admissionSecretKey: Uint8Array;
  /** Ed25519 public key, 32 bytes: what a relay's operator admits. */
  readonly admissionPublicKey: Uint8Array;
  /** The cluster's name at a relay: a hash of the admission public key, 22 characters. */
  readonly tag: string;
  /** HMAC-SHA-256 key of the route ids, 32 bytes. */
  readonly routeKey: Uint8Array;
}

/**
 * The relay keys of a cluster whose members share `clusterKey` (32 bytes).
 * @throws {RelayError} KEY_INVALID for another length.
 */
export function deriveRelayKeys(clusterKey: Uint8Array): RelayKeys {
  if (clusterKey.length !== 32) {
    throw new RelayError({ code: "KEY_INVALID", message: "A cluster key has 32 bytes." });
  }
  const derive = (label: string) => hkdf(sha256, clusterKey, undefined, encodeUtf8(label), 32);
  const admissionSecretKey = derive("fed-relay-admission/1");
  const admissionPublicKey = ed25519PublicKey(admissionSecretKey);
  return {
    admissionSecretKey,
    admissionPublicKey,
    tag: clusterTag(admissionPublicKey),
    routeKey: derive("fed-relay-route/1"),
  };
}

/** The tag of the cluster that an admission public key stands for, so that no key can speak for another's cluster. */
export function clusterTag(admissionPublicKey: Uint8Array): string {
  const hash = sha256(concatBytes(encodeUtf8("fed-relay-tag/1"), admissionPublicKey));
  return encodeBase64Url(hash.subarray(0, 16));
}

/** The route id of a hub on the UTC day that holds `atMs`: 16 bytes that only members can compute. */
export function routeOf(routeKey: Uint8Array, hubId: HubId, atMs: number): Uint8Array {
  const day = Math.floor(atMs / dayMs);
  const mac = hmac(sha256, routeKey, encodeUtf8(`fed-relay-route/1 ${hubId} ${day}`));
  return mac.slice(0, routeIdBytes);
}

/** The route ids under which a hub may be connected at `atMs`: today's, yesterday's and tomorrow's, in this order. */
export function routesOf(routeKey: Uint8Array, hubId: HubId, atMs: number): readonly Uint8Array[] {
  return [0, -dayMs, dayMs].map((shiftMs) => routeOf(routeKey, hubId, atMs + shiftMs));
}

/** The text form of an admission public key, `fedrelay1.<base64url>`: what a relay's operator is given. Not secret. */
export function formatAdmissionKey(publicKey: Uint8Array): string {
  return admissionKeyPrefix + encodeBase64Url(publicKey);
}

/** @throws {RelayError} KEY_INVALID unless `text` is what {@link formatAdmissionKey} writes. */
export function parseAdmissionKey(text: string): Uint8Array {
  if (text.length <= 64 && text.startsWith(admissionKeyPrefix)) {
    try {
      const key = decodeBase64Url(text.slice(admissionKeyPrefix.length));
      if (key.length === 32) return key;
    } catch {
      // Falls through to the one error for every way of being wrong.
    }
  }
  throw new RelayError({
    code: "KEY_INVALID",
    message: "Not a relay admission key.",
    hint: "It starts with fedrelay1. and has 53 characters.",
  });
}
