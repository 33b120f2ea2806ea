/** Calls that wait for the operator of a hub, and what that operator answers. */
import type { HubId, Json } from "@fed/core";
import type { Risk } from "@fed/router";
import type { Operator } from "../operators/operator.js";

/** Who wants to do what. */
interface Question {
  readonly id: string;
  readonly operator: string;
  /** The hub that vouches for the operator. */
  readonly homeHub: HubId;
  /** That hub's name, where it is known. */
  readonly hub: string;
  readonly app: string;
  readonly method: string;
  /** Absent for a request of no tool. */
  readonly tool?: string;
  /** Absent when unknown. */
  readonly risk?: Risk;
}

/** A call that waits. */
export interface Approval extends Question {
  readonly callId: string;
  readonly roles: readonly string[];
  /** Without secrets and cut to 2 KiB. */
  readonly arguments: Json;
  readonly askedAtMs: number;
  readonly expiresAtMs: number;
}

/** An answer that holds for further calls of the same home hub, operator, app and tool. */
export interface StandingAnswer extends Question {
  readonly decision: "session" | "never";
  /** Who gave it. */
  readonly by: string;
  readonly answeredAtMs: number;
  readonly expiresAtMs: number;
}

/** `once`, `session`: it runs. `deny`, `never`: it does not. `session` and `never` hold for 12 hours at most. */
export const approvalDecisions = ["once", "session", "deny", "never"] as const;
export type ApprovalDecision = (typeof approvalDecisions)[number];

/** Who answers. */
export interface By {
  readonly operator: Pick<Operator, "principal">;
}

/** What waits and what stands. */
export interface Approvals {
  /** Oldest first. */
  pending(): Approval[];
  standing(): StandingAnswer[];
  /**
   * Answers on the authority of `operator`; `session` and `never` answer whatever else waits alike. In the audit log before it counts.
   * @throws {HubError} APPROVAL_UNKNOWN when nothing waits under that id (any more).
   */
  answer(id: string, decision: ApprovalDecision, options: By): Promise<Approval>;
  /** Takes a standing answer back. @throws {HubError} APPROVAL_UNKNOWN. */
  forget(id: string, options: By): Promise<void>;
  /** Calls `listener` whenever something begins or ceases to wait. Returns how to stop. */
  watch(listener: () => void): () => void;
}
