/**
 * The one walk of every call on the hub that owns the app, local or remote: revocation, sharing policy, audit of the
 * decision (durable), the app, audit of the outcome. ARCHITECTURE "The way of one call".
 */
import { type Clock, encodeUtf8, type FedError, type HubId, type Json, type PeerIdentity, toFedError } from "@fed/core";
import { unlessAborted } from "./deadline.js";
import { appError, RouterError } from "./errors.js";
import { type Claim, OutcomeTable } from "./outcomes.js";
import type {
  AuditRecord,
  AuditSink,
  Caller,
  LocalApps,
  Notification,
  RevocationChecker,
  SharingDecision,
  SharingPolicy,
  SharingRequest,
} from "./ports.js";
import { isObject } from "./wire.js";

/** The ports an execution walks through. */
export interface ExecutionPorts {
  readonly revocation: RevocationChecker;
  readonly policy: SharingPolicy;
  readonly audit: AuditSink;
  readonly apps: LocalApps;
  readonly clock: Clock;
}

/** One call, as it reaches the owner. */
export interface ExecutionRequest {
  readonly callId: string;
  readonly app: string;
  readonly method: string;
  readonly params: unknown;
  /** Undefined for a local call. */
  readonly peer: PeerIdentity | undefined;
  /** Says who asks, or throws: the envelope's verification. */
  identify(): Caller;
  /** With the digest of the request it stands for. */
  readonly idempotency: { readonly key: string; readonly digest: Uint8Array } | undefined;
  /** Aborting it cancels the app's work. */
  readonly controller: AbortController;
  notify(notification: Notification): void;
}

interface Running {
  readonly request: ExecutionRequest;
  readonly caller: Caller;
}

/** Runs calls of this hub's own apps. */
export class Execution {
  readonly #ports: ExecutionPorts;
  readonly #outcomes: OutcomeTable;
  readonly #running = new Set<Running>();

  constructor(ports: ExecutionPorts) {
    this.#ports = ports;
    this.#outcomes = new OutcomeTable(ports.clock);
  }

  /**
   * The app's result.
   * @throws {RouterError} SHARING_DENIED, AUDIT_UNAVAILABLE, IDEMPOTENCY_MISMATCH, BUSY, OUTCOME_UNKNOWN; the verifier's,
   * the revocation's or the app's own error; the reason of the controller's signal.
   */
  async run(request: ExecutionRequest): Promise<unknown> {
    const running = await this.#admit(request);
    try {
      return await this.#decided(running);
    } finally {
      this.#running.delete(running);
    }
  }

