/** What a hub keeps of a token: never the token itself, only the SHA-256 of it. */
import { canonicalJson, encodeBase32, encodeUtf8, isAppName, isRoleName, parseJson, randomBytes } from "@fed/core";
import { sha256 } from "@fed/trust";
import { z } from "zod";
import { HubError } from "../errors.js";
import type { Allowed } from "./allow.js";
import { type Scope, scopes } from "./operator.js";

const maxRecordBytes = 64 * 1024;

const name = z.string().refine(isRoleName, { error: "not 1 to 64 of a-z 0-9 . _ -" });
const roles = z.array(name).max(16);
const scope = z.enum(scopes);
const appName = z.string().refine(isAppName, { error: "not an app's name" });
const allow = z
  .array(
    z
      .strictObject({
        hub: z.string().min(1).max(64).optional(),
        app: appName.optional(),
        tool: z.string().min(1).max(128).optional(),
      })
      .refine((entry) => Object.values(entry).some((value) => value !== undefined), { error: "names nothing" }),
  )
  .min(1)
  .max(64);

/** What a new token shall be. */
export interface TokenRequest {
  /** 1..64 of `a-z 0-9 . _ -`. Without a parent the operator's name; with one what to call the sub-agent. */
  readonly name: string;
  /** Default the parent's; a token without a parent needs one. */
  readonly scope?: Scope | undefined;
  /** At most 16. Default the parent's, or none. */
  readonly roles?: readonly string[] | undefined;
  /** 1 to 64 entries; default the parent's, or not narrowed. `hub` is a name or an id. */
  readonly allow?: readonly Allowed[] | undefined;
  /** 1 s to 10 years. Default until the parent ends, or until it is revoked. */
  readonly ttlMs?: number | undefined;
  /** The id of the token that it is made with. */
  readonly parent?: string | undefined;
}

/** See {@link TokenRequest}. */
export const tokenRequest: z.ZodType<TokenRequest> = z.strictObject({
  name,
  scope: scope.optional(),
  roles: roles.optional(),
  allow: allow.optional(),
  ttlMs: z
    .int()
    .min(1000)
    .max(10 * 366 * 24 * 60 * 60_000)
    .optional(),
  parent: z.string().min(1).max(64).optional(),
});

const time = z.number().int().nonnegative();

const recordSchema = z.strictObject({
  id: z.string().regex(/^tok_[a-z2-7]{8}$/),
  digest: z.string().length(52),
  name,
  operator: z.string().max(91),
  roles,
  scope,
  allow: allow.optional(),
  parent: z.string().optional(),
  createdAtMs: time,
  expiresAtMs: time.optional(),
  revokedAtMs: time.optional(),
  lastUsedAtMs: time.optional(),
});

/** See the module header. */
export interface TokenRecord {
  /** `tok_` and the second part of the token. */
  readonly id: string;
  /** SHA-256 of the token, base32. */
  readonly digest: string;
  readonly name: string;
  /** The principal on whose authority its bearer acts; a child has its parent's. */
  readonly operator: string;
  readonly roles: readonly string[];
  readonly scope: Scope;
  readonly allow?: readonly Allowed[];
  /** The id of the token it was made with. */
  readonly parent?: string;
  readonly createdAtMs: number;
  readonly expiresAtMs?: number;
  /** When it was revoked itself; one whose parent was is revoked as well. */
  readonly revokedAtMs?: number;
  readonly lastUsedAtMs?: number;
}

/** The bytes that are stored. */
export function encodeTokenRecord(record: TokenRecord): Uint8Array {
  return canonicalJson(record);
}

/** @throws {HubError} STATE_CORRUPT. */
export function decodeTokenRecord(bytes: Uint8Array): TokenRecord {
  try {
    return recordSchema.parse(parseJson(bytes, { maxBytes: maxRecordBytes })) as TokenRecord;
  } catch (cause) {
    throw new HubError({
      code: "STATE_CORRUPT",
      message: "A stored token is damaged.",
      hint: "Restore the state directory from a backup.",
      cause,
    });
  }
}

/** A new token, `fedop1.<8 base32>.<32 base32>`, with its id and digest. */
export function newToken(): { readonly token: string; readonly id: string; readonly digest: string } {
  const name = encodeBase32(randomBytes(5));
  const token = `fedop1.${name}.${encodeBase32(randomBytes(20))}`;
  return { token, id: `tok_${name}`, digest: digestOf(token) };
}

/** Whether `text` has the form of a token of a hub. */
export function isToken(text: string): boolean {
  return /^fedop1\.[a-z2-7]{8}\.[a-z2-7]{32}$/.test(text);
}

/** SHA-256 of a token, base32. Agents show the same one with each request, so the last few are not computed again. */
export function digestOf(token: string): string {
  const known = digests.get(token);
  if (known !== undefined) return known;
  const digest = encodeBase32(sha256(encodeUtf8(token)));
  if (digests.size >= maxDigests) digests.clear();
  digests.set(token, digest);
  return digest;
}

const digests = new Map<string, string>();
const maxDigests = 256;
