/**
 * Calls that wait for the operator of this hub, and what that operator answered before. In memory: a restart forgets both,
 * and then it is asked again. Nothing that waits runs by itself; without an answer it is refused.
 */
import { type Clock, encodeBase32, type FedError, type HubId, type Json, randomBytes, type Timer } from "@fed/core";
import { type ConsentGiven, type ConsentRequest, RouterError } from "@fed/router";
import type { AuditEvent } from "../audit-trail.js";
import { HubError } from "../errors.js";
import { agentFacts } from "../mcp/meta.js";
import type { Approval, ApprovalDecision, Approvals, By, StandingAnswer } from "./approvals.js";

/** Options of {@link ApprovalDesk}. */
export interface ApprovalDeskOptions {
  /** This hub's name. */
  readonly name: string;
  /** How long an answer is waited for. */
  readonly timeoutMs: number;
  readonly clock: Clock;
  readonly nameOfHub: (hubId: HubId) => string | undefined;
  /** What may be shown of a request's arguments. */
  readonly shown: (request: ConsentRequest) => Json;
  /** Durable once resolved. */
  readonly record: (event: AuditEvent) => Promise<void>;
}

interface Waiting {
  readonly approval: Approval;
  readonly key: string;
  /** The hub whose session it came over. */
  readonly peer: HubId | undefined;
  settle(outcome: ConsentGiven | FedError): void;
}

export const approvalLimits = { pending: 256, perOperator: 32, perPeer: 64, standing: 1024 } as const;
const standingMs = 12 * 60 * 60_000;
/** Agents give up on calls of which they hear nothing for half a minute or more. */
const progressEveryMs = 10_000;

/** See {@link Approvals}. */
export class ApprovalDesk implements Approvals {
  readonly #options: ApprovalDeskOptions;
  readonly #waiting = new Map<string, Waiting>();
  /** By whom and what it is about; the oldest first. */
  readonly #standing = new Map<string, StandingAnswer>();
  readonly #listeners = new Set<() => void>();

  constructor(options: ApprovalDeskOptions) {
    this.#options = options;
  }

