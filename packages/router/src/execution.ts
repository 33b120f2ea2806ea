/**
 * The one walk of every call on the hub that owns the app, local or remote: revocation, sharing policy, consent, audit of
 * the decision (durable), the app, audit of the outcome. ARCHITECTURE "The way of one call".
 */
import { type Clock, encodeUtf8, type FedError, type HubId, LiveSet, type PeerIdentity, toFedError } from "@fed/core";
import type { Deadline } from "./deadline.js";
import { decisionRecord } from "./decision-record.js";
import { appError, RouterError } from "./errors.js";
import { type Claim, OutcomeTable } from "./outcomes.js";
import type {
  AuditRecord,
  AuditSink,
  Caller,
  Consent,
  ConsentGiven,
  ConsentRequest,
  KeyJournal,
  LocalApps,
  Notification,
  RevocationChecker,
  SharingDecision,
  SharingPolicy,
  SharingRequest,
} from "./ports.js";
import { actionOf, methodFacts, toolOf } from "./request-facts.js";
import { isObject } from "./wire.js";

/** The ports an execution walks through. */
export interface ExecutionPorts {
  readonly revocation: RevocationChecker;
  readonly policy: SharingPolicy;
  /** Absent: nothing is ever asked. */
  readonly consent?: Consent | undefined;
  readonly audit: AuditSink;
  /** Absent: keys are forgotten with this process. */
  readonly keys?: KeyJournal | undefined;
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
  /** When it ends, so does the app's work. */
  readonly deadline: Pick<Deadline, "signal" | "during" | "cancel">;
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
  readonly #running = new LiveSet<Running>();

  constructor(ports: ExecutionPorts) {
    this.#ports = ports;
    this.#outcomes = new OutcomeTable(ports.clock, ports.keys);
  }

  /**
   * The app's result.
   * @throws {RouterError} SHARING_DENIED, AUDIT_UNAVAILABLE, IDEMPOTENCY_MISMATCH, BUSY; the verifier's,
   * the revocation's, the consent's or the app's own error; the reason of the deadline's signal.
   */
  async run(request: ExecutionRequest): Promise<unknown> {
    let step = "envelope";
    let running: Running;
    try {
      const caller = request.identify();
      step = "revocation";
      this.#ports.revocation.assertCaller(caller, request.peer);
      running = { request, caller };
    } catch (cause) {
      const error = toFedError(cause);
      await this.#record(decisionRecord(request, this.#nowMs(), "deny", `${step}: ${error.code}`));
      throw error;
    }
    // From the check on it can be cut: a revocation that comes while the decision is written down stops the call too.
    const place = this.#running.add(running);
    try {
      return await this.#decided(running);
    } finally {
      this.#running.delete(place);
    }
  }

  /** The claim comes before the question: a repetition of a call that waits for consent waits with it. */
  async #decided({ request, caller }: Running): Promise<unknown> {
    const tool = toolOf(request);
    const learning = tool === undefined ? undefined : this.#learn(request, caller, tool);
    if (learning) await learning;
    const asked = this.#asked(request, caller, tool);
    const decision = this.decide(asked);
    const { rule } = decision;
    if (!decision.allow) throw await this.#denied(request, asked, decision);
    const claim = request.idempotency && (await this.#claim(request, asked, request.idempotency));
    if (claim && !claim.first) {
      await this.#record(decisionRecord(request, this.#nowMs(), "allow", rule, asked, { replay: true }));
      return this.#replayed(claim, request);
    }
    const notify = claim ? notifyAll(request, claim) : request.notify;
    try {
      const asking = this.#consent(request, asked, notify);
      const consent = asking && (await asking);
      if (claim) await this.#keep(claim);
      await this.#record(decisionRecord(request, this.#nowMs(), "allow", rule, asked, consent && { consent }));
    } catch (cause) {
      claim?.release(cause as FedError);
      throw cause;
    }
    return await this.#perform(request, caller, claim, notify);
  }

