/** The messages of a join and what its proofs sign: docs/spec/pairing.md §3. Unknown members are refused. */
import {
  concatBytes,
  decodeBase64Url,
  encodeBase64Url,
  encodeUtf8,
  type FedError,
  type HubId,
  isErrorCode,
  isHubName,
  type Json,
  PeerError,
  parseJson,
  readErrorReport,
  reportError,
  StoreError,
} from "@fed/core";
import { isHubId, sha256 } from "@fed/trust";
import { PairingError } from "./errors.js";

/** A challenge and a pin, bytes. */
const nonceBytes = 32;
const proofBytes = 64;
/** Largest welcome, bytes: the longest chain and revocation list that a hub keeps. */
export const maxWelcomeBytes = 24 * 1024 * 1024;

const secretPattern = /^[a-z2-7]{26}$/;

/** A message whose `t` is known and whose other members are still unchecked. */
export interface JoinMessage {
  readonly t: string;
  readonly [member: string]: Json;
}

/** What the joiner asks with. */
export interface JoinClaim {
  /** Of the token, 26 characters of base32. */
  readonly secret: string;
  /** Of the token, 32 bytes: the cluster that the joiner means. */
  readonly pin: Uint8Array;
  readonly hubId: HubId;
  /** 1..32 of `a-z 0-9 -`, the first a letter or digit. */
  readonly name: string;
  /** PKCS#10, DER. */
  readonly csr: Uint8Array;
  /** X25519 static public key, 32 bytes. */
  readonly noiseKey: Uint8Array;
}

/** Everything a new member needs. Documents stay unverified here; trust verifies them. */
export interface Welcome {
  /** The joiner's leaf, DER. */
  readonly leaf: Uint8Array;
  /** Every signed manifest from genesis to now, in order. */
  readonly manifests: readonly unknown[];
  /** The key all members share, 32 bytes: route ids, relay admission, LAN tags. */
  readonly clusterKey: Uint8Array;
  /** The signed revocation list, or null while nothing is revoked. */
  readonly revocations: unknown;
}

export function challengeMessage(nonce: Uint8Array): JoinMessage {
  return { t: "challenge", nonce: encodeBase64Url(nonce) };
}

/** The nonce, 32 bytes. @throws {PairingError} JOIN_MALFORMED. */
export function readChallenge(message: JoinMessage): Uint8Array {
  checkMembers(message, ["t", "nonce"]);
  return bytesOf(message.nonce, "nonce", nonceBytes);
}

export function joinMessage(claim: JoinClaim, proof: Uint8Array): JoinMessage {
  return {
    t: "join",
    v: 1,
    secret: claim.secret,
    pin: encodeBase64Url(claim.pin),
    hubId: claim.hubId,
    name: claim.name,
    csr: encodeBase64Url(claim.csr),
    noise: encodeBase64Url(claim.noiseKey),
    proof: encodeBase64Url(proof),
  };
}

/** The claim and its proof, 64 bytes; neither is verified. @throws {PairingError} JOIN_MALFORMED. */
export function readJoin(message: JoinMessage): { claim: JoinClaim; proof: Uint8Array } {
  const { v, secret, pin, hubId, name, csr, noise, proof } = message;
  if (v !== 1) throw malformed("Only version 1 is spoken.");
  checkMembers(message, ["t", "v", "secret", "pin", "hubId", "name", "csr", "noise", "proof"]);
  if (typeof secret !== "string" || !secretPattern.test(secret)) throw malformed("The secret is not of its form.");
  if (typeof hubId !== "string" || !isHubId(hubId)) throw malformed("The hub id is not of its form.");
  if (typeof name !== "string" || !isHubName(name)) throw malformed("The hub's name is not of its form.");
  return {
    claim: {
      secret,
      pin: bytesOf(pin, "pin", 32),
      hubId,
      name,
      csr: bytesOf(csr, "csr"),
      noiseKey: bytesOf(noise, "noise", 32),
    },
    proof: bytesOf(proof, "proof", proofBytes),
  };
}

/** The document of `welcome`. @throws {PairingError} WELCOME_TOO_LARGE over 24 MiB. */
export function encodeWelcome(welcome: Welcome): Uint8Array {
  const document = encodeUtf8(
    JSON.stringify({
      leaf: encodeBase64Url(welcome.leaf),
      manifests: welcome.manifests,
      clusterKey: encodeBase64Url(welcome.clusterKey),
      revocations: welcome.revocations ?? null,
    }),
  );
  if (document.length > maxWelcomeBytes) {
    throw new PairingError({
      code: "WELCOME_TOO_LARGE",
      message: `The cluster's history has ${document.length} bytes; at most ${maxWelcomeBytes} can be handed to a joiner.`,
      hint: "Found a new cluster, or ask for a release that shortens history.",
    });
  }
  return document;
}

