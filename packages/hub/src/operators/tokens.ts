/**
 * The tokens of a hub's operators and of their agents. The bearer of one may make narrower ones for sub-agents: same
 * operator, never more than its own. Whoever revokes a token revokes all below it, with the one record that says so.
 */
import type { Clock, HubId, Store, Timer } from "@fed/core";
import { formatPrincipal } from "@fed/trust";
import type { AuditEvent } from "../audit-trail.js";
import { HubError } from "../errors.js";
import { valid } from "../valid.js";
import { isWithin } from "./allow.js";
import { contains, type Operator } from "./operator.js";
import {
  decodeTokenRecord,
  digestOf,
  encodeTokenRecord,
  isToken,
  newToken,
  type TokenRecord,
  type TokenRequest,
  tokenRequest,
} from "./token-record.js";
import { endOfToken, firstOf, isUnder, type TokenEnd, type TokenNode, TokenTree } from "./token-tree.js";

/** Numbers of this file. */
export const tokenLimits = {
  /** Tokens kept, ended ones included. */
  tokens: 4096,
  /** Tokens made with one token that are good. */
  children: 64,
  /** Tokens below one without a parent that are good: an agent leaves room for the other operators. */
  line: 512,
  /** Generations below a token without a parent. */
  depth: 4,
  /** How long ended ones are still listed. */
  keptMs: 7 * 24 * 60 * 60_000,
  /** How long after a first use those since are written down. */
  usedEveryMs: 60_000,
} as const;

/** A token as it is listed. In `allow` hubs have their names where they are known. */
export interface TokenInfo extends Omit<TokenRecord, "digest"> {
  readonly state: TokenEnd["state"];
}

/** A new token; the only time that it is shown. */
export interface IssuedToken extends TokenInfo {
  readonly token: string;
}

type NewRecord = Omit<TokenRecord, "id" | "digest">;

/** Issues, recognises, lists and revokes. */
export interface OperatorTokens extends AsyncDisposable {
  /**
   * A new token.
   * @throws {HubError} AGENT_TOKEN_UNKNOWN, AGENT_TOKEN_TOO_WIDE, AGENT_TOKEN_LIMIT, HUB_UNKNOWN, REQUEST_INVALID.
   */
  issue(request: TokenRequest): Promise<IssuedToken>;
  /** A new Admin token that is good until this process ends and is written nowhere. */
  issueForThisRun(name: string): string;
  /** @throws {HubError} UNAUTHENTICATED unless `token` is one of ours and good. */
  authenticate(token: string): Operator;
  /** Oldest first; ended ones for 7 days. `under`: that token and all below it. */
  list(under?: string): TokenInfo[];
  /** @throws {HubError} AGENT_TOKEN_UNKNOWN. */
  get(id: string): TokenInfo;
  /** Whether `id` is `ancestor` or below it. */
  isUnder(id: string, ancestor: string): boolean;
  /**
   * Ends a token and all below it: at once, and durably when it resolves. Idempotent.
   * @returns those that ended with it.
   * @throws {HubError} AGENT_TOKEN_UNKNOWN. @throws {StoreError} when it is in force but not kept.
   */
  revoke(id: string): Promise<TokenInfo[]>;
}

/** What tokens are kept with. */
export interface OperatorTokensOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly hubId: HubId;
  /** The id of the hub that a name or id means. @throws {HubError} HUB_UNKNOWN. */
  readonly resolveHub: (hub: string) => HubId;
  readonly nameOfHub: (hubId: HubId) => string | undefined;
  /** For the audit log: `token.issued`, `token.revoked`. */
  readonly onChange: (event: AuditEvent) => void;
  /** Tokens have ended before their time. Must not throw. */
  readonly onRevoked: (ids: ReadonlySet<string>) => void;
  /** A use could not be written down. */
  readonly onError: (error: unknown) => void;
}

const prefix = "agent-token";

