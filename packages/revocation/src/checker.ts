/** The list in force at one hub: adopts newer ones, keeps them, and answers for every handshake and every call. */
import { type Clock, type ClusterId, type HubId, type Store, type StoreKey, systemClock } from "@fed/core";
import type { GeneralJws, Leaf, Signer, VerifiedManifest } from "@fed/trust";
import { type RevocationEntry, type RevocationKind, revocationKinds } from "./entry.js";
import { RevocationError, type RevokedCode } from "./errors.js";
import { createKeptList } from "./kept-list.js";
import { appendEntries, emptyList, type RevocationList, signList, type VerifiedList, verifyList } from "./list.js";

/** Options of {@link createRevocationChecker}. */
export interface RevocationCheckerOptions {
  readonly clusterId: ClusterId;
  /** Where the list is kept, under `key`. */
  readonly store: Store;
  /** Default `["revocations", clusterId]`. */
  readonly key?: StoreKey;
  /** Default the machine's. */
  readonly clock?: Clock;
  /** Called with the new entries as soon as they are in force, to cut sessions and drop caches. Must not throw. */
  readonly onChange?: (added: readonly RevocationEntry[]) => void;
}

/** Who and what a call names. */
export interface CallPrincipals {
  /** Every hub of the envelope. */
  readonly hubs?: readonly HubId[];
  /** Every operator, `<name>@<hubId>`; the home hub is checked as well. */
  readonly operators?: readonly string[];
  readonly link?: string | undefined;
  readonly token?: string | undefined;
  readonly grant?: string | undefined;
}

/** Says what is revoked, now. */
export interface RevocationChecker {
  /** How many entries are in force: the list's number, as announced to peers. */
  readonly size: number;
  /** The list in force. */
  list(): RevocationList;
  /** The list in force as its authority signed it; undefined while nothing was ever signed. */
  signed(): GeneralJws | undefined;
  /** The entry that revokes `id`, or undefined. One look-up, no allocation. */
  isRevoked(kind: RevocationKind, id: string): RevocationEntry | undefined;
  /** @throws {RevocationError} HUB_REVOKED, LEAF_REVOKED or SPKI_REVOKED when the hub, its serial or its key is out. */
  assertLeaf(leaf: Pick<Leaf, "hubId" | "serial" | "spki">): void;
  /** @throws {RevocationError} HUB_REVOKED, OPERATOR_REVOKED, LINK_REVOKED, TOKEN_REVOKED or GRANT_REVOKED. */
  assertPrincipals(principals: CallPrincipals): void;
  /**
   * Verifies a list from anywhere, saves it, puts it in force, tells the listener, and returns the entries that are new.
   * Adopting what is known already changes nothing, except that newer signatures over the same entries are kept.
   * @throws {RevocationError} REVOCATION_UNSAVED when it is in force but could not be saved (adopt it again to retry);
   * the codes of `verifyList` when it is not in force. @throws {TrustError} as `verifyList`.
   */
  adopt(signed: unknown, manifest: VerifiedManifest): Promise<readonly RevocationEntry[]>;
  /**
   * Adds `entries` to the list, signs it and adopts it. What is revoked already is left out; with no entries the list is
   * signed anew, as it must be when the authority has changed.
   * @throws {RevocationError} as {@link adopt}, and REVOCATION_TOO_LARGE. @throws {TrustError} TOO_FEW_SIGNATURES.
   */
  revoke(
    entries: readonly RevocationEntry[],
    signers: readonly Signer[],
    manifest: VerifiedManifest,
  ): Promise<readonly RevocationEntry[]>;
}

/**
 * A checker with the list that was kept in `store`, if any.
 * @throws {FedError} the store's codes; REVOCATION_CORRUPT when what it holds is no list, for then nothing can be said about
 * anybody.
 */
