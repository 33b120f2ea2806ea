/** The hub's sharing policy, persisted before it is used, and asked by the router for list and call alike. */
import { canonicalJson, parseJson, type Store } from "@fed/core";
import type { SharingDecision, SharingPolicy as SharingPort, SharingRequest } from "@fed/router";
import { decide, emptyPolicy, parsePolicy, type ShareOptions, type SharingPolicy, share, unshare } from "@fed/trust";
import type { Scope } from "./operators/operator.js";

const policyKey = ["policy"];
const maxPolicyBytes = 4 * 1024 * 1024;

/** See {@link openPolicyBook}. */
export interface PolicyBook extends SharingPort {
  readonly current: SharingPolicy;
  /** Adds to what is shared: `local`, `cluster`, `role:R`, `principal:P` or `link:L`. @throws {TrustError} */
  share(app: string, target: string, options?: ShareOptions): Promise<void>;
  unshare(app: string, target: string, options?: ShareOptions): Promise<void>;
}

/** Loads the policy kept in `store`; without one nothing is shared. `onChange` follows every change. */
export async function openPolicyBook(store: Store, onChange: () => void): Promise<PolicyBook> {
  const stored = await store.get(policyKey);
  let current = stored ? parsePolicy(parseJson(stored, { maxBytes: maxPolicyBytes })) : emptyPolicy;
  let version = 0;

  /** One change after the other, each made of what the one before has left. */
  let turn: Promise<void> = Promise.resolve();

  function change(edit: (policy: SharingPolicy) => SharingPolicy): Promise<void> {
    const done = turn.then(async () => {
      const next = edit(current);
      await store.set(policyKey, canonicalJson(next));
      current = next;
      version++;
      onChange();
    });
    turn = done.catch(() => {});
    return done;
  }

  return {
    get current() {
      return current;
    },
    share: (app, target, options) => change((policy) => share(policy, app, target, options)),
    unshare: (app, target, options) => change((policy) => unshare(policy, app, target, options)),
    decide: (request) => outsideScope(request) ?? decide(current, request),
    version: () => version,
  };
}

/** The scope an operator's token stands for, here and on other hubs, as the origin assertion carries it. */
export function callScope(scope: Scope): string[] {
  return scope === "ReadOnly" ? ["apps.list", "apps.read"] : ["apps.list", "apps.read", "apps.call"];
}

/** What a request needs in the caller's scope. A listing of tools shows those that may be called. */
function neededScope({ action, tool, risk }: SharingRequest): "apps.list" | "apps.read" | "apps.call" {
  if (action === "list" && tool === undefined) return "apps.list";
  return risk === "read" ? "apps.read" : "apps.call";
}

function outsideScope(request: SharingRequest): SharingDecision | undefined {
  const needed = neededScope(request);
  const { scope } = request.caller;
  if (scope.includes(needed) || (needed === "apps.read" && scope.includes("apps.call"))) return undefined;
  return { allow: false, rule: "scope", reason: `The caller's scope does not include ${needed}.` };
}
