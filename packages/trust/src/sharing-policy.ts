/**
 * The sharing policy of one hub: which of its apps callers from elsewhere may list and call, decided by the hub that owns
 * the app. Default deny; a deny rule wins; the order of rules never matters; what a request does not say counts against it.
 */
import { type HubId, isAppName, isRoleName } from "@fed/core";
import * as z from "zod";
import { isHubId } from "./cluster-name.js";
import { TrustError } from "./errors.js";
import { parsePrincipal } from "./principal.js";

/** What a tool can do to the world, as the owning hub rates it. */
export type Risk = "read" | "write" | "execute";

/**
 * Matches a caller and what it asks for when every condition that is present holds; a condition holds when one of its
 * entries does. Lists have 1 to 64 entries.
 */
export interface Rule {
  /** Names the rule in decisions; otherwise its position does. */
  readonly id?: string;
  /** Roles the operator's home hub gives it. */
  readonly roles?: readonly string[];
  /** Operators, `<name>@<hubId>`. */
  readonly principals?: readonly string[];
  /** Links the call came over. An allow rule without this condition never matches a caller from another cluster. */
  readonly links?: readonly string[];
  /** Home hubs of remote callers; `*` is any. Never holds for the hub's own operators. */
  readonly hubs?: readonly string[];
  /** Tool names, exact or with one trailing `*`. */
  readonly tools?: readonly string[];
  readonly risk?: readonly Risk[];
}

/** How one app is shared. */
export interface AppPolicy {
  /**
   * `LocalOnly`: the hub's own operators. `Cluster`: also every member's; short for the one rule `{"hubs": ["*"]}`.
   * Rules: also whom one of them matches; each names at least one of roles, principals, links, hubs.
   */
  readonly share: "LocalOnly" | "Cluster" | readonly Rule[];
  /** Refuses whom one of them matches, the hub's own operators too. Each has at least one condition. */
  readonly deny?: readonly Rule[];
}

/** The whole document. An app that is not in it is `LocalOnly`. At most 256 apps and 64 rules in a list. */
export interface SharingPolicy {
  readonly version: 1;
  readonly apps: { readonly [app: string]: AppPolicy };
}

/** Who asks, as the envelope or the local session proved it. */
export interface PolicyCaller {
  /** `<name>@<hubId>`. */
  readonly operator: string;
  readonly homeHub: HubId;
  readonly roles: readonly string[];
  /** True only for the deciding hub's own operators on its own surface. */
  readonly local: boolean;
  /** The link the call came over, when it came from another cluster. */
  readonly link?: string | undefined;
}

/** What is asked. */
export interface PolicyRequest {
  /** `list` without a tool asks whether to show the app; with a tool it asks the same as `call`. */
  readonly action: "list" | "call";
  readonly app: string;
  /** Absent in a call that is of no tool (a resource, a prompt): it then meets no allow rule with `tools` and every deny rule. */
  readonly tool?: string | undefined;
  /** Absent when unknown: it then meets no allow rule with `risk` and every deny rule. */
  readonly risk?: Risk | undefined;
  readonly caller: PolicyCaller;
}

/** The answer and its ground. */
export interface Decision {
  readonly allow: boolean;
  /** What made it: `local`, `default-deny`, `evaluation-error`, `<app>: local-only | cluster | allow[n] | deny[n]`; `n` is the rule's id or position. */
  readonly rule: string;
  /** One sentence for people. */
  readonly reason: string;
}

const maxApps = 256;
const maxEntries = 64;
const word = z.string().refine(isRoleName);
const entries = <T extends z.ZodType>(entry: T) => z.array(entry).min(1).max(maxEntries);
const hubId = z.string().refine(isHubId);
const toolPattern = z.string().regex(/^(?=.)[\x21-\x29\x2b-\x7e]{0,128}\*?$/);

const rule = z
  .strictObject({
    id: word.optional(),
    roles: entries(word).optional(),
    principals: entries(z.string().refine(isPrincipal)).optional(),
    links: entries(word).optional(),
    hubs: entries(z.union([z.literal("*"), hubId])).optional(),
    tools: entries(toolPattern).optional(),
    risk: entries(z.enum(["read", "write", "execute"])).optional(),
  })
  .refine((value) => Object.keys(value).some((key) => key !== "id"), { error: "a rule needs a condition" });

const allowRule = rule.refine((value) => value.roles || value.principals || value.links || value.hubs, {
  error: "a sharing rule must name roles, principals, links or hubs",
});

const apps = z
  .record(
    z.string().refine(isAppName),
    z.strictObject({
      share: z.union([z.literal("LocalOnly"), z.literal("Cluster"), entries(allowRule)]),
      deny: entries(rule).optional(),
    }),
  )
  .refine((apps) => Object.keys(apps).length <= maxApps, { error: `at most ${maxApps} apps` });

const policySchema = z.strictObject({
  version: z.literal(1),
  // z.record passes over an own `__proto__` without a word.
  apps: z.custom((value) => !Object.hasOwn(Object(value), "__proto__"), { error: "not an app's name" }).pipe(apps),
});

/** A policy that shares nothing. */
export const emptyPolicy: SharingPolicy = Object.freeze({ version: 1, apps: Object.freeze({}) });

/**
 * The policy that `json` (a parsed JSON value) spells; nothing unknown is passed over.
 * @throws {TrustError} POLICY_MALFORMED, naming the first place that is wrong.
 */
