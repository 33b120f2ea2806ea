/** The manifest's fields and what each may hold; which manifest follows which is `manifest.ts`. */
import {
  canonicalJson,
  decodeBase64Url,
  equalBytes,
  type HubId,
  isHubName,
  isRoleName,
  type Json,
  parseJson,
} from "@fed/core";
import * as z from "zod";
import { isHubId } from "./cluster-name.js";
import { TrustError } from "./errors.js";
import { assertPublicKey, keyId } from "./keys.js";

/** Who is in the cluster, and who may say so next. */
export interface Manifest {
  readonly type: "fed-manifest";
  readonly suite: "ed25519-1";
  readonly cluster: ManifestCluster;
  /** 1 for the genesis; each successor is exactly one more. */
  readonly version: number;
  /** SHA-256 of the previous manifest's payload bytes, base64url; null in the genesis. */
  readonly previous: string | null;
  /** Unix seconds. */
  readonly issuedAt: number;
  readonly expiresAt: number;
  readonly authority: ManifestAuthority;
  readonly cas: readonly ManifestCa[];
  readonly members: readonly ManifestMember[];
  readonly relays: readonly ManifestRelay[];
}

/** What never changes about a cluster. */
export interface ManifestCluster {
  /** For people; 1..64 characters. */
  readonly name: string;
  /** 16 random bytes, base64url: two clusters of one name and founder are still two. */
  readonly salt: string;
}

/** The keys that may sign the next manifest, and how many of them must. */
export interface ManifestAuthority {
  readonly threshold: number;
  readonly keys: readonly {
    /** {@link keyId} of `x`. */
    readonly kid: string;
    /** Ed25519 public key, 32 bytes, base64url. */
    readonly x: string;
  }[];
}

/** Announced: known before it issues. Active: issues leaves. Retired: its leaves run out. All three are trusted. */
export type CaStatus = "announced" | "active" | "retired";

/** A CA of the cluster. */
export interface ManifestCa {
  /** DER, base64url. */
  readonly certificate: string;
  readonly status: CaStatus;
}

/** A hub of the cluster. */
export interface ManifestMember {
  readonly hubId: HubId;
  /** For people; `[a-z0-9][a-z0-9-]{0,31}`, unique in the manifest. */
  readonly name: string;
  readonly roles: readonly string[];
  /** SHA-256 of the SubjectPublicKeyInfo of its leaf's key, base64url. */
  readonly spki: string;
  /** X25519 static key of its Noise sessions, 32 bytes, base64url. */
  readonly noise: string;
}

/** A relay the cluster uses. */
export interface ManifestRelay {
  /** `wss:` or `ws:`, without credentials or fragment. */
  readonly url: string;
}

/** What a manifest may hold at most. */
export const manifestLimits = {
  maxBytes: 256 * 1024,
  maxMembers: 256,
  maxAuthorityKeys: 16,
  maxCas: 8,
  maxRelays: 8,
  maxRoles: 16,
} as const;

const base64url = (bytes: number) =>
  z.string().refine((text) => decodedLength(text) === bytes, `must be base64url of ${bytes} bytes`);
const seconds = z.int().min(0).max(253_402_300_799);
const name = z.string().refine(isHubName);
const role = z.string().refine(isRoleName);
const noControl = /^[^\p{Cc}\p{Cf}\p{Cs}]{1,64}$/u;

const schema = z.strictObject({
  type: z.literal("fed-manifest"),
  suite: z.literal("ed25519-1"),
  cluster: z.strictObject({ name: z.string().regex(noControl), salt: base64url(16) }),
  version: z.int().min(1),
  previous: base64url(32).nullable(),
  issuedAt: seconds,
  expiresAt: seconds,
  authority: z.strictObject({
    threshold: z.int().min(1),
    keys: z
      .array(z.strictObject({ kid: base64url(32), x: base64url(32) }))
      .min(1)
      .max(manifestLimits.maxAuthorityKeys),
  }),
  cas: z
    .array(z.strictObject({ certificate: z.string().min(1), status: z.enum(["announced", "active", "retired"]) }))
    .max(manifestLimits.maxCas),
  members: z
    .array(
      z.strictObject({
        hubId: z.string().refine(isHubId, "must be a hub id"),
        name,
        roles: z.array(role).max(manifestLimits.maxRoles),
        spki: base64url(32),
        noise: base64url(32),
      }),
    )
    .max(manifestLimits.maxMembers),
  relays: z
    .array(z.strictObject({ url: z.string().max(256).refine(isRelayUrl, "must be a ws or wss URL") }))
    .max(manifestLimits.maxRelays),
});

