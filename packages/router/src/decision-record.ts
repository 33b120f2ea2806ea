/** What the audit log says of a decision about a call. */
import type { ExecutionRequest } from "./execution.js";
import type { AuditRecord, ConsentGiven, SharingRequest } from "./ports.js";

/** The record of `decision` by `rule`; without `asked` it is not known who asks. */
export function decisionRecord(
  request: ExecutionRequest,
  atMs: number,
  decision: "allow" | "deny",
  rule: string,
  asked?: Pick<SharingRequest, "tool" | "caller">,
  more?: { readonly consent?: ConsentGiven; readonly replay?: true },
): AuditRecord {
  const caller = asked?.caller;
  return {
    type: "call.decision",
    atMs,
    callId: request.callId,
    app: request.app,
    method: request.method,
    tool: asked?.tool,
    from: request.peer?.hubId,
    operator: caller?.operator,
    token: caller?.token,
    txn: caller?.txn,
    decision,
    rule,
    consent: more?.consent,
    replay: more?.replay,
  };
}