export async function createRevocationChecker(options: RevocationCheckerOptions): Promise<RevocationChecker> {
  const { clusterId, store, key = ["revocations", clusterId], clock = systemClock, onChange } = options;
  const kept = createKeptList(store, key, clusterId, clock);
  const revoked = new Map(revocationKinds.map((kind) => [kind, new Map<string, RevocationEntry>()] as const));
  let current: VerifiedList | undefined;
  /** Whether the store holds {@link current}. */
  let isSaved = false;
  /** The last change under way: changes happen one after the other. */
  let last: Promise<unknown> = Promise.resolve();

  /** Puts `next` in force and returns what it adds. */
  function apply(next: VerifiedList): readonly RevocationEntry[] {
    const added = next.list.entries.slice(current?.list.number ?? 0);
    for (const entry of added) revoked.get(entry.kind)!.set(entry.id, entry);
    current = next;
    return added;
  }

  async function change(signed: unknown, manifest: VerifiedManifest): Promise<readonly RevocationEntry[]> {
    // A peer may send the same list for ever: it must not hold up, with signatures and disk writes, one that revokes it.
    if (current && isSaved && isSameText(signed, current.signed)) return [];
    const verified = verifyList(signed, { manifest, clusterId, current });
    const next = current && isOlderCopy(verified.list, current.list) ? current : verified;
    let unsaved: RevocationError | undefined;
    let inForce = next;
    try {
      inForce = await kept.save(next);
    } catch (error) {
      if (!(error instanceof RevocationError) || error.code !== "REVOCATION_UNSAVED") throw error;
      // Trust is taken away even when the disk cannot remember it.
      unsaved = error;
    }
    isSaved = unsaved === undefined;
    const added = apply(inForce);
    if (added.length > 0) onChange?.(added);
    if (unsaved) throw unsaved;
    return added;
  }

  function inTurn<T>(operation: () => Promise<T>): Promise<T> {
    const result = last.then(operation);
    last = result.catch(() => {});
    return result;
  }

  function assertNot(kind: RevocationKind, id: string): void {
    const entry = revoked.get(kind)!.get(id);
    if (!entry) return;
    throw new RevocationError(
      {
        code: `${kind.toUpperCase()}_REVOKED` as RevokedCode,
        message: `This ${kind} was revoked.`,
        hint: "It stays revoked; to return it needs a new identity from the cluster's authority.",
      },
      entry,
    );
  }

  const saved = await kept.load();
  if (saved) apply(saved);
  isSaved = saved !== undefined;

  return {
    get size() {
      return current?.list.number ?? 0;
    },
    list: () => current?.list ?? emptyList(clusterId),
    signed: () => current?.signed,
    isRevoked: (kind, id) => revoked.get(kind)!.get(id),
    assertLeaf({ hubId, serial, spki }) {
      assertNot("hub", hubId);
      assertNot("leaf", serial);
      assertNot("spki", spki);
    },
    assertPrincipals({ hubs = [], operators = [], link, token, grant }) {
      for (const hub of hubs) assertNot("hub", hub);
      for (const operator of operators) {
        assertNot("operator", operator);
        assertNot("hub", operator.slice(operator.lastIndexOf("@") + 1));
      }
      if (link !== undefined) assertNot("link", link);
      if (token !== undefined) assertNot("token", token);
      if (grant !== undefined) assertNot("grant", grant);
    },
    adopt: (signed, manifest) => inTurn(() => change(signed, manifest)),
    revoke: (entries, signers, manifest) =>
      inTurn(() => {
        const fresh = entries.filter(({ kind, id }) => !revoked.get(kind)?.has(id));
        const next = appendEntries(current?.list ?? emptyList(clusterId), fresh, { atMs: clock.nowMs() });
        return change(signList(next, signers), manifest);
      }),
  };
}

/** Whether `signed`, which may be anything, is `known` to the letter. */
function isSameText(signed: unknown, known: GeneralJws): boolean {
  if (typeof signed !== "object" || signed === null || !("payload" in signed) || !("signatures" in signed))
    return false;
  const { payload, signatures } = signed;
  return (
    payload === known.payload &&
    Array.isArray(signatures) &&
    signatures.length === known.signatures.length &&
    known.signatures.every(
      (one, i) => signatures[i]?.protected === one.protected && signatures[i]?.signature === one.signature,
    )
  );
}

/** Whether `list` says the same as `current`, but was signed earlier. */
function isOlderCopy(list: RevocationList, current: RevocationList): boolean {
  return list.number === current.number && list.issuedAt < current.issuedAt;
}