/**
 * The manifest that payload `bytes` hold: bounded, canonical (RFC 8785), well-formed in itself. Judges no signature.
 * @throws {TrustError} MANIFEST_TOO_LARGE over 256 KiB; MANIFEST_MALFORMED when it is not canonical JSON of this shape;
 * the codes of {@link checkManifest}.
 */
export function parseManifest(bytes: Uint8Array): Manifest {
  if (bytes.length > manifestLimits.maxBytes) {
    throw new TrustError({
      code: "MANIFEST_TOO_LARGE",
      message: `The manifest is over ${manifestLimits.maxBytes} bytes.`,
    });
  }
  let value: Json;
  let canonical: Uint8Array;
  try {
    value = parseJson(bytes, { maxBytes: manifestLimits.maxBytes, maxDepth: 8 });
    canonical = canonicalJson(value);
  } catch (cause) {
    throw new TrustError({ code: "MANIFEST_MALFORMED", message: "The manifest is not strict JSON.", cause });
  }
  if (!equalBytes(bytes, canonical)) {
    throw new TrustError({ code: "MANIFEST_MALFORMED", message: "The manifest is not in canonical form." });
  }
  return checkManifest(value);
}

/**
 * `value` as a manifest that holds together on its own.
 * @throws {TrustError} MANIFEST_MALFORMED on a missing, unknown or ill-typed field; MANIFEST_INVALID when two entries
 * collide or a rule between fields is broken; MANIFEST_BAD_THRESHOLD when fewer keys than the threshold are named.
 */
export function checkManifest(value: unknown): Manifest {
  const result = schema.safeParse(value);
  if (!result.success) {
    const [issue] = result.error.issues;
    const where = issue?.path.join(".") || "the document";
    throw new TrustError({
      code: "MANIFEST_MALFORMED",
      message: `The manifest is ill-formed at ${where}.`,
      cause: result.error,
    });
  }
  const manifest: Manifest = result.data;
  checkAuthority(manifest.authority);
  const { cas, members, relays } = manifest;
  if (manifest.expiresAt <= manifest.issuedAt) throw invalid("It expires before it is issued.");
  if ((manifest.version === 1) !== (manifest.previous === null)) throw invalid("Only the genesis has no predecessor.");
  // The cluster's id is the hash of the genesis, and its CA and leaves name that id: they cannot be in it.
  if (manifest.version === 1 && cas.length + members.length + relays.length > 0) {
    throw invalid("The genesis names more than the authority.");
  }
  if (cas.filter(({ status }) => status === "active").length > 1) throw invalid("Two CAs are active.");
  assertUnique(
    "CA certificate",
    cas.map(({ certificate }) => certificate),
  );
  assertUnique(
    "hub id",
    members.map(({ hubId }) => hubId),
  );
  assertUnique(
    "hub name",
    members.map((member) => member.name),
  );
  assertUnique(
    "hub key",
    members.map(({ spki }) => spki),
  );
  assertUnique(
    "Noise key",
    members.map(({ noise }) => noise),
  );
  assertUnique(
    "relay",
    relays.map(({ url }) => url),
  );
  for (const { roles } of members) assertUnique("role of one hub", roles);
  return manifest;
}

/** Authority keys by key id. */
export function authorityKeys({ keys }: ManifestAuthority): Map<string, Uint8Array> {
  return new Map(keys.map(({ kid, x }) => [kid, decodeBase64Url(x)]));
}

function checkAuthority({ threshold, keys }: ManifestAuthority): void {
  assertUnique(
    "authority key",
    keys.map(({ kid }) => kid),
  );
  for (const { kid, x } of keys) {
    const publicKey = decodeBase64Url(x);
    try {
      assertPublicKey(publicKey);
    } catch (cause) {
      throw invalid("An authority key is no sound key.", cause);
    }
    if (keyId(publicKey) !== kid) throw invalid("An authority key's id is not its thumbprint.");
  }
  if (threshold > keys.length) {
    throw new TrustError({
      code: "MANIFEST_BAD_THRESHOLD",
      message: `${threshold} signatures are demanded of ${keys.length} keys.`,
      hint: "Lower the threshold in the same manifest that removes a key.",
    });
  }
}

function assertUnique(what: string, values: readonly string[]): void {
  if (new Set(values).size !== values.length) throw invalid(`The same ${what} stands twice.`);
}

function decodedLength(text: string): number | undefined {
  try {
    return decodeBase64Url(text).length;
  } catch {
    return undefined;
  }
}

function isRelayUrl(text: string): boolean {
  const url = URL.parse(text);
  if (!url || !/^wss?:\/\//.test(text)) return false;
  return url.username === "" && url.password === "" && !text.includes("#");
}

function invalid(message: string, cause?: unknown): TrustError {
  return new TrustError({ code: "MANIFEST_INVALID", message: `The manifest is not valid: ${message}`, cause });
}
