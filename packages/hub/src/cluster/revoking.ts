/** Cutting somebody off: signed, kept, in force here at once, seen to arrive at every member that is connected. */
import type { Clock, HubId } from "@fed/core";
import { type RevocationEntry, RevocationError, type RevocationKind } from "@fed/revocation";
import type { AuditTrail } from "../audit-trail.js";
import { HubError } from "../errors.js";
import { pause } from "../pause.js";
import type { Cluster } from "./cluster.js";
import type { Federation } from "./federation.js";
import type { Membership } from "./membership.js";

/** How long to wait to see the connected members hold the new list. */
const acknowledgementMs = 2_000;
const lookEveryMs = 5;

/** Whom to cut off. */
export interface RevocationTarget {
  readonly kind: RevocationKind;
  /** For a hub its name or id; else as in a revocation entry. */
  readonly id: string;
}

/** What a revocation came to. */
export interface RevocationReport {
  readonly entry: RevocationEntry;
  /** The list's number now. */
  readonly number: number;
  /** From the request until it was in force here and the sessions were cut, milliseconds. */
  readonly hereMs: number;
  /** Members that were connected and now hold the list, with the milliseconds it took them. */
  readonly heldBy: readonly { readonly hubId: HubId; readonly name: string; readonly afterMs: number }[];
  /** Members that did not say so in time; they take the list over at their next session. */
  readonly notReached: readonly { readonly hubId: HubId; readonly name: string }[];
}

/** What revoking works on. */
export interface RevokingOptions {
  readonly selfId: HubId;
  readonly membership: Membership;
  readonly federation: () => Federation;
  readonly audit: AuditTrail;
  readonly clock: Clock;
}

/**
 * Revokes `target` for ever.
 * @throws {HubError} NOT_THE_AUTHORITY, NOT_IN_CLUSTER, HUB_UNKNOWN, SELF_REVOCATION.
 * @throws {RevocationError} REVOCATION_INVALID_ENTRY; REVOCATION_UNSAVED when it is in force but not kept.
 */
export async function revoke(
  target: RevocationTarget,
  reason: string,
  options: RevokingOptions,
): Promise<RevocationReport> {
  const { selfId, membership, audit, clock } = options;
  const startedAt = clock.monotonicMs();
  const signer = membership.authoritySigner();
  const { revocation, sync } = options.federation();
  if (!revocation) throw new HubError({ code: "NOT_IN_CLUSTER", message: "This hub is in no cluster." });
  const id = target.kind === "hub" ? membership.resolve(target.id).hubId : target.id;
  if (id === selfId) {
    throw new HubError({
      code: "SELF_REVOCATION",
      message: "A hub cannot revoke itself.",
      hint: "Revoke it from another hub that holds the authority.",
    });
  }
  const entry: RevocationEntry = { kind: target.kind, id, reason, at: Math.floor(clock.nowMs() / 1000), by: selfId };
  const connected = new Set(sync.peers.keys());
  await revocation.revoke([entry], [signer], membership.current);
  const hereMs = clock.monotonicMs() - startedAt;
  audit.note({ type: "revoked", kind: entry.kind, id, reason, number: revocation.size });

  const others = membership.others.filter((member) => !revocation.isRevoked("hub", member.hubId));
  const waitedFor = others.filter(({ hubId }) => connected.has(hubId));
  const heldAfter = new Map<HubId, number>();
  for (;;) {
    for (const { hubId } of waitedFor) {
      const holds = sync.peers.get(hubId)?.revocations ?? 0;
      if (holds >= revocation.size && !heldAfter.has(hubId)) heldAfter.set(hubId, clock.monotonicMs() - startedAt);
    }
    if (heldAfter.size === waitedFor.length || clock.monotonicMs() - startedAt > acknowledgementMs) break;
    await pause(clock, lookEveryMs);
  }
  return {
    entry,
    number: revocation.size,
    hereMs,
    heldBy: others.flatMap(({ hubId, name }) =>
      heldAfter.has(hubId) ? [{ hubId, name, afterMs: heldAfter.get(hubId)! }] : [],
    ),
    notReached: others.flatMap(({ hubId, name }) => (heldAfter.has(hubId) ? [] : [{ hubId, name }])),
  };
}

/** Cuts what new entries of the list name, here, and passes the list on. */
export function applyRevocations(entries: readonly RevocationEntry[], cluster: Cluster, federation: Federation): void {
  const { router, sync } = federation;
  const connected = router.peers().flatMap(({ hubId }) => router.session(hubId)?.peer ?? []);
  for (const entry of entries) {
    const { kind, id } = entry;
    const error = revokedError(entry);
    if (kind === "hub") {
      cluster.markRevoked(id);
      router.cut(id, error);
    } else if (kind === "operator") {
      router.cutOperator(id, error);
    } else if (kind === "leaf" || kind === "spki") {
      for (const peer of connected)
        if ((kind === "leaf" ? peer.serial : peer.spki) === id) router.cut(peer.hubId, error);
    } else if (kind === "token") {
      cluster.closeToken(id);
    }
  }
  // Only hubs stay cut. One whose old leaf was revoked may come back with its new one: the handshake decides.
  federation.refreshMembers();
  sync.announce();
}

/** What everybody hears who asks for what `entry` revokes. */
export function revokedError(entry: RevocationEntry): RevocationError {
  const { kind } = entry;
  return new RevocationError(
    {
      code: `${kind.toUpperCase() as Uppercase<RevocationKind>}_REVOKED`,
      message: `This ${kind} was revoked.`,
      hint: "It stays revoked; a hub may return with new keys and a new name.",
    },
    entry,
  );
}
