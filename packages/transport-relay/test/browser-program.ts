/** What a page runs in browser.test.ts: the room as browsers get it, against the vectors, and as fast as it goes. */

import { x25519 } from "@noble/curves/ed25519.js";
import { openChaCha, sealChaCha } from "#chacha";
import { createNoiseSuite } from "#noise-suite";
import { verifyEd25519 } from "#relay-ed25519";
import { generateNoiseKeyPair, noiseIk } from "../src/noise.js";
import {
  type CacophonyVector,
  checkCacophony,
  checkChaCha,
  checkEd25519,
  checkX25519,
  type WycheproofGroup,
} from "./vector-checks.js";

/** The vectors' files, parsed. */
export interface Vectors {
  readonly cacophony: readonly CacophonyVector[];
  readonly chacha: readonly WycheproofGroup[];
  readonly x25519: readonly WycheproofGroup[];
  readonly ed25519: readonly WycheproofGroup[];
}

declare global {
  var checkVectors: typeof check;
  var measure: typeof measureHere;
}

function check(vectors: Vectors) {
  const { cacophony, chacha, ed25519 } = vectors;
  return {
    cacophony: checkCacophony(cacophony, createNoiseSuite, { sealChaCha, openChaCha }),
    chacha: checkChaCha(chacha, { sealChaCha, openChaCha }),
    x25519: checkX25519(vectors.x25519, x25519.getSharedSecret),
    ed25519: checkEd25519(ed25519, { verifyEd25519 }),
  };
}

/** Milliseconds of a whole handshake, and records of 256 bytes sealed and opened in a second. */
function measureHere() {
  const [a, b] = [generateNoiseKeyPair(), generateNoiseKeyPair()];
  const prologue = new Uint8Array(0);
  const shake = () => {
    const initiator = noiseIk.createInitiator({ keyPair: a, responderKey: b.publicKey, prologue });
    const responder = noiseIk.createResponder({ keyPair: b, prologue });
    responder.readMessage1(initiator.writeMessage1(new Uint8Array(900)));
    return initiator.readMessage2(responder.writeMessage2(new Uint8Array(900)).message).keys;
  };
  const keys = shake();
  const handshakeMs = perRun(10, shake);
  const [nonce, ad, plaintext] = [new Uint8Array(12), new Uint8Array(13), new Uint8Array(256)];
  const recordMs = perRun(2_000, () => {
    openChaCha(keys.sendKey, nonce, ad, sealChaCha(keys.sendKey, nonce, ad, plaintext));
  });
  return { handshakeMs, recordsPerSecond: 1000 / recordMs };
}

function perRun(runs: number, work: () => unknown): number {
  const start = performance.now();
  for (let i = 0; i < runs; i++) work();
  return (performance.now() - start) / runs;
}

globalThis.checkVectors = check;
globalThis.measure = measureHere;
