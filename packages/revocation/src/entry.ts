/** One revocation: what is out, why, since when, and by whom. */
import { canonicalJson } from "@fed/core";
import { isHubId, parsePrincipal } from "@fed/trust";
import { RevocationError } from "./errors.js";

/** What can be revoked. */
export type RevocationKind = "hub" | "leaf" | "spki" | "operator" | "link" | "token" | "grant";

/** One line of the list. It holds for ever: what returns gets a new id or key. */
export interface RevocationEntry {
  readonly kind: RevocationKind;
  /**
   * hub: its id. leaf: its serial, lower-case hex. spki: SHA-256 of the SubjectPublicKeyInfo, base64url, 43 characters.
   * operator: `<name>@<hubId>`. link, token, grant: 1..128 visible ASCII characters.
   */
  readonly id: string;
  /** For people; at most 256 characters, none of them a control character. */
  readonly reason: string;
  /** When it was revoked, Unix seconds. It is in force as soon as it is known, whatever this says. */
  readonly at: number;
  /** The hub that revoked it. */
  readonly by: string;
}

/** Largest entry, bytes of canonical JSON. */
export const maxEntryBytes = 1024;

const printable = /^[^\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]{0,256}$/u;
const visibleAscii = /^[\x21-\x7e]{1,128}$/;

const isId: Readonly<Record<RevocationKind, (id: string) => boolean>> = {
  hub: isHubId,
  leaf: (id) => /^(?:[0-9a-f]{2}){1,20}$/.test(id),
  spki: (id) => /^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$/.test(id),
  operator: isPrincipal,
  link: (id) => visibleAscii.test(id),
  token: (id) => visibleAscii.test(id),
  grant: (id) => visibleAscii.test(id),
};

/** Every {@link RevocationKind}. */
export const revocationKinds = Object.keys(isId) as readonly RevocationKind[];

/**
 * `value` as an entry: exactly the five members, each in its one form, so that nothing is revoked under a name that
 * would never be looked up.
 * @throws {RevocationError} REVOCATION_INVALID_ENTRY otherwise.
 */
export function checkEntry(value: unknown): RevocationEntry {
  if (typeof value !== "object" || value === null || Object.keys(value).length !== 5)
    throw invalid("has other members");
  const { kind, id, reason, at, by } = value as Record<string, unknown>;
  if (typeof kind !== "string" || !Object.hasOwn(isId, kind)) throw invalid("is of no known kind");
  if (typeof id !== "string" || !isId[kind as RevocationKind](id)) throw invalid(`has no proper ${kind} id`);
  if (typeof reason !== "string" || reason.length > 256 || !printable.test(reason))
    throw invalid("has no proper reason");
  if (!Number.isSafeInteger(at) || (at as number) < 0) throw invalid("has no proper time");
  if (typeof by !== "string" || !isHubId(by)) throw invalid("does not name the hub it is by");
  const entry: RevocationEntry = { kind: kind as RevocationKind, id, reason, at: at as number, by };
  if (canonicalJson(entry).length > maxEntryBytes) throw invalid(`is over ${maxEntryBytes} bytes`);
  return entry;
}

/** Whether two entries say the same. */
export function sameEntry(a: RevocationEntry, b: RevocationEntry): boolean {
  return a.kind === b.kind && a.id === b.id && a.reason === b.reason && a.at === b.at && a.by === b.by;
}

function isPrincipal(id: string): boolean {
  try {
    parsePrincipal(id);
    return true;
  } catch {
    return false;
  }
}

function invalid(what: string): RevocationError {
  return new RevocationError({ code: "REVOCATION_INVALID_ENTRY", message: `A revocation ${what}.` });
}
