/**
 * What the owner of an app sets for its tools besides who may use them: their risk, whether to ask before they run, and
 * which fields of their results are secret. A document of the form
 * `{"version": 1, "apps": {"notes": {"*": {"write": "ask"}, "delete*": {"risk": "execute"}}}}`.
 */
import { isAppName } from "@fed/core";
import type { Risk } from "@fed/router";
import { z } from "zod";
import { HubError } from "../errors.js";
import { risks } from "./risk.js";

/** Whether the operator is asked before a call. */
export type Asking = "ask" | "allow";

/** What holds for some tools of an app. */
export interface ToolRule {
  /** In the place of what the app itself says. */
  readonly risk?: Risk | undefined;
  /** Before a tool of risk `write` runs; default `allow`. */
  readonly write?: Asking | undefined;
  /** Before a tool of risk `execute` runs; default `allow`. */
  readonly execute?: Asking | undefined;
  /** Fields of results that never leave the hub: names joined by dots, `*` for any; lists are passed through. */
  readonly redact?: readonly string[] | undefined;
}

/** The whole document. Tools are named exactly or with one trailing `*`; `*` is the whole app. */
export interface ToolRules {
  readonly version: 1;
  readonly apps: { readonly [app: string]: { readonly [tools: string]: ToolRule } };
}

/** A change of one rule: what is absent stays, what is null is taken back. */
export type ToolRuleChange = { readonly [Key in keyof ToolRule]?: ToolRule[Key] | null };

const maxApps = 256;
const maxRules = 256;
const asking = z.enum(["ask", "allow"]);
const path = z.string().regex(/^[^.]{1,128}(?:\.[^.]{1,128}){0,15}$/);
const rule = z.strictObject({
  risk: z.enum(risks).optional(),
  write: asking.optional(),
  execute: asking.optional(),
  redact: z.array(path).min(1).max(64).optional(),
});
/** z.record passes over an own `__proto__` without a word, and a rule must not be lost. */
const pattern = z.string().regex(/^(?!__proto__$)(?=.)[\x21-\x29\x2b-\x7e]{0,128}\*?$/);
const appRules = z
  .record(pattern, rule)
  .refine((rules) => Object.keys(rules).length <= maxRules, { error: `at most ${maxRules} rules` });
const document = z.strictObject({
  version: z.literal(1),
  apps: z
    .record(z.string().refine(isAppName), appRules)
    .refine((apps) => Object.keys(apps).length <= maxApps, { error: `at most ${maxApps} apps` }),
});

/** Rules that change nothing. */
export const noToolRules: ToolRules = Object.freeze({ version: 1, apps: Object.freeze({}) });

/** @throws {HubError} REQUEST_INVALID naming the first place that is wrong. */
export function parseToolRules(json: unknown): ToolRules {
  const parsed = document.safeParse(json);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new HubError({
    code: "REQUEST_INVALID",
    message: `Not a rule for tools: ${issue?.path.map(String).join(".")}: ${issue?.message ?? "malformed"}.`,
    hint: 'For example {"apps": {"notes": {"delete*": {"risk": "execute", "execute": "ask"}}}}.',
  });
}

/** `rules` with a change of the rule for `tools` of `app`. @throws {HubError} REQUEST_INVALID. */
export function changeToolRule(rules: ToolRules, app: string, tools: string, change: ToolRuleChange): ToolRules {
  if (!pattern.safeParse(tools).success) {
    throw new HubError({
      code: "REQUEST_INVALID",
      message: "Not a tool's name.",
      hint: "Name it exactly or with one trailing *; * is every tool of the app.",
    });
  }
  const own = Object.hasOwn(rules.apps, app) ? rules.apps[app]! : {};
  const before = Object.hasOwn(own, tools) ? own[tools]! : {};
  const after = Object.entries({ ...before, ...defined(change) }).filter(([, value]) => value !== null);
  const { [tools]: _changed, ...others } = own;
  const changed = after.length > 0 ? { ...others, [tools]: Object.fromEntries(after) } : others;
  const { [app]: _app, ...apps } = rules.apps;
  return parseToolRules({
    version: 1,
    apps: Object.keys(changed).length > 0 ? { ...apps, [app]: changed } : apps,
  });
}

function defined(change: ToolRuleChange): object {
  return Object.fromEntries(Object.entries(change).filter(([, value]) => value !== undefined));
}

/**
 * What holds for one tool, or for a request of no tool: of each setting the one with the longest name that matches, of
 * `redact` all of them. Undefined when there is no rule for the app.
 */
export function ruleFor({ apps }: ToolRules, app: string, tool: string | undefined): ToolRule | undefined {
  const own = Object.hasOwn(apps, app) ? apps[app] : undefined;
  if (!own) return undefined;
  const matching = Object.keys(own)
    .filter((name) => matches(name, tool))
    // An exact name is more than the same name with a `*` behind it.
    .sort((a, b) => weight(a) - weight(b))
    .map((name) => own[name]!);
  const redact = matching.flatMap((each) => each.redact ?? []);
  return Object.assign({}, ...matching, redact.length > 0 ? { redact } : {}) as ToolRule;
}

function matches(name: string, tool: string | undefined): boolean {
  if (!name.endsWith("*")) return name === tool;
  return tool === undefined ? name === "*" : tool.startsWith(name.slice(0, -1));
}

function weight(name: string): number {
  return name.endsWith("*") ? name.length - 1 : 1000;
}
