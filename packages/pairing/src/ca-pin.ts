/** What a pairing token says about the cluster it leads to. */
import { sha256 } from "@fed/trust";

/** SHA-256 of a CA certificate's DER, 32 bytes: the pin in a pairing token. */
export function caPin(ca: Uint8Array): Uint8Array {
  return sha256(ca);
}
