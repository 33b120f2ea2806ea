/** `subscriptions/listen` in front of an app that knows only `resources/subscribe` and tells changes to everybody. */
import type { Notification } from "@fed/router";
import { isObject } from "../mcp/json-rpc.js";
import type { AppRequestOptions } from "./app-connection.js";
import type { RpcPeer } from "./rpc-peer.js";

/** The lists a subscriber may follow, by the notification that tells of a change. */
const lists: Readonly<Record<string, { readonly wanted: string; readonly capability: string }>> = {
  "notifications/tools/list_changed": { wanted: "toolsListChanged", capability: "tools" },
  "notifications/prompts/list_changed": { wanted: "promptsListChanged", capability: "prompts" },
  "notifications/resources/list_changed": { wanted: "resourcesListChanged", capability: "resources" },
};
const maxResources = 1024;

interface Filter {
  readonly lists: ReadonlySet<string>;
  readonly uris: ReadonlySet<string>;
}

interface Subscriber {
  readonly filter: Filter;
  notify(notification: Notification): void;
  end(): void;
}

/** See the module header. */
export class LegacySubscriptions {
  readonly #peer: RpcPeer;
  readonly #capabilities: Readonly<Record<string, unknown>>;
  readonly #subscribers = new Set<Subscriber>();
  /** How many follow each resource. */
  readonly #followed = new Map<string, number>();

  constructor(peer: RpcPeer, capabilities: Readonly<Record<string, unknown>>) {
    this.#peer = peer;
    this.#capabilities = capabilities;
  }

  /** Serves one subscription until its signal aborts or the app ends. `wanted` is the request's `notifications`. */
  async listen(wanted: unknown, { signal, notify }: AppRequestOptions): Promise<unknown> {
    if (signal.aborted) throw signal.reason;
    const filter = this.#honoured(isObject(wanted) ? wanted : {});
    const ended = Promise.withResolvers<void>();
    const subscriber: Subscriber = { filter, notify, end: ended.resolve };
    notify({ method: "notifications/subscriptions/acknowledged", params: { notifications: describe(filter) } });
    if (filter.lists.size + filter.uris.size === 0) return { resultType: "complete" };
    const abort = () => ended.reject(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    this.#subscribers.add(subscriber);
    for (const uri of filter.uris) this.#follow(uri);
    try {
      await ended.promise;
      return { resultType: "complete" };
    } finally {
      signal.removeEventListener("abort", abort);
      this.#subscribers.delete(subscriber);
      for (const uri of filter.uris) this.#unfollow(uri);
    }
  }

  /** Tells whoever follows it. @returns whether this is a notification of that kind. */
  told(method: string, params: Record<string, unknown>): boolean {
    const isUpdate = method === "notifications/resources/updated";
    if (!isUpdate && !Object.hasOwn(lists, method)) return false;
    for (const { filter, notify } of this.#subscribers) {
      if (isUpdate ? filter.uris.has(String(params.uri)) : filter.lists.has(method)) notify({ method, params });
    }
    return true;
  }

  /** Ends every subscription. */
  close(): void {
    for (const { end } of this.#subscribers) end();
  }

  /** What the app can tell of what is wanted. */
  #honoured(wanted: Record<string, unknown>): Filter {
    const can = (capability: string, what: string) => {
      const declared = this.#capabilities[capability];
      return isObject(declared) && declared[what] === true;
    };
    const names = Object.entries(lists).filter(
      ([, list]) => wanted[list.wanted] === true && can(list.capability, "listChanged"),
    );
    const uris = Array.isArray(wanted.resourceSubscriptions) ? wanted.resourceSubscriptions : [];
    const followed = uris.filter((uri): uri is string => typeof uri === "string").slice(0, maxResources);
    return {
      lists: new Set(names.map(([name]) => name)),
      uris: new Set(can("resources", "subscribe") ? followed : []),
    };
  }

  #follow(uri: string): void {
    const count = this.#followed.get(uri) ?? 0;
    this.#followed.set(uri, count + 1);
    if (count === 0) this.#peer.request("resources/subscribe", { uri }).catch(() => {});
  }

  #unfollow(uri: string): void {
    const count = this.#followed.get(uri) ?? 0;
    if (count > 1) return void this.#followed.set(uri, count - 1);
    this.#followed.delete(uri);
    this.#peer.request("resources/unsubscribe", { uri }).catch(() => {});
  }
}

function describe({ lists: names, uris }: Filter): Record<string, unknown> {
  const shown = Object.entries(lists).flatMap(([name, { wanted }]) => (names.has(name) ? [[wanted, true]] : []));
  return { ...Object.fromEntries(shown), ...(uris.size > 0 ? { resourceSubscriptions: [...uris] } : {}) };
}
