/** The hub's sharing policy, persisted before it is used, and asked by the router for list and call alike. */
import { canonicalJson, parseJson, type Store } from "@fed/core";
import type { Caller, SharingDecision, SharingPolicy as SharingPort, SharingRequest } from "@fed/router";
import { decide, emptyPolicy, parsePolicy, type ShareOptions, type SharingPolicy, share, unshare } from "@fed/trust";

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

  /** One change after the other, each made of what the one before has left. */
  let turn: Promise<void> = Promise.resolve();

  function change(edit: (policy: SharingPolicy) => SharingPolicy): Promise<void> {
    const done = turn.then(async () => {
      const next = edit(current);
      await store.set(policyKey, canonicalJson(next));
      current = next;
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
  };
}

/** What each action needs in the caller's scope, which the origin assertion carries. */
const neededScope: Readonly<Record<SharingRequest["action"], string>> = { list: "apps.list", call: "apps.call" };

/** The scope an operator's token stands for on other hubs. */
export function callScope(canCall: boolean): string[] {
  return canCall ? ["apps.list", "apps.call"] : ["apps.list"];
}

function outsideScope({
  action,
  caller,
}: {
  readonly action: SharingRequest["action"];
  readonly caller: Caller;
}): SharingDecision | undefined {
  const needed = neededScope[action];
  if (caller.scope.includes(needed)) return undefined;
  return { allow: false, rule: "scope", reason: `The caller's scope does not include ${needed}.` };
}