/** Tokens kept in the store, all in memory: none is looked up anywhere else, so what is revoked is so for every request. */
export async function openOperatorTokens(options: OperatorTokensOptions): Promise<OperatorTokens> {
  const { store, clock, hubId, resolveHub, nameOfHub, onChange, onRevoked, onError } = options;
  const tree = TokenTree.from((await store.list([prefix])).map(({ value }) => decodeTokenRecord(value)));
  const ofThisRun = new Map<string, Operator>();
  /** Used since uses were last written down. */
  const used = new Set<TokenNode>();
  /** One write after the other, each of what the token is by then. */
  let turn: Promise<void> = Promise.resolve();
  await forgetEnded(0);
  let timer: Timer | undefined;

  function save(id: string): Promise<void> {
    const done = turn.then(() => {
      const node = tree.get(id);
      return node ? store.set([prefix, id], encodeTokenRecord(recordOf(node))) : store.delete([prefix, id]);
    });
    turn = done.catch(() => {});
    return done;
  }

  function noteUse(node: TokenNode, atMs: number): void {
    node.lastUsedAtMs = atMs;
    used.add(node);
    timer ??= clock.setTimer(tokenLimits.usedEveryMs, () => void writeUses());
  }

  async function writeUses(): Promise<void> {
    timer?.cancel();
    timer = undefined;
    const ids = [...used].map(({ record }) => record.id);
    used.clear();
    await Promise.all(ids.map((id) => save(id).catch(onError)));
  }

  function isActive(node: TokenNode): boolean {
    return endOfToken(node, clock.nowMs()).state === "active";
  }

  function infoOf(node: TokenNode): TokenInfo {
    const { digest: _, allow, ...record } = recordOf(node);
    const { state, endedAtMs } = endOfToken(node, clock.nowMs());
    const named = allow?.map((entry) =>
      entry.hub === undefined ? entry : { ...entry, hub: nameOfHub(entry.hub) ?? entry.hub },
    );
    return {
      ...record,
      ...(named ? { allow: named } : {}),
      ...(state === "revoked" ? { revokedAtMs: endedAtMs } : {}),
      state,
    };
  }

  function find(id: string): TokenNode {
    const node = tree.get(id);
    if (node) return node;
    throw new HubError({
      code: "AGENT_TOKEN_UNKNOWN",
      message: "There is no such token.",
      hint: "See `fed token list`.",
    });
  }

  /** Forgets what ended long ago, and of what ended lately as much as leaves room for `more`. */
  async function forgetEnded(more: number): Promise<void> {
    const nowMs = clock.nowMs();
    for (const node of tree.ended(nowMs)) {
      const isOld = endOfToken(node, nowMs).endedAtMs + tokenLimits.keptMs <= nowMs;
      if (!isOld && tree.size + more <= tokenLimits.tokens) break;
      tree.delete(node);
      await save(node.record.id);
    }
  }

  /** What `request` asks for, as a child of `parent` if there is one. */
  function asked(request: TokenRequest, parent: TokenNode | undefined): NewRecord {
    const { name, scope = parent?.record.scope, ttlMs } = request;
    if (scope === undefined) throw invalid("A token without a parent needs a scope.");
    const createdAtMs = clock.nowMs();
    const expiresAtMs = ttlMs === undefined ? parent?.record.expiresAtMs : createdAtMs + ttlMs;
    const allow =
      request.allow?.map((entry) => (entry.hub === undefined ? entry : { ...entry, hub: resolveHub(entry.hub) })) ??
      parent?.record.allow;
    if (allow && scope === "Admin") throw invalid("A token for some apps only cannot have the scope Admin.");
    return {
      name,
      operator: parent?.record.operator ?? formatPrincipal({ name, hubId }),
      roles: request.roles ?? parent?.record.roles ?? [],
      scope,
      ...(allow ? { allow } : {}),
      ...(parent ? { parent: parent.record.id } : {}),
      createdAtMs,
      ...(expiresAtMs === undefined ? {} : { expiresAtMs }),
    };
  }

  function checkChild(child: NewRecord, parent: TokenNode): void {
    const { record, depth } = parent;
    const never = Number.POSITIVE_INFINITY;
    if (!isActive(parent)) throw tooWide("Its parent is no longer good.");
    if (!contains(record.scope, child.scope)) throw tooWide(`Its parent has only the scope ${record.scope}.`);
    if (!child.roles.every((role) => record.roles.includes(role))) throw tooWide("Its parent has not all these roles.");
    if (!isWithin(child.allow, record.allow)) throw tooWide("Its parent may not use all of that.");
    if ((child.expiresAtMs ?? never) > (record.expiresAtMs ?? never)) throw tooWide("Its parent ends before.");
    if (depth >= tokenLimits.depth) throw full(`At most ${tokenLimits.depth} generations of tokens follow on one.`);
    if (tree.childrenOf(parent).filter(isActive).length >= tokenLimits.children) {
      throw full(`A token has at most ${tokenLimits.children} children that are good.`);
    }
    // The first of its line is one of them.
    if (tree.list(firstOf(parent)).filter(isActive).length > tokenLimits.line) {
      throw full(`At most ${tokenLimits.line} tokens that are good follow on one.`);
    }
  }

  return {
    async issue(asking) {
      const request = valid(tokenRequest, asking);
      const parent = request.parent === undefined ? undefined : find(request.parent);
      const wanted = asked(request, parent);
      if (parent) checkChild(wanted, parent);
      if (tree.size >= tokenLimits.tokens) await forgetEnded(1);
      if (tree.size >= tokenLimits.tokens) throw full(`A hub keeps at most ${tokenLimits.tokens} tokens.`);
      let made = newToken();
      while (tree.get(made.id)) made = newToken();
      const { token, id, digest } = made;
      // Counted from here on; nobody knows the token before it is stored.
      const node = tree.add({ id, digest, ...wanted });
      try {
        await save(id);
      } catch (error) {
        tree.delete(node);
        throw error;
      }
      onChange({ type: "token.issued", token: id, name: wanted.name, operator: wanted.operator, scope: wanted.scope });
      return { ...infoOf(node), token };
    },
    issueForThisRun(name) {
      const { token, digest } = newToken();
      ofThisRun.set(digest, { principal: formatPrincipal({ name, hubId }), roles: [], scope: "Admin" });
      return token;
    },
    authenticate(token) {
      const digest = isToken(token) ? digestOf(token) : "";
      const node = tree.byDigest(digest);
      if (!node) {
        const operator = ofThisRun.get(digest);
        if (operator) return operator;
        throw unauthenticated("The request carries no token of this hub.");
      }
      const nowMs = clock.nowMs();
      const { state } = endOfToken(node, nowMs);
      if (state !== "active") throw unauthenticated(`The token ${node.record.id} is ${state}.`);
      noteUse(node, nowMs);
      return node.operator;
    },
    list: (under) => tree.list(under === undefined ? undefined : find(under)).map(infoOf),
    get: (id) => infoOf(find(id)),
    isUnder(id, ancestor) {
      const [node, above] = [tree.get(id), tree.get(ancestor)];
      return node !== undefined && above !== undefined && isUnder(node, above);
    },
    async revoke(id) {
      const node = find(id);
      const ending = tree.list(node).filter(isActive);
      node.revokedAtMs ??= clock.nowMs();
      if (ending.length > 0) onRevoked(new Set(ending.map(({ record }) => record.id)));
      await save(id);
      const { operator } = node.record;
      if (ending.length > 0) onChange({ type: "token.revoked", token: id, operator, ended: ending.length });
      return ending.map(infoOf);
    },
    [Symbol.asyncDispose]: writeUses,
  };
}

/** What is stored of `node` now. */
function recordOf({ record, revokedAtMs, lastUsedAtMs }: TokenNode): TokenRecord {
  return {
    ...record,
    ...(revokedAtMs === undefined ? {} : { revokedAtMs }),
    ...(lastUsedAtMs === undefined ? {} : { lastUsedAtMs }),
  };
}

/** The error of a request whose bearer is nobody here. */
export function unauthenticated(message: string, cause?: unknown): HubError {
  return new HubError({
    code: "UNAUTHENTICATED",
    message,
    hint: "Send `Authorization: Bearer <token>` with a token that `fed init` or `fed token create` printed.",
    cause,
  });
}

function tooWide(message: string): HubError {
  return new HubError({
    code: "AGENT_TOKEN_TOO_WIDE",
    message: `The token would allow more than the one it is made with. ${message}`,
    hint: "Ask for less; a token's own limits are in `fed token list`.",
  });
}

function full(message: string): HubError {
  return new HubError({
    code: "AGENT_TOKEN_LIMIT",
    message,
    hint: "Revoke some that nobody needs: `fed token list`, `fed token revoke ID`.",
  });
}

function invalid(message: string): HubError {
  return new HubError({ code: "REQUEST_INVALID", message });
}
