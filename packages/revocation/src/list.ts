/**
 * The revocation list: canonical JSON (RFC 8785), signed as a JWS in General JSON serialization (RFC 7515 §7.2.1, `typ`
 * fed-revocations+jws) by a threshold of the manifest's authority. It only grows, and its number is its size.
 */
import { type ClusterId, canonicalJson, decodeBase64Url, equalBytes, type Json, parseJson } from "@fed/core";
import { type GeneralJws, type Signer, signGeneral, type VerifiedManifest, verifyGeneral } from "@fed/trust";
import { checkEntry, type RevocationEntry, sameEntry } from "./entry.js";
import { RevocationError } from "./errors.js";

/** Largest signed list, bytes of JSON: what one message of a session carries. */
export const maxSignedListBytes = 4 * 1024 * 1024;
/** Largest list, bytes of canonical JSON: in base64url, and with sixteen signatures, below {@link maxSignedListBytes}. */
export const maxListBytes = 3 * 1024 * 1024 - 64 * 1024;

const listType = "fed-revocations+jws";

/** The signed document. */
export interface RevocationList {
  readonly type: "fed-revocations";
  readonly clusterId: ClusterId;
  /** How many entries there are. */
  readonly number: number;
  /** Unix seconds. */
  readonly issuedAt: number;
  /** In the order they were revoked. */
  readonly entries: readonly RevocationEntry[];
}

/** A list whose signatures were good, with what proves it. */
export interface VerifiedList {
  readonly list: RevocationList;
  readonly signed: GeneralJws;
}

/** What {@link verifyList} demands. */
export interface ListDemands {
  /** The current manifest: its authority must have signed. It may have expired, for that is no reason to go on trusting. */
  readonly manifest: VerifiedManifest;
  readonly clusterId: ClusterId;
  /** The newest list known: the new one must extend it. */
  readonly current?: VerifiedList | undefined;
}

/** The list of a cluster that has revoked nothing. */
export function emptyList(clusterId: ClusterId): RevocationList {
  return { type: "fed-revocations", clusterId, number: 0, issuedAt: 0, entries: [] };
}

/**
 * `list` with `entries` after its own, issued at `atMs` (Unix milliseconds) or when `list` was, whichever is later.
 * @throws {RevocationError} REVOCATION_INVALID_ENTRY; REVOCATION_DUPLICATE when something is on the list already;
 * REVOCATION_TOO_LARGE over {@link maxListBytes}.
 */
export function appendEntries(
  list: RevocationList,
  entries: readonly RevocationEntry[],
  { atMs }: { readonly atMs: number },
): RevocationList {
  const all = [...list.entries, ...entries.map(checkEntry)];
  checkDistinct(all);
  const issuedAt = Math.max(list.issuedAt, Math.floor(atMs / 1000));
  const next: RevocationList = { ...list, number: all.length, issuedAt, entries: all };
  if (canonicalJson(next).length > maxListBytes) throw tooLarge();
  return next;
}

/** `list` signed by each of `signers`: as many holders of authority keys as the manifest's threshold says. */
export function signList(list: RevocationList, signers: readonly Signer[]): GeneralJws {
  return signGeneral(listType, canonicalJson(list), signers);
}

/**
 * The list in `signed`, if the authority of `manifest` signed it and it extends `current` entry by entry.
 * @throws {RevocationError} REVOCATION_WRONG_CLUSTER; REVOCATION_MALFORMED when it is not canonical JSON of this shape or
 * its number is not its size; REVOCATION_INVALID_ENTRY; REVOCATION_DUPLICATE; REVOCATION_TOO_LARGE; REVOCATION_FORK when
 * it says otherwise than `current`; REVOCATION_ROLLBACK when it is smaller.
 * @throws {TrustError} JWS_TOO_LARGE, JWS_MALFORMED, JWS_WRONG_TYPE, JWS_UNSUPPORTED, BAD_SIGNATURE, TOO_FEW_SIGNATURES.
 */
