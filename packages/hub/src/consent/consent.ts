/** Consent, put together: the guard around the hub's apps, the owner's rules for their tools, and who is asked. */
import type { Clock, HubId, Store } from "@fed/core";
import type { Caller, Consent as ConsentPort, LocalApps } from "@fed/router";
import type { AuditTrail } from "../audit-trail.js";
import { HubError } from "../errors.js";
import { ApprovalDesk } from "./approval-desk.js";
import type { Approvals } from "./approvals.js";
import { type AcceptedTools, type DefinedApps, Guard, type RatedTool } from "./guard.js";
import type { SecretSchema } from "./secret-fields.js";
import { openToolRuleBook, type ToolRuleBook } from "./tool-rule-book.js";

/** Options of {@link openConsent}. */
export interface ConsentOptions {
  /** The hub's own. */
  readonly apps: DefinedApps;
  readonly accepted: AcceptedTools;
  /** The hub's name. */
  readonly name: string;
  readonly store: Store;
  readonly audit: AuditTrail;
  readonly clock: Clock;
  /** How long a call waits for an answer; 1 ms to 1 h; default 120 000. */
  readonly timeoutMs: number | undefined;
  readonly nameOfHub: (hubId: HubId) => string | undefined;
  /** The rules, and with them the ratings of tools, are others now. */
  readonly onRules: () => void;
}

/** See the module header. */
export interface Consent {
  /** The hub's apps, guarded. */
  readonly apps: LocalApps;
  readonly port: ConsentPort;
  readonly rules: ToolRuleBook;
  readonly approvals: Approvals;
  /** Which arguments of a tool people are not shown. */
  secretInputs(app: string, tool: string | undefined): readonly SecretSchema[];
  /** The tools of an app as they are rated now. */
  rated(app: string, caller: Caller, signal: AbortSignal): Promise<RatedTool[]>;
}

const defaultTimeoutMs = 120_000;
/** Agents' calls last no longer. */
const maxTimeoutMs = 3_600_000;

/** Loads the owner's rules. @throws {HubError} REQUEST_INVALID for a timeout that is none. */
export async function openConsent(options: ConsentOptions): Promise<Consent> {
  const { apps, accepted, name, store, audit, clock, nameOfHub, timeoutMs = defaultTimeoutMs } = options;
  if (!(timeoutMs >= 1 && timeoutMs <= maxTimeoutMs)) {
    throw new HubError({
      code: "REQUEST_INVALID",
      message: `A call waits for approval for 1 to ${maxTimeoutMs} ms, not ${timeoutMs}.`,
      hint: "Two minutes are usual: `fed up --approval-timeout 2m`.",
    });
  }
  const rules = await openToolRuleBook(store, () => {
    audit.note({ type: "tool-rules.changed" });
    options.onRules();
  });
  const guard = new Guard({ apps, rules, accepted, clock });
  const approvals = new ApprovalDesk({
    name,
    timeoutMs,
    clock,
    nameOfHub,
    shown: (request) => guard.shown(request),
    record: (event) => audit.record(event),
  });
  return {
    apps: guard,
    port: {
      required: (request) => guard.asks(request),
      decide: (request, signal) => approvals.decide(request, signal),
    },
    rules,
    approvals,
    secretInputs: (app, tool) => guard.secretInputs(app, tool),
    rated: (app, caller, signal) => guard.rated(app, caller, signal),
  };
}
