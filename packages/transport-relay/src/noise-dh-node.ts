/// <reference path="./noise-protocol.d.ts" />
/** X25519 (RFC 7748) by libsodium; used on Node. Same function as `noise-dh-noble.ts`. */
import createDh from "noise-protocol/dh.js";
import type { NoiseDiffieHellman } from "./noise.js";

/** The Diffie-Hellman functions of every handshake; an all-zero result throws. */
export function createNoiseDh(): NoiseDiffieHellman {
  return createDh();
}
