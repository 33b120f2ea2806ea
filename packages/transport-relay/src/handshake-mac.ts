/**
 * The cheap proof before message 1: whoever does not know the responder's Noise key costs it a hash, not a
 * Diffie-Hellman. docs/spec/relay.md §5.
 */
import { concatBytes, encodeUtf8, equalBytes } from "@fed/core";
import { sha256 } from "@noble/hashes/sha2.js";
import { createHmacSha256 } from "#relay-hmac";

/** Bytes of the MAC. */
export const handshakeMacBytes = 16;

/** Where an initiation goes from and to, and which one it is. */
export interface InitiationPlace {
  readonly initiatorRoute: Uint8Array;
  readonly responderRoute: Uint8Array;
  readonly index: number;
}

/** Makes and checks the MACs of initiations to one responder. */
export interface HandshakeMac {
  /** The MAC and then message 1: the body of an initiation. */
  prepend(place: InitiationPlace, message1: Uint8Array): Uint8Array;
  /** Message 1, a view into `body`; undefined when its MAC is not for this responder and place. */
  open(place: InitiationPlace, body: Uint8Array): Uint8Array | undefined;
}

/** The MAC of initiations to the responder with this Noise public key, 32 bytes. */
export function createHandshakeMac(responderKey: Uint8Array): HandshakeMac {
  const hmac = createHmacSha256(sha256(concatBytes(encodeUtf8("fed-relay-mac/1"), responderKey)));

  function mac({ initiatorRoute, responderRoute, index }: InitiationPlace, message1: Uint8Array): Uint8Array {
    const indexBytes = new Uint8Array(4);
    new DataView(indexBytes.buffer).setUint32(0, index);
    return hmac(initiatorRoute, responderRoute, indexBytes, message1).subarray(0, handshakeMacBytes);
  }

  return {
    prepend: (place, message1) => concatBytes(mac(place, message1), message1),
    open(place, body) {
      if (body.length < handshakeMacBytes) return undefined;
      const message1 = body.subarray(handshakeMacBytes);
      return equalBytes(mac(place, message1), body.subarray(0, handshakeMacBytes)) ? message1 : undefined;
    },
  };
}