  async #decided({ request, caller }: Running): Promise<unknown> {
    const tool = toolOf(request);
    const action = actionOf(request);
    const facts = tool === undefined ? methodFacts(action, request.method) : this.#toolFacts(request.app, tool);
    const decision = this.decide({ action, app: request.app, ...facts, caller });
    if (!decision.allow) {
      await this.#record(decisionRecord(request, this.#nowMs(), "deny", decision.rule, caller, tool));
      throw sharingDenied(request.app, decision);
    }
    const claim = await this.#claim(request, caller, tool);
    try {
      await this.#record(
        decisionRecord(request, this.#nowMs(), "allow", decision.rule, caller, tool, claim?.first === false),
      );
    } catch (cause) {
      claim?.release(cause as FedError);
      throw cause;
    }
    if (claim && !claim.first) return this.#replayed(claim, request.controller.signal);
    return this.#perform(request, caller, claim);
  }

  /** The policy's decision; a throw denies. */
  decide(request: SharingRequest): SharingDecision {
    try {
      return this.#ports.policy.decide(request);
    } catch {
      return { allow: false, rule: "policy-error", reason: "The policy could not be evaluated." };
    }
  }

  /** Cancels what runs for or through `hubId`. */
  cutHub(hubId: HubId, error: FedError): void {
    this.#cut(error, ({ request, caller }) => request.peer?.hubId === hubId || caller.hubs.includes(hubId));
  }

  /** Cancels what runs for `operator` and forgets its outcomes. */
  cutOperator(operator: string, error: FedError): void {
    this.#cut(error, ({ caller }) => caller.operator === operator);
    this.#outcomes.purge(operator);
  }

  #cut(error: FedError, concerns: (running: Running) => boolean): void {
    for (const running of this.#running) if (concerns(running)) running.request.controller.abort(error);
  }

  /** From the check on it can be cut: a revocation that comes while the decision is written down stops the call too. */
  async #admit(request: ExecutionRequest): Promise<Running> {
    let step = "envelope";
    try {
      const caller = request.identify();
      step = "revocation";
      this.#ports.revocation.assertCaller(caller, request.peer);
      const running = { request, caller };
      this.#running.add(running);
      return running;
    } catch (cause) {
      const error = toFedError(cause);
      await this.#record(decisionRecord(request, this.#nowMs(), "deny", `${step}: ${error.code}`));
      throw error;
    }
  }

  /** Synchronous up to the claim, so that of two equal keys exactly one runs. */
  async #claim(request: ExecutionRequest, caller: Caller, tool: string | undefined): Promise<Claim | undefined> {
    if (!request.idempotency) return undefined;
    const { key, digest } = request.idempotency;
    try {
      return this.#outcomes.claim(caller, request.app, key, digest);
    } catch (cause) {
      const error = toFedError(cause);
      await this.#record(decisionRecord(request, this.#nowMs(), "deny", `idempotency: ${error.code}`, caller, tool));
      throw error;
    }
  }

  async #replayed(claim: Claim, signal: AbortSignal): Promise<unknown> {
    const outcome = await unlessAborted(claim.outcome, signal);
    if (outcome.kind === "error") throw outcome.error;
    return outcome.result;
  }

  async #perform(request: ExecutionRequest, caller: Caller, claim: Claim | undefined): Promise<unknown> {
    const { app, method, params, callId, controller } = request;
    const startedMs = this.#ports.clock.monotonicMs();
    let result: unknown;
    let error: FedError | undefined;
    try {
      if (controller.signal.aborted) throw controller.signal.reason;
      // Again: time has passed since the call was let in, and what it does now cannot be taken back.
      this.#ports.revocation.assertCaller(caller, request.peer);
      const context = { caller, callId, signal: controller.signal, notify: request.notify };
      const work = this.#ports.apps.call(app, { method, params }, context);
      result = this.#shown(request, caller, await unlessAborted(work, controller.signal));
    } catch (cause) {
      error = appError(cause);
    }
    const outcome = error ? (controller.signal.aborted ? "cancelled" : "error") : outcomeOf(result);
    try {
      await this.#record({
        type: "call.outcome",
        atMs: this.#nowMs(),
        callId,
        app,
        outcome,
        ...(error ? { code: error.code } : {}),
        durationMs: Math.round(this.#ports.clock.monotonicMs() - startedMs),
      });
    } catch (cause) {
      // The effect stands, so this must not read like a refusal.
      error = new RouterError({
        code: "OUTCOME_UNKNOWN",
        message: "The app ran, but its outcome could not be recorded and is withheld.",
        hint: "Look whether it took effect before you repeat it; see the owning hub's audit log.",
        cause,
      });
    }
    if (error) {
      claim?.settle({ kind: "error", error });
      throw error;
    }
    claim?.settle({ kind: "result", result, bytes: jsonBytes(result) });
    return result;
  }

  /** A listing of tools shows those the caller may call: the same function decides on list and call. */
  #shown(request: ExecutionRequest, caller: Caller, result: unknown): unknown {
    if (request.method !== "tools/list" || typeof result !== "object" || result === null) return result;
    const { tools } = result as { readonly tools?: unknown };
    if (!Array.isArray(tools)) return result;
    const shown = tools.filter(
      (tool) =>
        typeof tool?.name === "string" &&
        this.decide({ action: "list", app: request.app, ...this.#toolFacts(request.app, tool.name), caller }).allow,
    );
    return shown.length === tools.length ? result : { ...result, tools: shown };
  }

  #toolFacts(app: string, tool: string): Pick<SharingRequest, "tool" | "risk"> {
    return this.#ports.apps.hints?.(app, tool)?.readOnly === true ? { tool, risk: "read" } : { tool };
  }

  async #record(record: AuditRecord): Promise<void> {
    try {
      await this.#ports.audit.append(record);
    } catch (cause) {
      throw new RouterError({
        code: "AUDIT_UNAVAILABLE",
        message: "The audit log cannot be written, so nothing is run.",
        hint: "See `fed doctor` on the owning hub: most often its disk is full.",
        retryable: true,
        cause,
      });
    }
  }

  #nowMs(): number {
    return this.#ports.clock.nowMs();
  }
}

