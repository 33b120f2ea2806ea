/** A hub's own identity: its id and name, its leaf and Noise keys, its boot nonce. Made once, by the hub itself. */
import {
  canonicalJson,
  encodeBase32,
  encodeBase64Url,
  type HubId,
  isFedError,
  isHubName,
  parseJson,
  randomBytes,
  type Store,
} from "@fed/core";
import { generateNoiseKeyPair, type NoiseKeyPair, noiseKeyPairFromSecret } from "@fed/transport-relay";
import { generateKeyPair, type KeyPair, keyPairFromSecret } from "@fed/trust";
import { HubError } from "../errors.js";
import type { SecretKeeper } from "./state-directory.js";

/** Who this hub is. */
export interface Identity {
  readonly hubId: HubId;
  readonly name: string;
  /** Ed25519; certified by the leaf, signs envelopes. */
  readonly leafKey: KeyPair;
  /** X25519; for Noise alone. */
  readonly noiseKey: NoiseKeyPair;
  /** 32 bytes; the audit chain's key. */
  readonly auditKey: Uint8Array;
  /** 16 random bytes, new in every process. */
  readonly bootNonce: Uint8Array;
  /** {@link bootNonce} as base64url: what hop proofs name as `epoch`. */
  readonly epoch: string;
}

const identityKey = ["identity"];

/** The hub in the directory, or a new one called `name`. @throws {HubError} as {@link loadIdentity} and {@link createIdentity}. */
export async function openIdentity(directory: SecretKeeper, store: Store, name: string | undefined): Promise<Identity> {
  try {
    return await loadIdentity(directory, store);
  } catch (error) {
    if (name === undefined || !isFedError(error) || error.code !== "STATE_MISSING") throw error;
    return createIdentity(directory, store, name);
  }
}

/** Makes a hub's identity in an empty directory. @throws {HubError} STATE_EXISTS, REQUEST_INVALID for a name that is none. */
export async function createIdentity(directory: SecretKeeper, store: Store, name: string): Promise<Identity> {
  if (!isHubName(name)) {
    throw new HubError({
      code: "REQUEST_INVALID",
      message: `"${name}" cannot name a hub.`,
      hint: "Use 1 to 32 of a-z 0-9 - and begin with a letter or digit.",
    });
  }
  if (await store.get(identityKey)) {
    throw new HubError({
      code: "STATE_EXISTS",
      message: `There is a hub in ${directory.path} already.`,
      hint: "Use it, or name another directory with --dir.",
    });
  }
  await directory.writeSecret("leaf", generateKeyPair().secretKey);
  await directory.writeSecret("noise", generateNoiseKeyPair().secretKey);
  await directory.writeSecret("audit", randomBytes(32));
  await store.set(identityKey, canonicalJson({ hubId: encodeBase32(randomBytes(16)), name }));
  return loadIdentity(directory, store);
}

/** @throws {HubError} STATE_MISSING where there is no hub, STATE_CORRUPT where a key is gone. */
export async function loadIdentity(directory: SecretKeeper, store: Store): Promise<Identity> {
  const stored = await store.get(identityKey);
  if (!stored)
    throw new HubError({
      code: "STATE_MISSING",
      message: `There is no hub in ${directory.path}.`,
      hint: "Make one with `fed init`.",
    });
  const { hubId, name } = parseJson(stored, { maxBytes: 1024 }) as { hubId: string; name: string };
  const secret = (which: "leaf" | "noise" | "audit"): Uint8Array => {
    const bytes = directory.readSecret(which);
    if (bytes?.length !== 32) {
      throw new HubError({
        code: "STATE_CORRUPT",
        message: `The key ${which} of the hub in ${directory.path} is missing or damaged.`,
        hint: "Restore the state directory from a backup.",
      });
    }
    return bytes;
  };
  const bootNonce = randomBytes(16);
  return {
    hubId,
    name,
    leafKey: keyPairFromSecret(secret("leaf")),
    noiseKey: noiseKeyPairFromSecret(secret("noise")),
    auditKey: secret("audit"),
    bootNonce,
    epoch: encodeBase64Url(bootNonce),
  };
}