  #asked(request: ExecutionRequest, caller: Caller, tool: string | undefined): SharingRequest {
    const { app, method } = request;
    const action = actionOf(request);
    const facts = tool === undefined ? methodFacts(action, method) : this.#toolFacts(app, tool);
    return { action, app, ...facts, caller };
  }

  /** What a tool can do is looked up before it is decided, for those who may see the app; unknown it counts as the worst. */
  #learn(
    { app, callId, deadline, notify }: ExecutionRequest,
    caller: Caller,
    tool: string,
  ): Promise<unknown> | undefined {
    const { apps } = this.#ports;
    if (!apps.learn || apps.hints?.(app, tool)?.risk !== undefined) return undefined;
    if (!this.decide({ action: "list", app, caller }).allow) return undefined;
    const { signal } = deadline;
    return deadline.during(apps.learn(app, tool, { caller, callId, signal, notify })).catch(() => {});
  }

  /** The policy's refusal, written down. */
  async #denied(request: ExecutionRequest, asked: SharingRequest, decision: SharingDecision): Promise<RouterError> {
    await this.#record(decisionRecord(request, this.#nowMs(), "deny", decision.rule, asked));
    return sharingDenied(asked.app, decision);
  }

  /** The owner's operator, where it is to be asked. */
  #consent(
    request: ExecutionRequest,
    asked: SharingRequest,
    notify: ExecutionRequest["notify"],
  ): Promise<ConsentGiven> | undefined {
    const { consent } = this.#ports;
    if (!consent || asked.action !== "call") return undefined;
    const { callId, app, method, params, peer } = request;
    const { tool, risk, caller } = asked;
    const question = { callId, app, method, params, tool, risk, caller, peer, notify };
    try {
      return consent.required(question) ? this.#consented(request, asked, consent, question) : undefined;
    } catch (cause) {
      return this.#withheld(request, asked, cause);
    }
  }

  /** Waits for the operator. What was taken back meanwhile stays taken back. */
  async #consented(
    request: ExecutionRequest,
    asked: SharingRequest,
    consent: Consent,
    question: ConsentRequest,
  ): Promise<ConsentGiven> {
    const { deadline } = request;
    let given: ConsentGiven;
    try {
      given = await deadline.during(consent.decide(question, deadline.signal));
      this.#ports.revocation.assertCaller(asked.caller, request.peer);
    } catch (cause) {
      return this.#withheld(request, asked, cause);
    }
    const decision = this.decide(asked);
    if (!decision.allow) throw await this.#denied(request, asked, decision);
    return given;
  }

  /** There is no consent, because of `cause`: written down and thrown. */
  async #withheld(request: ExecutionRequest, asked: SharingRequest, cause: unknown): Promise<never> {
    const error = toFedError(cause);
    await this.#record(decisionRecord(request, this.#nowMs(), "deny", `consent: ${error.code}`, asked));
    throw error;
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
    for (const running of this.#running) if (concerns(running)) running.request.deadline.cancel(error);
  }

  async #keep(claim: Claim): Promise<void> {
    try {
      await claim.keep();
    } catch (cause) {
      throw new RouterError({
        code: "AUDIT_UNAVAILABLE",
        message: "The idempotency key cannot be written down, so nothing is run.",
        hint: "See `fed doctor` on the owning hub: most often its disk is full.",
        retryable: true,
        cause,
      });
    }
  }

  /** Synchronous up to the claim, so that of two equal keys exactly one runs. */
  async #claim(
    request: ExecutionRequest,
    asked: SharingRequest,
    { key, digest }: NonNullable<ExecutionRequest["idempotency"]>,
  ): Promise<Claim> {
    try {
      return this.#outcomes.claim(asked.caller, request.app, key, digest);
    } catch (cause) {
      const error = toFedError(cause);
      await this.#record(decisionRecord(request, this.#nowMs(), "deny", `idempotency: ${error.code}`, asked));
      throw error;
    }
  }

  async #replayed(claim: Claim, { deadline, notify }: ExecutionRequest): Promise<unknown> {
    const follower: typeof notify = (notification) => notify(notification);
    claim.followers.add(follower);
    try {
      const outcome = await deadline.during(claim.outcome);
      if (outcome.kind === "error") throw outcome.error;
      return outcome.result;
    } finally {
      claim.followers.delete(follower);
    }
  }

  async #perform(
    request: ExecutionRequest,
    caller: Caller,
    claim: Claim | undefined,
    notify: ExecutionRequest["notify"],
  ): Promise<unknown> {
    const { app, method, params, callId, deadline } = request;
    const { signal } = deadline;
    const startedMs = this.#ports.clock.monotonicMs();
    let result: unknown;
    let error: FedError | undefined;
    try {
      if (signal.aborted) throw signal.reason;
      // Again: time has passed since the call was let in, and what it does now cannot be taken back.
      this.#ports.revocation.assertCaller(caller, request.peer);
      const context = { caller, callId, signal, notify };
      const work = this.#ports.apps.call(app, { method, params }, context);
      result = this.#shown(request, caller, await deadline.during(work));
    } catch (cause) {
      error = appError(cause);
    }
    const outcome = error ? (signal.aborted ? "cancelled" : "error") : outcomeOf(result);
    // Behind its decision, in order; the answer does not wait for the disk, see docs/decisions/0006.
    this.#ports.audit
      .append(
        {
          type: "call.outcome",
          atMs: this.#nowMs(),
          callId,
          app,
          outcome,
          code: error?.code,
          durationMs: Math.round(this.#ports.clock.monotonicMs() - startedMs),
        },
        { lazily: true },
      )
      .catch(() => {});
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
      (tool) => typeof tool?.name === "string" && this.shownTool(request.app, tool.name, caller),
    );
    return shown.length === tools.length ? result : { ...result, tools: shown };
  }

  /** What is said of a tool beside its name to `caller`; undefined when it is not for the caller. */
  shownTool(app: string, tool: string, caller: Caller): Pick<SharingRequest, "risk"> | undefined {
    const facts = this.#toolFacts(app, tool);
    return this.decide({ action: "list", app, ...facts, caller }).allow ? facts : undefined;
  }

  #toolFacts(app: string, tool: string): Pick<SharingRequest, "tool" | "risk"> {
    const risk = this.#ports.apps.hints?.(app, tool)?.risk;
    return risk === undefined ? { tool } : { tool, risk };
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

/** Whoever waits for the outcome hears of the progress, too. */
function notifyAll(request: ExecutionRequest, { followers }: Claim): (notification: Notification) => void {
  return (notification) => {
    request.notify(notification);
    for (const follower of followers) follower(notification);
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