function decisionRecord(
  request: ExecutionRequest,
  atMs: number,
  decision: "allow" | "deny",
  rule: string,
  caller?: Caller,
  tool?: string,
  replay = false,
): AuditRecord {
  return {
    type: "call.decision",
    atMs,
    callId: request.callId,
    app: request.app,
    method: request.method,
    ...(tool === undefined ? {} : { tool }),
    ...(request.peer ? { from: request.peer.hubId } : {}),
    ...(caller ? { operator: caller.operator } : {}),
    ...(caller?.token === undefined ? {} : { token: caller.token }),
    ...(caller?.txn === undefined ? {} : { txn: caller.txn }),
    decision,
    rule,
    ...(replay ? { replay } : {}),
  };
}

function sharingDenied(app: string, decision: SharingDecision): RouterError {
  return new RouterError({
    code: "SHARING_DENIED",
    message: `The owner of the app does not allow this (${decision.rule}): ${decision.reason}`,
    hint: `Its operator can allow it: fed share ${app}`,
    details: { rule: decision.rule },
  });
}

/** Requests that MCP itself defines as looking at something. */
const readMethods: ReadonlySet<string> = new Set([
  "completion/complete",
  "prompts/get",
  "prompts/list",
  "resources/list",
  "resources/read",
  "resources/subscribe",
  "resources/templates/list",
  "resources/unsubscribe",
  "subscriptions/listen",
  "tasks/get",
  "tasks/list",
  "tasks/result",
]);

/** The risk of a request that is of no tool, where it is known. */
function methodFacts(action: SharingRequest["action"], method: string): Pick<SharingRequest, "risk"> {
  return action === "call" && readMethods.has(method) ? { risk: "read" } : {};
}

/** Whoever may call one tool may ask which: what is not for the caller is taken out of the answer. */
export function actionOf({
  method,
  params,
}: Pick<ExecutionRequest, "method" | "params">): SharingRequest["action"] {
  if (method === "tools/list" || method === "server/discover" || method === "ping") return "list";
  return method === "subscriptions/listen" && !namesResources(params) ? "list" : "call";
}

/** That a list has changed says no more than the list; what happens to a resource does. */
function namesResources(params: unknown): boolean {
  const filter = isObject(params as Json) ? (params as { readonly notifications?: Json }).notifications : undefined;
  return isObject(filter) && filter.resourceSubscriptions !== undefined;
}

function toolOf(request: ExecutionRequest): string | undefined {
  if (request.method !== "tools/call") return undefined;
  const { params } = request;
  if (typeof params === "object" && params !== null && "name" in params && typeof params.name === "string") {
    return params.name;
  }
  throw new RouterError({ code: "REQUEST_MALFORMED", message: "tools/call names no tool." });
}

function outcomeOf(result: unknown): "result" | "tool-error" {
  return isObject(result as never) && (result as { isError?: unknown }).isError === true ? "tool-error" : "result";
}

function jsonBytes(result: unknown): number {
  try {
    return encodeUtf8(JSON.stringify(result) ?? "").length;
  } catch {
    return 0;
  }
}