export function parsePolicy(json: unknown): SharingPolicy {
  const result = policySchema.safeParse(json);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const place = issue?.path.length ? issue.path.map(String).join(".") : "the document";
  throw new TrustError({
    code: "POLICY_MALFORMED",
    message: `Not a sharing policy: ${place}: ${issue?.message ?? "malformed"}.`,
    hint: 'A policy is {"version": 1, "apps": {"<app>": {"share": "LocalOnly" | "Cluster" | [rules], "deny": [rules]}}}.',
  });
}

/** The one decision, for list and call alike. Pure and total: what cannot be evaluated is denied. */
export function decide(policy: SharingPolicy, request: PolicyRequest): Decision {
  try {
    if (isRequest(request)) {
      const whole = request.action === "list" && request.tool === undefined;
      return whole ? decideListing(policy, request) : decideCall(policy, request);
    }
  } catch {
    // Denied below.
  }
  return {
    allow: false,
    rule: "evaluation-error",
    reason: "The policy or the request is not well formed, so nothing can be decided.",
  };
}

/** The rules that `share` stands for. */
export function rulesOf(share: AppPolicy["share"]): readonly Rule[] {
  if (share === "LocalOnly") return [];
  return share === "Cluster" ? [everyMember] : share;
}

/** The rule that `Cluster` is short for. */
export const everyMember: Rule = Object.freeze({ hubs: Object.freeze(["*"]) });

function decideCall(policy: SharingPolicy, request: PolicyRequest): Decision {
  const { app, caller } = request;
  const own = Object.hasOwn(policy.apps, app) ? policy.apps[app] : undefined;
  const deny = own?.deny ?? [];
  const denied = deny.findIndex((rule) => matches(rule, request, "deny"));
  if (denied >= 0) {
    return { allow: false, rule: `${app}: deny[${deny[denied]!.id ?? denied}]`, reason: "A deny rule matches." };
  }
  if (isLocal(caller)) return { allow: true, rule: "local", reason: "The caller is an operator of this hub." };
  if (!own) return { allow: false, rule: "default-deny", reason: "The app is not shared." };
  const { share } = own;
  if (share === "LocalOnly") {
    return { allow: false, rule: `${app}: local-only`, reason: "The app is for this hub's own operators." };
  }
  const rules = rulesOf(share);
  const allowed = rules.findIndex((rule) => matches(rule, request, "allow"));
  if (allowed < 0) return { allow: false, rule: "default-deny", reason: "No sharing rule of the app matches." };
  if (share === "Cluster") {
    return { allow: true, rule: `${app}: cluster`, reason: "The app is shared with every member." };
  }
  return { allow: true, rule: `${app}: allow[${rules[allowed]!.id ?? allowed}]`, reason: "A sharing rule matches." };
}

/**
 * An app is shown if and only if some call of it would be allowed. Tool names are endless but patterns are few, so it is
 * enough to try, for each pattern of a sharing rule, the one name it allows that the fewest deny rules match.
 */
function decideListing(policy: SharingPolicy, request: PolicyRequest): Decision {
  const own = Object.hasOwn(policy.apps, request.app) ? policy.apps[request.app] : undefined;
  const patterns = new Set(["*", ...(own ? rulesOf(own.share).flatMap((rule) => rule.tools ?? []) : [])]);
  let first: Decision | undefined;
  for (const pattern of patterns) {
    // No pattern can contain NUL, so the name matches `pattern` and only those that are more general.
    const tool = pattern.endsWith("*") ? `${pattern.slice(0, -1)}\0` : pattern;
    for (const risk of request.risk ? [request.risk] : (["read", "write", "execute"] as const)) {
      const decision = decideCall(policy, { ...request, tool, risk });
      if (decision.allow) return decision;
      first ??= decision;
    }
  }
  return first!;
}

function matches(rule: Rule, request: PolicyRequest, effect: "allow" | "deny"): boolean {
  const { caller, tool, risk } = request;
  const unsaid = effect === "deny";
  if (effect === "allow" && caller.link !== undefined && !rule.links) return false;
  return (
    holds(rule.roles, (role) => caller.roles.includes(role)) &&
    holds(rule.principals, (principal) => principal === caller.operator) &&
    holds(rule.links, (link) => link === caller.link) &&
    holds(rule.hubs, (hub) => !isLocal(caller) && (hub === "*" || hub === caller.homeHub)) &&
    holds(rule.tools, (pattern) => (tool === undefined ? unsaid : matchesTool(pattern, tool))) &&
    holds(rule.risk, (level) => (risk === undefined ? unsaid : level === risk))
  );
}

function holds<T>(condition: readonly T[] | undefined, test: (entry: T) => boolean): boolean {
  return condition === undefined || condition.some(test);
}

function matchesTool(pattern: string, tool: string): boolean {
  return pattern.endsWith("*") ? tool.startsWith(pattern.slice(0, -1)) : tool === pattern;
}

/** Strict on purpose: anything but a plain `true` without a link is a caller from elsewhere. */
function isLocal(caller: PolicyCaller): boolean {
  return caller.local === true && caller.link === undefined;
}

function isPrincipal(text: string): boolean {
  try {
    parsePrincipal(text);
    return true;
  } catch {
    return false;
  }
}

/** Types are no proof at run time, and a value of another type could slip past a deny rule. */
function isRequest({ action, app, tool, risk, caller }: PolicyRequest): boolean {
  return (
    (action === "list" || action === "call") &&
    typeof app === "string" &&
    (tool === undefined || typeof tool === "string") &&
    (risk === undefined || risk === "read" || risk === "write" || risk === "execute") &&
    typeof caller.operator === "string" &&
    typeof caller.homeHub === "string" &&
    Array.isArray(caller.roles) &&
    (caller.link === undefined || typeof caller.link === "string")
  );
}
