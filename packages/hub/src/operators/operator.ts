/** Operators of this hub: on whose authority agents act, and what a token lets its bearer do. */
import { HubError } from "../errors.js";
import type { Allowed } from "./allow.js";

/** What a token lets its bearer do; each contains the one before. */
export const scopes = ["ReadOnly", "ReadWrite", "Admin"] as const;
export type Scope = (typeof scopes)[number];

/** Somebody on whose authority an agent acts. */
export interface Operator {
  /** `<name>@<hubId>`. */
  readonly principal: string;
  readonly roles: readonly string[];
  readonly scope: Scope;
  /** The id of the token that was shown; absent for callers in this process and the token of this run. */
  readonly token?: string;
  /** When the token ends, if it does by itself. */
  readonly expiresAtMs?: number;
  /** All that may be used; absent: whatever scope and sharing allow. */
  readonly allow?: readonly Allowed[];
}

/** Whether `scope` contains `other`. */
export function contains(scope: Scope, other: Scope): boolean {
  return scopes.indexOf(scope) >= scopes.indexOf(other);
}

/** @throws {HubError} SCOPE_MISSING when `operator` may not do what `scope` allows. */
export function requireScope(operator: Operator, scope: Scope): void {
  if (contains(operator.scope, scope)) return;
  throw new HubError({
    code: "SCOPE_MISSING",
    message: `This needs the scope ${scope}; the token has ${operator.scope}.`,
    hint: "Use a token with more scope.",
    details: { scope },
  });
}

/** @throws {HubError} APP_NOT_ALLOWED for a token that is for some apps only, where what is shown is of all. */
export function requireWhole(operator: Operator): void {
  if (!operator.allow) return;
  throw new HubError({
    code: "APP_NOT_ALLOWED",
    message: "The token is for some apps only, and this shows what is of all.",
    hint: "Use a token that is not narrowed.",
  });
}
