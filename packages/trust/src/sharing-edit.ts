/** Edits a sharing policy the way an operator speaks: share this app with those, and take it back. */
import { canonicalJson, decodeUtf8 } from "@fed/core";
import { TrustError } from "./errors.js";
import { type AppPolicy, everyMember, parsePolicy, type Rule, rulesOf, type SharingPolicy } from "./sharing-policy.js";

/** Options of {@link share} and {@link unshare}. */
export interface ShareOptions {
  /** Only this tool: a name, exact or with one trailing `*`. */
  readonly tool?: string | undefined;
}

type Who = "roles" | "principals" | "links" | "hubs";

/**
 * A policy that also shares `app` with `target`: `cluster`, `role:R`, `principal:P` or `link:L`. `local` instead takes
 * everything back that was shared. A deny rule that {@link unshare} made for exactly this is removed; others stay.
 * @throws {TrustError} SHARE_TARGET_MALFORMED; POLICY_MALFORMED when a name is not of its form or a limit is met.
 */
export function share(policy: SharingPolicy, app: string, target: string, options: ShareOptions = {}): SharingPolicy {
  const { allow, deny } = listsOf(policy, app);
  if (target === "local") {
    if (options.tool !== undefined) throw malformedTarget();
    return withApp(policy, app, [], deny);
  }
  const grant = grantTo(target, options);
  return withApp(
    policy,
    app,
    allow.some((rule) => sameRule(rule, grant)) ? allow : [...allow, grant],
    deny.filter((rule) => !sameRule(rule, grant)),
  );
}

/**
 * A policy in which no sharing rule of `app` names `target` any more; what others were given stays. With a tool it removes
 * the rule that shared exactly that, and where there is none it adds a deny rule, which holds whatever else is shared.
 * @throws {TrustError} SHARE_TARGET_MALFORMED, also for `local`, which cannot be taken back; POLICY_MALFORMED.
 */
export function unshare(policy: SharingPolicy, app: string, target: string, options: ShareOptions = {}): SharingPolicy {
  const grant = grantTo(target, options);
  const { allow, deny } = listsOf(policy, app);
  if (options.tool === undefined) {
    return withApp(
      policy,
      app,
      allow.flatMap((rule) => without(rule, grant)),
      deny,
    );
  }
  const rest = allow.filter((rule) => !sameRule(rule, grant));
  const refused = rest.length < allow.length || deny.some((rule) => sameRule(rule, grant));
  return withApp(policy, app, rest, refused ? deny : [...deny, grant]);
}

function grantTo(target: string, { tool }: ShareOptions): Rule {
  const tools = tool === undefined ? {} : { tools: [tool] };
  if (target === "cluster") return { ...everyMember, ...tools };
  const [, kind, name] = /^(role|principal|link):(.+)$/.exec(target) ?? [];
  if (!kind || !name) throw malformedTarget();
  return { [`${kind}s`]: [name], ...tools };
}

/** `rule` without the one caller that `grant` names, or nothing when nobody is left in that condition. */
function without(rule: Rule, grant: Rule): Rule[] {
  const who = Object.keys(grant)[0] as Who;
  const name = grant[who]![0]!;
  const named = rule[who];
  if (!named?.includes(name)) return [rule];
  // `cluster` is everybody at once; a rule that asks for more than membership is somebody else's.
  if (who === "hubs" && (rule.roles || rule.principals || rule.links)) return [rule];
  const rest = named.filter((entry) => entry !== name);
  return rest.length > 0 ? [{ ...rule, [who]: rest }] : [];
}

function listsOf(policy: SharingPolicy, app: string): { allow: readonly Rule[]; deny: readonly Rule[] } {
  const own: AppPolicy = (Object.hasOwn(policy.apps, app) ? policy.apps[app] : undefined) ?? { share: "LocalOnly" };
  return { allow: rulesOf(own.share), deny: own.deny ?? [] };
}

function withApp(policy: SharingPolicy, app: string, allow: readonly Rule[], deny: readonly Rule[]): SharingPolicy {
  const [only, ...others] = allow;
  let shared: AppPolicy["share"] = allow;
  if (!only) shared = "LocalOnly";
  else if (others.length === 0 && sameRule(only, everyMember)) shared = "Cluster";
  const own = { share: shared, ...(deny.length > 0 && { deny }) };
  return parsePolicy({ ...policy, apps: { ...policy.apps, [app]: own } });
}

/** Whether two rules say the same; their ids do not count. */
function sameRule(a: Rule, b: Rule): boolean {
  return textOf(a) === textOf(b);
}

function textOf(rule: Rule): string {
  return decodeUtf8(canonicalJson({ ...rule, id: undefined }));
}

function malformedTarget(): TrustError {
  return new TrustError({
    code: "SHARE_TARGET_MALFORMED",
    message: "Not somebody an app can be shared with.",
    hint: "Name cluster, role:<role>, principal:<name>@<hubId> or link:<link>; local without a tool stops all sharing.",
  });
}