export function verifyList(signed: unknown, { manifest, clusterId, current }: ListDemands): VerifiedList {
  if (manifest.clusterId !== clusterId) throw wrongCluster();
  const { threshold, keys } = manifest.manifest.authority;
  const { payload } = verifyGeneral(signed, {
    typ: listType,
    maxBytes: maxListBytes,
    keys: new Map(keys.map(({ kid, x }) => [kid, decodeBase64Url(x)])),
    threshold,
  });
  const list = parseList(payload, clusterId);
  if (current) assertExtends(list, current.list);
  return { list, signed: copyOf(signed as GeneralJws) };
}

/** The caller's object may change later; what was verified must not. */
function copyOf({ payload, signatures }: GeneralJws): GeneralJws {
  return {
    payload,
    signatures: signatures.map((entry) => ({ protected: entry.protected, signature: entry.signature })),
  };
}

/**
 * The list that payload bytes hold. Judges no signature.
 * @throws {RevocationError} as {@link verifyList}, but for fork and rollback.
 */
export function parseList(payload: Uint8Array, clusterId: ClusterId): RevocationList {
  if (payload.length > maxListBytes) throw tooLarge();
  let value: Json;
  let canonical: Uint8Array;
  try {
    value = parseJson(payload, { maxBytes: maxListBytes, maxDepth: 4 });
    canonical = canonicalJson(value);
  } catch (cause) {
    throw malformed("is not strict JSON", cause);
  }
  if (!equalBytes(payload, canonical)) throw malformed("is not in canonical form");
  if (typeof value !== "object" || value === null || Object.keys(value).length !== 5)
    throw malformed("has other members");
  const { type, clusterId: cluster, number, issuedAt, entries } = value as { readonly [key: string]: Json };
  if (type !== "fed-revocations") throw malformed("is of another type");
  if (cluster !== clusterId) throw wrongCluster();
  if (!Number.isSafeInteger(issuedAt) || (issuedAt as number) < 0) throw malformed("has no time of issue");
  if (!Array.isArray(entries)) throw malformed("has no entries");
  if (number !== entries.length) throw malformed("has another number than entries");
  const checked = entries.map(checkEntry);
  checkDistinct(checked);
  return { type, clusterId, number, issuedAt: issuedAt as number, entries: checked };
}

/**
 * Returns if `next` says all that `current` says, in the same order, and perhaps more.
 * @throws {RevocationError} REVOCATION_FORK, REVOCATION_ROLLBACK.
 */
export function assertExtends(next: RevocationList, current: RevocationList): void {
  const common = Math.min(next.number, current.number);
  for (let i = 0; i < common; i++) {
    if (sameEntry(next.entries[i]!, current.entries[i]!)) continue;
    throw new RevocationError({
      code: "REVOCATION_FORK",
      message: `Two revocation lists of this cluster differ at entry ${i + 1}.`,
      hint: "Keep both: they prove that the authority signed two histories.",
    });
  }
  if (next.number < current.number) {
    throw new RevocationError({
      code: "REVOCATION_ROLLBACK",
      message: `A revocation list of ${next.number} entries, after one of ${current.number}.`,
    });
  }
}

function checkDistinct(entries: readonly RevocationEntry[]): void {
  const seen = new Set<string>();
  for (const { kind, id } of entries) seen.add(`${kind} ${id}`);
  if (seen.size === entries.length) return;
  throw new RevocationError({
    code: "REVOCATION_DUPLICATE",
    message: "The list would revoke the same thing twice.",
    hint: "What is revoked stays revoked; leave it out.",
  });
}

function malformed(what: string, cause?: unknown): RevocationError {
  return new RevocationError({ code: "REVOCATION_MALFORMED", message: `The revocation list ${what}.`, cause });
}

function tooLarge(): RevocationError {
  return new RevocationError({
    code: "REVOCATION_TOO_LARGE",
    message: `A revocation list has at most ${maxListBytes} bytes.`,
    hint: "Rather than revoke single tokens or grants, revoke the link or operator they belong to.",
  });
}

function wrongCluster(): RevocationError {
  return new RevocationError({
    code: "REVOCATION_WRONG_CLUSTER",
    message: "The revocation list is another cluster's.",
  });
}
