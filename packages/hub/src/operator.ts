/** Operators of this hub and the bearer tokens their agents carry. Only SHA-256 of a token's secret is stored. */
import { canonicalJson, encodeBase32, encodeUtf8, parseJson, randomBytes, type Store } from "@fed/core";
import { formatPrincipal, sha256 } from "@fed/trust";
import { HubError } from "./errors.js";

/** What a token lets its bearer do; each contains the one before. */
export type Scope = "ReadOnly" | "ReadWrite" | "Admin";

/** Somebody on whose authority an agent acts. */
export interface Operator {
  /** `<name>@<hubId>`. */
  readonly principal: string;
  readonly roles: readonly string[];
  readonly scope: Scope;
}

const rank: Readonly<Record<Scope, number>> = { ReadOnly: 0, ReadWrite: 1, Admin: 2 };

/** @throws {HubError} SCOPE_MISSING when `operator` may not do what `scope` allows. */
export function requireScope(operator: Operator, scope: Scope): void {
  if (rank[operator.scope] < rank[scope]) {
    throw new HubError({
      code: "SCOPE_MISSING",
      message: `This needs the scope ${scope}; the token has ${operator.scope}.`,
      hint: "Use a token with more scope.",
    });
  }
}

/** Issues and recognises operator tokens. */
export interface OperatorTokens {
  /** A new token, `fedop1.<id>.<secret>`; shown once. */
  issue(options: { readonly name: string; readonly roles?: readonly string[]; readonly scope: Scope }): Promise<string>;
  /** A new Admin token that is good until this process ends and is written nowhere. */
  issueForThisRun(name: string): string;
  /** @throws {HubError} UNAUTHENTICATED unless `token` is one of ours. */
  authenticate(token: string): Promise<Operator>;
}

/** Tokens kept in `store` under `operator/`. */
export function createOperatorTokens(store: Store, hubId: string): OperatorTokens {
  // Reading the store once per call would be the slowest step of a local call; a token never changes once issued.
  const known = new Map<string, Operator>();
  const ofThisRun = new Map<string, Operator>();
  const keyOf = (digest: string) => ["operator", "token", digest];
  const principalOf = (name: string) => formatPrincipal({ name, hubId });

  return {
    async issue({ name, roles = [], scope }) {
      const token = newToken();
      const operator: Operator = { principal: principalOf(name), roles, scope };
      await store.set(keyOf(digestOf(token)), canonicalJson(operator));
      return token;
    },
    issueForThisRun(name) {
      const token = newToken();
      ofThisRun.set(digestOf(token), { principal: principalOf(name), roles: [], scope: "Admin" });
      return token;
    },
    async authenticate(token) {
      if (!/^fedop1\.[a-z2-7]{8}\.[a-z2-7]{32}$/.test(token)) throw unauthenticated();
      const digest = digestOf(token);
      let operator = ofThisRun.get(digest) ?? known.get(digest);
      if (!operator) {
        const stored = await store.get(keyOf(digest));
        if (!stored) throw unauthenticated();
        operator = parseJson(stored, { maxBytes: 8192 }) as unknown as Operator;
        if (known.size >= 1024) known.clear();
        known.set(digest, operator);
      }
      return operator;
    },
  };
}

function newToken(): string {
  return `fedop1.${encodeBase32(randomBytes(5))}.${encodeBase32(randomBytes(20))}`;
}

function digestOf(token: string): string {
  return encodeBase32(sha256(encodeUtf8(token)));
}

function unauthenticated(): HubError {
  return new HubError({
    code: "UNAUTHENTICATED",
    message: "The request carries no token of this hub.",
    hint: "Send `Authorization: Bearer <token>` with the token that `fed init` printed.",
  });
}
