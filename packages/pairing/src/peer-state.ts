/**
 * The life of a peer: proposed → accepted → enrolled → active ⇄ degraded, suspended, revoked.
 * Revoked is terminal, and a suspended peer comes back only with fresh proof of its key.
 */
import { PairingError } from "./errors.js";

/** Where a peer stands. */
export type PeerState = "proposed" | "accepted" | "enrolled" | "active" | "degraded" | "suspended" | "revoked";

/** What moves a peer from one state to the next. */
export type PeerEvent =
  | "token-redeemed"
  | "manifest-lists-it"
  | "session-up"
  | "session-lost"
  | "suspend"
  | "resume-with-proof"
  | "revoke";

const transitions: Readonly<Record<PeerState, Partial<Record<PeerEvent, PeerState>>>> = {
  proposed: { "token-redeemed": "accepted", revoke: "revoked" },
  // A member that joins again may still have a session from before: what becomes of that one changes nothing here.
  accepted: {
    "manifest-lists-it": "enrolled",
    "session-up": "accepted",
    "session-lost": "accepted",
    suspend: "suspended",
    revoke: "revoked",
  },
  enrolled: { "session-up": "active", "session-lost": "enrolled", suspend: "suspended", revoke: "revoked" },
  active: { "session-lost": "degraded", "session-up": "active", suspend: "suspended", revoke: "revoked" },
  degraded: { "session-up": "active", "session-lost": "degraded", suspend: "suspended", revoke: "revoked" },
  // Both cut the peer's sessions, so hearing of the loss comes after and changes nothing.
  suspended: { "resume-with-proof": "enrolled", "session-lost": "suspended", revoke: "revoked" },
  revoked: { "session-lost": "revoked" },
};

/** The state after `event`. @throws {PairingError} PEER_TRANSITION_FORBIDDEN when `state` does not know `event`. */
export function nextPeerState(state: PeerState, event: PeerEvent): PeerState {
  const next = transitions[state][event];
  if (next === undefined) {
    throw new PairingError({
      code: "PEER_TRANSITION_FORBIDDEN",
      message: `A peer that is ${state} does not go on ${event}.`,
      hint: state === "revoked" ? "A revoked hub comes back only with a new key: invite it again." : undefined,
    });
  }
  return next;
}
