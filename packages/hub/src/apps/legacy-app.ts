/**
 * An app of MCP up to revision 2025-11-25, spoken to in the terms of 2026-07-28. What it asks of the agent in the middle of a
 * call (elicitation, sampling, roots) ends that call's request with `input_required`, while the app goes on waiting; the
 * agent's answers come with the next request and the call goes on.
 */
import { type Clock, CoreError, type FedError, LiveMap } from "@fed/core";
import { HubError } from "../errors.js";
import { canAnswer } from "../mcp/input-capability.js";
import { isObject, type RequestId, type RpcFailure, rpcCodes } from "../mcp/json-rpc.js";
import { isLogLevel, reaches } from "../mcp/log-level.js";
import { agentFacts, legacyParams } from "../mcp/meta.js";
import { complete } from "../mcp/modern-result.js";
import { isGivenUp, refusalIn } from "../mcp/refusal.js";
import type { AppConnection, AppDescription, AppRequestOptions } from "./app-connection.js";
import { areSeveral, soleOwner } from "./attribution.js";
import { type Ask, HeldCall } from "./held-call.js";
import { LegacySubscriptions } from "./legacy-subscriptions.js";
import type { RpcHandlers, RpcPeer } from "./rpc-peer.js";
import { TaskOwners } from "./task-owners.js";

/** Calls that may wait for an agent's answers. */
const maxHeld = 256;

/** What an app hears of a question that has no answer; the code is the one that MCP shows for a user's refusal. */
const unanswered: RpcFailure = { code: -1, message: "The agent did not answer." };
const callEnded: RpcFailure = { code: -1, message: "The call that it was asked for has ended." };

/** See the module header. */
export class LegacyApp implements AppConnection, RpcHandlers {
  readonly revision: string;
  readonly description: AppDescription;
  readonly #peer: RpcPeer;
  readonly #clock: Clock;
  readonly #running = new LiveMap<RequestId, HeldCall>();
  readonly #held = new Map<string, HeldCall>();
  readonly #subscriptions: LegacySubscriptions;
  readonly #tasks = new TaskOwners();
  readonly #watchers = new Set<(method: string) => void>();
  readonly #closed = Promise.withResolvers<void>();
  #logLevel: string | undefined;

  /** `initialized` is the app's answer to `initialize`. */
  constructor(peer: RpcPeer, initialized: Record<string, unknown>, clock: Clock) {
    const { protocolVersion, capabilities, instructions, serverInfo } = initialized;
    this.#peer = peer;
    this.#clock = clock;
    this.revision = String(protocolVersion);
    this.description = {
      capabilities: isObject(capabilities) ? capabilities : {},
      ...(typeof instructions === "string" ? { instructions } : {}),
      _meta: { "io.modelcontextprotocol/serverInfo": serverInfo },
    };
    this.#subscriptions = new LegacySubscriptions(peer, this.description.capabilities);
  }

  get closed(): Promise<void> {
    return this.#closed.promise;
  }

