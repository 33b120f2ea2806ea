/** The parts of the untyped package `noise-protocol` 3 that this room uses. */

declare module "noise-protocol/dh.js" {
  export interface Dh {
    readonly DHLEN: number;
    readonly PKLEN: number;
    readonly SKLEN: number;
    readonly ALG: string;
    generateKeypair(publicKey: Uint8Array, secretKey: Uint8Array): void;
    dh(output: Uint8Array, secretKey: Uint8Array, publicKey: Uint8Array): void;
  }
  export default function createDh(): Dh;
}

declare module "noise-protocol/hash.js" {
  import type { Dh } from "noise-protocol/dh.js";
  export interface Hash {
    readonly HASHLEN: number;
  }
  export default function createHash(parts: { dh: Dh }): Hash;
}

declare module "noise-protocol/cipher.js" {
  export interface Cipher {
    readonly KEYLEN: number;
  }
  export default function createCipher(): Cipher;
}

declare module "noise-protocol/cipher-state.js" {
  import type { Cipher } from "noise-protocol/cipher.js";
  export interface CipherState {
    readonly STATELEN: number;
  }
  export default function createCipherState(parts: { cipher: Cipher }): CipherState;
}

declare module "noise-protocol/symmetric-state.js" {
  import type { CipherState } from "noise-protocol/cipher-state.js";
  import type { Hash } from "noise-protocol/hash.js";
  export interface SymmetricState {
    getHandshakeHash(state: Uint8Array, out: Uint8Array): void;
  }
  export default function createSymmetricState(parts: { hash: Hash; cipherState: CipherState }): SymmetricState;
}

declare module "noise-protocol/handshake-state.js" {
  import type { Cipher } from "noise-protocol/cipher.js";
  import type { CipherState } from "noise-protocol/cipher-state.js";
  import type { Dh } from "noise-protocol/dh.js";
  import type { Hash } from "noise-protocol/hash.js";
  import type { SymmetricState } from "noise-protocol/symmetric-state.js";
  export interface HandshakeState {
    readonly symmetricState: Uint8Array;
    /** The other side's static key, once known. */
    readonly rs: Uint8Array | null;
  }
  export interface Split {
    readonly tx: Uint8Array;
    readonly rx: Uint8Array;
  }
  export interface Handshake {
    initialize(
      pattern: "IK",
      initiator: boolean,
      prologue: Uint8Array,
      s: { publicKey: Uint8Array; secretKey: Uint8Array },
      e: null,
      rs: Uint8Array | null,
    ): HandshakeState;
    writeMessage: {
      (state: HandshakeState, payload: Uint8Array, message: Uint8Array): Split | undefined;
      readonly bytes: number;
    };
    readMessage: {
      (state: HandshakeState, message: Uint8Array, payload: Uint8Array): Split | undefined;
      readonly bytes: number;
    };
    destroy(state: HandshakeState): void;
  }
  export default function createHandshake(parts: {
    dh: Dh;
    hash: Hash;
    cipher: Cipher;
    cipherState: CipherState;
    symmetricState: SymmetricState;
  }): Handshake;
}
