/** Published vectors against whatever computes them, on Node and in a browser alike; a mismatch throws and names its case. */
import { concatBytes, decodeHex, encodeHex } from "@fed/core";
import { x25519 } from "@noble/curves/ed25519.js";
import type { NoiseKeyPair, NoiseSuite } from "../src/noise-suite.js";

/** ChaCha20-Poly1305 as `#chacha` provides it. */
export interface ChaCha {
  sealChaCha(key: Uint8Array, nonce: Uint8Array, ad: Uint8Array, plaintext: Uint8Array): Uint8Array;
  openChaCha(key: Uint8Array, nonce: Uint8Array, ad: Uint8Array, sealed: Uint8Array): Uint8Array | undefined;
}

/** Verification as `#relay-ed25519` provides it. */
export interface Ed25519 {
  verifyEd25519(publicKey: Uint8Array, signature: Uint8Array, bytes: Uint8Array): boolean;
}

/** `#noise-suite`. */
export type CreateSuite = (newEphemeral?: () => NoiseKeyPair) => NoiseSuite;

/** X25519: the shared secret, or a throw. */
export type DiffieHellman = (secretKey: Uint8Array, publicKey: Uint8Array) => Uint8Array;

/** A vector of the Noise implementation cacophony. */
export interface CacophonyVector {
  readonly protocol_name: string;
  readonly init_prologue: string;
  readonly init_static: string;
  readonly init_ephemeral: string;
  readonly init_remote_static: string;
  readonly resp_prologue: string;
  readonly resp_static: string;
  readonly resp_ephemeral: string;
  readonly handshake_hash: string;
  readonly messages: readonly { readonly payload: string; readonly ciphertext: string }[];
}

/** A group of Wycheproof cases. */
export interface WycheproofGroup {
  readonly publicKey?: { readonly pk: string };
  readonly tests: readonly {
    readonly tcId: number;
    readonly flags: readonly string[];
    readonly result: "valid" | "invalid" | "acceptable";
    readonly [field: string]: unknown;
  }[];
}

const hex = (value: unknown) => decodeHex(value as string);

function equal(actual: Uint8Array | undefined, expected: unknown, what: string): void {
  const text = actual && encodeHex(actual);
  if (text !== expected) throw new Error(`${what}: ${text} instead of ${expected}`);
}

function keyPair(secretHex: string) {
  const secretKey = decodeHex(secretHex);
  return { secretKey, publicKey: x25519.getPublicKey(secretKey) };
}

function nonce(counter: number): Uint8Array {
  const bytes = new Uint8Array(12);
  new DataView(bytes.buffer).setBigUint64(4, BigInt(counter), true);
  return bytes;
}

/** IK with BLAKE2b of `vectors`, both roles, transport messages included. @returns how many messages. */
export function checkCacophony(
  vectors: readonly CacophonyVector[],
  createSuite: CreateSuite,
  { sealChaCha, openChaCha }: ChaCha,
): number {
  let messages = 0;
  for (const vector of vectors) {
    if (vector.protocol_name !== "Noise_IK_25519_ChaChaPoly_BLAKE2b") continue;
    const initiator = createSuite(() => keyPair(vector.init_ephemeral)).createInitiator({
      keyPair: keyPair(vector.init_static),
      responderKey: decodeHex(vector.init_remote_static),
      prologue: decodeHex(vector.init_prologue),
    });
    const responder = createSuite(() => keyPair(vector.resp_ephemeral)).createResponder({
      keyPair: keyPair(vector.resp_static),
      prologue: decodeHex(vector.resp_prologue),
    });
    const [first, second, ...transport] = vector.messages;
    const message1 = initiator.writeMessage1(decodeHex(first!.payload));
    equal(message1, first!.ciphertext, "message 1");
    const read1 = responder.readMessage1(message1);
    equal(read1.payload, first!.payload, "payload 1");
    equal(read1.initiatorKey, encodeHex(keyPair(vector.init_static).publicKey), "the initiator's key");
    const { message: message2, keys: responderKeys } = responder.writeMessage2(decodeHex(second!.payload));
    equal(message2, second!.ciphertext, "message 2");
    const { payload, keys: initiatorKeys } = initiator.readMessage2(message2);
    equal(payload, second!.payload, "payload 2");
    for (const { handshakeHash } of [initiatorKeys, responderKeys]) {
      equal(handshakeHash, vector.handshake_hash, "the handshake hash");
    }
    messages += 2;
    for (const [i, { payload, ciphertext }] of transport.entries()) {
      const [from, to] = i % 2 === 0 ? [initiatorKeys, responderKeys] : [responderKeys, initiatorKeys];
      const n = nonce(Math.floor(i / 2));
      const sealed = sealChaCha(from.sendKey, n, new Uint8Array(0), decodeHex(payload));
      equal(sealed, ciphertext, `transport message ${i}`);
      equal(openChaCha(to.receiveKey, n, new Uint8Array(0), sealed), payload, `transport payload ${i}`);
      messages++;
    }
  }
  return messages;
}

/** ChaCha20-Poly1305 with nonces of 96 bits. @returns how many cases. */
export function checkChaCha(groups: readonly WycheproofGroup[], { sealChaCha, openChaCha }: ChaCha): number {
  let count = 0;
  for (const { key, iv, aad, msg, ct, tag, result, tcId } of groups.flatMap(({ tests }) => tests)) {
    if (hex(iv).length !== 12) continue;
    count++;
    const sealed = concatBytes(hex(ct), hex(tag));
    const opened = openChaCha(hex(key), hex(iv), hex(aad), sealed);
    equal(opened, result === "invalid" ? undefined : msg, `tcId ${tcId}`);
    if (result !== "invalid") {
      equal(sealChaCha(hex(key), hex(iv), hex(aad), hex(msg)), encodeHex(sealed), `tcId ${tcId}`);
    }
  }
  return count;
}

/** X25519 as Noise uses it. @returns how many cases, and how many with an all-zero result were refused. */
export function checkX25519(
  groups: readonly WycheproofGroup[],
  diffieHellman: DiffieHellman,
): { readonly count: number; readonly refused: number } {
  let count = 0;
  let refused = 0;
  for (const { public: publicKey, private: secretKey, shared, flags, tcId } of groups.flatMap(({ tests }) => tests)) {
    count++;
    let output: Uint8Array | undefined;
    try {
      output = diffieHellman(hex(secretKey), hex(publicKey));
    } catch {
      refused++;
    }
    equal(output, flags.includes("ZeroSharedSecret") ? undefined : shared, `tcId ${tcId}`);
  }
  return { count, refused };
}

/** Ed25519 verification. @returns how many cases. */
export function checkEd25519(groups: readonly WycheproofGroup[], { verifyEd25519 }: Ed25519): number {
  let count = 0;
  for (const { publicKey, tests } of groups) {
    for (const { msg, sig, result, tcId } of tests) {
      count++;
      const verdict = verifyEd25519(hex(publicKey!.pk), hex(sig), hex(msg));
      if (verdict !== (result === "valid")) throw new Error(`tcId ${tcId}: ${verdict}`);
    }
  }
  return count;
}
