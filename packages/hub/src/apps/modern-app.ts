/** An app of MCP revision 2026-07-28: nothing to translate but what belongs to one hop. */
import { CoreError, type Json, LiveMap } from "@fed/core";
import type { Notification } from "@fed/router";
import { HubError } from "../errors.js";
import { hasMembers, isObject, type RequestId, type RpcFailure, rpcCodes } from "../mcp/json-rpc.js";
import { agentFacts, metaKeys, modernParams, modernRevision, withoutMetaKey } from "../mcp/meta.js";
import { answersOnly, isGivenUp } from "../mcp/refusal.js";
import type { AppConnection, AppDescription, AppRequestOptions } from "./app-connection.js";
import { soleOwner } from "./attribution.js";
import type { RpcHandlers, RpcPeer } from "./rpc-peer.js";
import { TaskOwners } from "./task-owners.js";

/** How soon a subscription that an app over HTTP has let go of is taken up again. */
const relistenMs = 2_000;
const listChanges = ["tools", "prompts", "resources"].map((list) => `notifications/${list}/list_changed`);

interface Running {
  readonly principal: string;
  readonly wantsLogs: boolean;
  /** It is a subscription, whose notifications name it. */
  readonly follows: boolean;
  notify(notification: Notification): void;
}

/** See the module header. */
export class ModernApp implements AppConnection, RpcHandlers {
  readonly revision = modernRevision;
  readonly description: AppDescription;
  readonly #peer: RpcPeer;
  readonly #running = new LiveMap<RequestId, Running>();
  readonly #tasks = new TaskOwners();
  readonly #watchers = new Set<(method: string) => void>();
  readonly #end = new AbortController();
  readonly #closed = Promise.withResolvers<void>();

  /** `discovered` is the app's answer to `server/discover`. */
  constructor(peer: RpcPeer, discovered: Record<string, unknown>) {
    this.#peer = peer;
    peer.cancelsByClosing = true;
    const { capabilities } = discovered;
    this.description = { ...discovered, capabilities: isObject(capabilities) ? capabilities : {} };
  }

  get closed(): Promise<void> {
    return this.#closed.promise;
  }

  async request(method: string, asked: Record<string, unknown>, options: AppRequestOptions): Promise<unknown> {
    const params = continued(asked);
    const { principal } = options;
    this.#tasks.assertOwn(method, params, principal);
    const facts = agentFacts(params);
    const id = this.#peer.nextId();
    this.#running.set(id, {
      principal,
      wantsLogs: facts.logLevel !== undefined,
      follows: method === "subscriptions/listen",
      notify: (notification) => options.notify(notification),
    });
    try {
      const { signal, headers } = options;
      const result = await this.#peer.request(method, modernParams(params, facts, id), { id, signal, headers });
      return this.#tasks.shown(method, result, principal);
    } finally {
      this.#running.delete(id);
    }
  }

  watch(listener: (method: string) => void): () => void {
    if (this.#watchers.size === 0) this.#listenToLists();
    this.#watchers.add(listener);
    return () => this.#watchers.delete(listener);
  }

  /** None waits here: what continues a call is in its state. */
  endWaiting(): void {}

  close(): Promise<void> {
    return this.#peer.close();
  }

  asked(id: RequestId, method: string): void {
    this.#peer.refuse(id, { code: rpcCodes.methodNotFound, message: `MCP ${modernRevision} has no ${method}.` });
  }

  told(method: string, params: Record<string, unknown>, related: RequestId | undefined): void {
    if (method === "notifications/progress") {
      const { progressToken, ...rest } = params;
      this.#running.get(progressToken as RequestId)?.notify({ method, params: rest });
      return;
    }
    const subscription = isObject(params._meta) ? params._meta[metaKeys.subscriptionId] : undefined;
    const named = subscription ?? related;
    const call = named === undefined ? this.#soleOwner(method, params) : this.#running.get(named as RequestId);
    if (!call || this.#tasks.isOthers(params, call.principal)) return;
    call.notify({
      method,
      params: subscription === undefined ? params : withoutMetaKey(params, metaKeys.subscriptionId),
    });
  }

  ended(): void {
    this.#end.abort();
    this.#closed.resolve();
  }

  #soleOwner(method: string, params: Record<string, unknown>): Running | undefined {
    const calls = [...this.#running.values()].filter(
      ({ follows, principal }) => !follows && this.#tasks.concerns(params, principal),
    );
    return soleOwner(calls, ({ wantsLogs }) => wantsLogs || method !== "notifications/message");
  }

  /** The hub's own subscription, as long as the app lives. An app that cannot say so simply tells nothing. */
  #listenToLists(): void {
    const wanted = { toolsListChanged: true, promptsListChanged: true, resourcesListChanged: true };
    let heard = false;
    const options: AppRequestOptions = {
      principal: "",
      signal: this.#end.signal,
      notify: ({ method, params }) => {
        if (method !== "notifications/subscriptions/acknowledged") {
          for (const listener of this.#watchers) listener(method);
        } else heard = hasMembers((params as { notifications?: unknown } | undefined)?.notifications);
      },
    };
    const again = () => {
      if (!heard || this.#end.signal.aborted) return;
      // What changed while nobody listened is not told any more: the lists are read anew.
      setTimeout(() => {
        if (this.#end.signal.aborted) return;
        this.#listenToLists();
        for (const listener of this.#watchers) for (const method of listChanges) listener(method);
      }, relistenMs).unref();
    };
    this.request("subscriptions/listen", { notifications: wanted }, options).then(again, again);
  }
}

/** The params of a request that goes on with the agent's answers; this app waits for none of them. */
function continued(params: Record<string, unknown>): Record<string, unknown> {
  if (isGivenUp(params)) throw new CoreError({ code: "ABORTED", message: "The agent has given up the call." });
  if (!isObject(params.inputResponses)) return params;
  const { answers, refusal } = answersOnly(params.inputResponses);
  if (refusal) throw refused(refusal);
  return { ...params, inputResponses: answers };
}

/** The agent's own error, which it hears again: the call needs what it refuses. */
function refused({ code, message, data }: RpcFailure): HubError {
  return new HubError({
    code: "TOOL_FAILED",
    message: `The agent refused what the app asked: ${message}`,
    details: { rpc: { code, message, data: data as Json } },
  });
}