/** @throws {PairingError} JOIN_MALFORMED. */
export function decodeWelcome(document: Uint8Array): Welcome {
  const members = parseObject(document, maxWelcomeBytes);
  checkMembers(members, ["leaf", "manifests", "clusterKey", "revocations"]);
  const { leaf, manifests, clusterKey, revocations } = members;
  if (!Array.isArray(manifests)) throw malformed("manifests is not a list.");
  if (revocations === undefined) throw malformed("revocations is missing.");
  return {
    leaf: bytesOf(leaf, "leaf"),
    manifests,
    clusterKey: bytesOf(clusterKey, "clusterKey", 32),
    revocations,
  };
}

export function confirmMessage(proof: Uint8Array): JoinMessage {
  return { t: "confirm", proof: encodeBase64Url(proof) };
}

/** The second proof, 64 bytes. @throws {PairingError} JOIN_MALFORMED. */
export function readConfirm(message: JoinMessage): Uint8Array {
  checkMembers(message, ["t", "proof"]);
  return bytesOf(message.proof, "proof", proofBytes);
}

export const doneMessage: JoinMessage = { t: "done" };

/** Tells a stranger about `error`. What our store complains of is not for him. */
export function refusedMessage(error: FedError): JoinMessage {
  const told =
    error instanceof StoreError || !isErrorCode(error.code)
      ? new PairingError({
          code: "JOIN_FAILED",
          message: "The other hub could not go on with the join.",
          hint: "See its log.",
        })
      : error;
  return { t: "refused", ...reportError(told) } as JoinMessage;
}

/** @throws {PairingError} JOIN_MALFORMED. */
export function readRefused(message: JoinMessage): PeerError {
  checkMembers(message, ["t", "code", "message", "hint", "retryable"]);
  const report = readErrorReport(message);
  if (!report) throw malformed("A refusal has no code or no text.");
  return new PeerError(report);
}

/** What the joiner's first proof signs: this claim, in answer to this nonce. */
export function joinProofInput(nonce: Uint8Array, claim: JoinClaim): Uint8Array {
  const { pin, secret, hubId, noiseKey, name, csr } = claim;
  const zero = new Uint8Array(1);
  const digest = sha256(concatBytes(pin, encodeUtf8(secret), encodeUtf8(hubId), noiseKey, encodeUtf8(name), zero, csr));
  return concatBytes(encodeUtf8("fed-join/1"), nonce, digest);
}

/** What the joiner's second proof signs: that it has this welcome. */
export function confirmProofInput(document: Uint8Array): Uint8Array {
  return concatBytes(encodeUtf8("fed-join-confirm/1"), sha256(document));
}

/** The JSON object in `bytes`. @throws {PairingError} JOIN_MALFORMED. */
export function parseObject(bytes: Uint8Array, maxBytes: number): { readonly [member: string]: Json } {
  let value: Json;
  try {
    value = parseJson(bytes, { maxBytes, maxDepth: 16 });
  } catch {
    // The cause is left out: a parser's words quote what it read, and that may be a secret.
    throw malformed("A message does not parse.");
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw malformed("A message is no object.");
  return value as { readonly [member: string]: Json };
}

export function malformed(why: string, cause?: unknown): PairingError {
  return new PairingError({
    code: "JOIN_MALFORMED",
    message: `The other side broke the join protocol. ${why}`,
    hint: "Compare the versions of both hubs.",
    cause,
  });
}

function bytesOf(value: Json | undefined, name: string, length?: number): Uint8Array {
  if (typeof value !== "string") throw malformed(`${name} is not a string.`);
  let bytes: Uint8Array;
  try {
    bytes = decodeBase64Url(value);
  } catch (cause) {
    throw malformed(`${name} is not base64url.`, cause);
  }
  if (length !== undefined && bytes.length !== length) throw malformed(`${name} is not ${length} bytes.`);
  return bytes;
}

function checkMembers(message: object, known: readonly string[]): void {
  if (!Object.keys(message).every((name) => known.includes(name))) throw malformed("A message has unknown members.");
}