  pending(): Approval[] {
    return [...this.#waiting.values()].map(({ approval }) => approval);
  }

  standing(): StandingAnswer[] {
    this.#expire();
    return [...this.#standing.values()];
  }

  /**
   * How consent to `request` was given.
   * @throws {HubError} CONSENT_DENIED, CONSENT_TIMEOUT. @throws {RouterError} BUSY when too many calls wait. The reason of
   * `signal`.
   */
  decide(request: ConsentRequest, signal: AbortSignal): Promise<ConsentGiven> {
    if (signal.aborted) return Promise.reject(signal.reason);
    const key = keyOf(request);
    this.#expire();
    const standing = this.#standing.get(key);
    if (standing) {
      return standing.decision === "session" ? Promise.resolve("session") : Promise.reject(denied(this.#options.name));
    }
    const peer = request.peer?.hubId;
    if (!this.#hasRoom(request.caller.operator, peer)) return Promise.reject(busy(this.#options.name));
    return this.#wait(request, key, peer, signal);
  }

  async answer(id: string, decision: ApprovalDecision, { operator: { principal: by } }: By): Promise<Approval> {
    const asked = this.#waiting.get(id);
    if (!asked) throw unknown(id);
    const stands = decision === "session" || decision === "never";
    const answered = stands ? [...this.#waiting.values()].filter(({ key }) => key === asked.key) : [asked];
    // Taken out at once: nobody else can answer meanwhile, and the time is not up any more.
    for (const { approval } of answered) this.#waiting.delete(approval.id);
    try {
      const { operator, homeHub, app, method, tool, risk } = asked.approval;
      const about = { operator, homeHub, app, method, tool, risk };
      const calls = answered.map(({ approval }) => approval.callId);
      await this.#options.record({ type: "approval.answered", decision, by, calls, ...about });
    } catch (cause) {
      for (const waiting of answered) waiting.settle(cause as FedError);
      throw cause;
    }
    if (stands) this.#stand(asked, decision, by);
    const allowed = decision === "once" || decision === "session";
    for (const waiting of answered) waiting.settle(allowed ? decision : denied(this.#options.name));
    return asked.approval;
  }

  async forget(id: string, { operator: { principal: by } }: By): Promise<void> {
    for (const [key, { id: own, decision, operator, homeHub, app, tool }] of this.#standing) {
      if (own !== id) continue;
      this.#standing.delete(key);
      this.#changed();
      return this.#options.record({ type: "approval.forgotten", decision, by, operator, homeHub, app, tool });
    }
    throw unknown(id);
  }

  watch(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  #wait(request: ConsentRequest, key: string, peer: HubId | undefined, signal: AbortSignal): Promise<ConsentGiven> {
    const { clock, timeoutMs, name } = this.#options;
    const approval = this.#approvalOf(request);
    const { promise, resolve, reject } = Promise.withResolvers<ConsentGiven>();
    const progress = this.#reportProgress(request);
    const settle = (outcome: ConsentGiven | FedError) => {
      this.#waiting.delete(approval.id);
      timer.cancel();
      progress.cancel();
      signal.removeEventListener("abort", onAbort);
      if (typeof outcome === "string") resolve(outcome);
      else reject(outcome);
      this.#changed();
    };
    const timer = clock.setTimer(timeoutMs, () => {
      if (this.#waiting.has(approval.id)) settle(timedOut(name, timeoutMs));
    });
    const onAbort = () => settle(signal.reason as FedError);
    signal.addEventListener("abort", onAbort, { once: true });
    this.#waiting.set(approval.id, { approval, key, peer, settle });
    this.#changed();
    return promise;
  }

  #approvalOf({ callId, caller, app, method, tool, risk, ...request }: ConsentRequest): Approval {
    const { clock, timeoutMs, nameOfHub, shown } = this.#options;
    const askedAtMs = clock.nowMs();
    return {
      id: newId(),
      callId,
      operator: caller.operator,
      homeHub: caller.homeHub,
      hub: nameOfHub(caller.homeHub) ?? caller.homeHub,
      roles: caller.roles,
      app,
      method,
      ...(tool === undefined ? {} : { tool }),
      ...(risk === undefined ? {} : { risk }),
      arguments: shown({ callId, caller, app, method, tool, risk, ...request } as ConsentRequest),
      askedAtMs,
      expiresAtMs: askedAtMs + timeoutMs,
    };
  }

  /**
   * Tells a caller who wants to hear of progress that its call waits. The values rise towards 0, so that whatever the app
   * itself reports afterwards is more, as MCP demands.
   */
  #reportProgress({ params, notify }: ConsentRequest): Timer {
    const { clock, timeoutMs, name } = this.#options;
    if (!agentFacts((params ?? {}) as Record<string, unknown>).progress) return { cancel() {} };
    const startedMs = clock.monotonicMs();
    let timer: Timer;
    const report = () => {
      const progress = Math.min(-0.001, (clock.monotonicMs() - startedMs) / timeoutMs - 1);
      notify({ method: "notifications/progress", params: { progress, message: `waiting for approval on ${name}` } });
      timer = clock.setTimer(progressEveryMs, report);
    };
    report();
    return { cancel: () => timer.cancel() };
  }

  #stand({ key, approval }: Waiting, decision: "session" | "never", by: string): void {
    const { operator, homeHub, hub, app, method, tool, risk } = approval;
    const answeredAtMs = this.#options.clock.nowMs();
    this.#standing.delete(key);
    // Without room the oldest goes: whoever it was about is asked about again.
    for (const oldest of this.#standing.keys()) {
      if (this.#standing.size < approvalLimits.standing) break;
      this.#standing.delete(oldest);
    }
    this.#standing.set(key, {
      id: newId(),
      decision,
      operator,
      homeHub,
      hub,
      app,
      method,
      ...(tool === undefined ? {} : { tool }),
      ...(risk === undefined ? {} : { risk }),
      by,
      answeredAtMs,
      expiresAtMs: answeredAtMs + standingMs,
    });
  }

  #hasRoom(operator: string, peer: HubId | undefined): boolean {
    const waiting = [...this.#waiting.values()];
    return (
      waiting.length < approvalLimits.pending &&
      waiting.filter(({ approval }) => approval.operator === operator).length < approvalLimits.perOperator &&
      (peer === undefined || waiting.filter((each) => each.peer === peer).length < approvalLimits.perPeer)
    );
  }

  #expire(): void {
    const nowMs = this.#options.clock.nowMs();
    for (const [key, { expiresAtMs }] of this.#standing) if (expiresAtMs <= nowMs) this.#standing.delete(key);
  }

  #changed(): void {
    for (const listener of this.#listeners) listener();
  }
}

/** With the risk: an answer about a tool that could only write is none about one that can do more by now. */
function keyOf({ caller, app, method, tool, risk }: ConsentRequest): string {
  return JSON.stringify([caller.homeHub, caller.operator, app, method, tool ?? null, risk ?? null]);
}

function newId(): string {
  return encodeBase32(randomBytes(5));
}

function denied(name: string): HubError {
  return new HubError({
    code: "CONSENT_DENIED",
    message: `The operator of ${name} does not allow this call.`,
    hint: `Ask that operator; on ${name}, \`fed approvals\` shows what is refused for good and \`fed approvals forget\` takes it back.`,
  });
}

function timedOut(name: string, timeoutMs: number): HubError {
  return new HubError({
    code: "CONSENT_TIMEOUT",
    message: `The operator of ${name} has not answered within ${timeoutMs / 1000} s, so the call was not run.`,
    hint: `Call again when somebody watches: \`fed approvals watch\` on ${name}.`,
    retryable: true,
  });
}

function unknown(id: string): HubError {
  return new HubError({
    code: "APPROVAL_UNKNOWN",
    message: `Nothing waits or stands under ${id.slice(0, 32)}.`,
    hint: "It may have been answered, cancelled or too late: see `fed approvals`.",
  });
}

function busy(name: string): RouterError {
  return new RouterError({
    code: "BUSY",
    message: `Too many calls wait for approval on ${name}; this one was not started.`,
    hint: "Wait until some are answered and try again.",
    retryable: true,
  });
}