  async request(method: string, params: Record<string, unknown>, options: AppRequestOptions): Promise<unknown> {
    if (method === "subscriptions/listen") return this.#subscriptions.listen(params.notifications, options);
    if (typeof params.requestState === "string") return this.#resume(params.requestState, params, options);
    const { principal } = options;
    this.#tasks.assertOwn(method, params, principal);
    const facts = agentFacts(params);
    await this.#raiseLogLevel(facts.logLevel);
    const id = this.#peer.nextId();
    const call = new HeldCall(principal, facts, this.#clock);
    call.outcome = this.#peer
      .request(method, legacyParams(params, facts, id), { id, signal: call.cancelled })
      .then((result) => complete(method, this.#tasks.shown(method, result, principal) as Record<string, unknown>))
      .finally(() => this.#end(id, call));
    this.#running.set(id, call);
    return this.#next(call, options);
  }

  watch(listener: (method: string) => void): () => void {
    this.#watchers.add(listener);
    return () => this.#watchers.delete(listener);
  }

  endWaiting(concerns: (principal: string) => boolean, error: FedError): void {
    for (const [state, call] of this.#held) {
      if (!concerns(call.principal)) continue;
      this.#held.delete(state);
      call.end(error);
    }
  }

  close(): Promise<void> {
    return this.#peer.close();
  }

  asked(id: RequestId, method: string, params: Record<string, unknown>, related: RequestId | undefined): void {
    const calls = this.#meant(params, related);
    const call = soleOwner(calls, ({ facts }) => canAnswer(facts.capabilities, method, params));
    if (!call || this.#held.size >= maxHeld) {
      const severalAre = areSeveral(calls) && "calls of several operators are under way";
      const message = `${method} cannot be passed on: ${severalAre || "no agent that calls can answer it"}.`;
      this.#peer.refuse(id, { code: rpcCodes.methodNotFound, message });
      return;
    }
    call.ask(id, method, params);
  }

  told(method: string, params: Record<string, unknown>, related: RequestId | undefined): void {
    if (method === "notifications/progress") {
      const { progressToken, ...rest } = params;
      this.#running.get(progressToken as RequestId)?.notify({ method, params: rest });
    } else if (method === "notifications/cancelled") {
      for (const call of this.#running.values()) call.withdraw(params.requestId);
    } else if (!this.#subscriptions.told(method, params)) {
      this.#ownerOf(method, params, related)?.notify({ method, params });
    }
    if (method.endsWith("/list_changed")) for (const listener of this.#watchers) listener(method);
  }

  ended(): void {
    for (const call of this.#held.values()) call.release();
    this.#held.clear();
    this.#subscriptions.close();
    this.#closed.resolve();
  }

  #ownerOf(method: string, params: Record<string, unknown>, related: RequestId | undefined): HeldCall | undefined {
    const isLog = method === "notifications/message";
    return soleOwner(this.#meant(params, related), ({ facts }) => !isLog || reaches(params.level, facts.logLevel));
  }

  /** The calls under way that the app may mean. */
  #meant(params: Record<string, unknown>, related: RequestId | undefined): HeldCall[] {
    const calls = related === undefined ? [...this.#running.values()] : [this.#running.get(related)];
    return calls.filter((call) => call !== undefined && this.#tasks.concerns(params, call.principal)) as HeldCall[];
  }

  async #resume(state: string, params: Record<string, unknown>, options: AppRequestOptions): Promise<unknown> {
    const call = this.#held.get(state);
    if (!call || call.principal !== options.principal) {
      throw new HubError({
        code: "INPUT_STATE_INVALID",
        message: "No call waits for this input any more.",
        hint: "Begin the call anew.",
      });
    }
    this.#held.delete(state);
    if (isGivenUp(params)) {
      const error = new CoreError({ code: "ABORTED", message: "The agent has given up the call." });
      call.end(error);
      throw error;
    }
    for (const [ask, answer] of call.answers(isObject(params.inputResponses) ? params.inputResponses : {})) {
      this.#answer(ask, answer);
    }
    return this.#next(call, options);
  }

  /** To an agent of the later era silence is the only refusal of most questions; a form is cancelled by it. */
  #answer({ id, request }: Ask, answer: unknown): void {
    const refusal = answer === undefined ? unanswered : refusalIn(answer);
    if (answer === undefined && request.method === "elicitation/create") this.#peer.answer(id, { action: "cancel" });
    else if (refusal) this.#peer.refuse(id, refusal);
    else this.#peer.answer(id, answer);
  }

  /** The call is over, however it ended: nobody will answer what the app still asks for it. */
  #end(id: RequestId, call: HeldCall): void {
    this.#running.delete(id);
    for (const asked of call.withdrawAll()) this.#peer.refuse(asked, callEnded);
  }

  /** The call's result, or what the app wants to know before. */
  async #next(call: HeldCall, options: AppRequestOptions): Promise<unknown> {
    const inputRequests = await call.next(options);
    if (!inputRequests) return call.outcome;
    this.#held.set(call.state, call);
    call.expire(() => this.#held.delete(call.state));
    return { resultType: "input_required", inputRequests, requestState: call.state };
  }

  /** The app has one level for all; each call then hears what it asked for. */
  async #raiseLogLevel(wanted: string | undefined): Promise<void> {
    if (!isLogLevel(wanted) || !this.description.capabilities.logging || reaches(wanted, this.#logLevel)) return;
    this.#logLevel = wanted;
    await this.#peer.request("logging/setLevel", { level: wanted }).catch(() => {});
  }
}
