/** The tokens a hub keeps, in memory: who was made with whom, and which of them are good at a time. */
import type { Operator } from "./operator.js";
import type { TokenRecord } from "./token-record.js";

/** One token. */
export interface TokenNode {
  readonly record: TokenRecord;
  /** What its bearers act as. */
  readonly operator: Operator;
  /** The token it was made with. */
  readonly parent: TokenNode | undefined;
  /** Generations above it. */
  readonly depth: number;
  revokedAtMs: number | undefined;
  lastUsedAtMs: number | undefined;
}

/** What has become of a token. */
export interface TokenEnd {
  readonly state: "active" | "expired" | "revoked";
  /** When it ended or will; Infinity: not by itself. */
  readonly endedAtMs: number;
}

/** See the module header. */
export class TokenTree {
  readonly #byId = new Map<string, TokenNode>();
  readonly #byDigest = new Map<string, TokenNode>();

  /** `records` in any order; those whose parent is missing are left out, for nobody could revoke them. */
  static from(records: readonly TokenRecord[]): TokenTree {
    const tree = new TokenTree();
    const waiting = new Set(records);
    for (let before = -1; waiting.size !== before; ) {
      before = waiting.size;
      for (const record of waiting) {
        if (record.parent !== undefined && !tree.get(record.parent)) continue;
        waiting.delete(record);
        tree.add(record);
      }
    }
    return tree;
  }

  get size(): number {
    return this.#byId.size;
  }

  get(id: string): TokenNode | undefined {
    return this.#byId.get(id);
  }

  byDigest(digest: string): TokenNode | undefined {
    return this.#byDigest.get(digest);
  }

  /** Its parent must be there. */
  add(record: TokenRecord): TokenNode {
    const { id, digest, operator: principal, roles, scope, allow, expiresAtMs } = record;
    const parent = record.parent === undefined ? undefined : this.#byId.get(record.parent);
    const node: TokenNode = {
      record,
      operator: Object.freeze({
        principal,
        roles,
        scope,
        token: id,
        ...(allow && { allow }),
        ...(expiresAtMs !== undefined && { expiresAtMs }),
      }),
      parent,
      depth: parent ? parent.depth + 1 : 0,
      revokedAtMs: record.revokedAtMs,
      lastUsedAtMs: record.lastUsedAtMs,
    };
    this.#byId.set(id, node);
    this.#byDigest.set(digest, node);
    return node;
  }

  delete({ record }: TokenNode): void {
    this.#byId.delete(record.id);
    this.#byDigest.delete(record.digest);
  }

  /** All of them, or one and those below it; oldest first. */
  list(under?: TokenNode): TokenNode[] {
    const all = [...this.#byId.values()];
    return (under ? all.filter((node) => isUnder(node, under)) : all).toSorted(
      (a, b) => a.record.createdAtMs - b.record.createdAtMs,
    );
  }

  childrenOf(parent: TokenNode): TokenNode[] {
    return [...this.#byId.values()].filter((node) => node.parent === parent);
  }

  /** Those that have ended by `atMs`, in the order in which they can be forgotten: never a parent before its child. */
  ended(atMs: number): TokenNode[] {
    const endOf = new Map(this.list().map((node) => [node, endOfToken(node, atMs).endedAtMs]));
    return [...endOf.keys()]
      .filter((node) => endOf.get(node)! <= atMs)
      .toSorted((a, b) => endOf.get(a)! - endOf.get(b)! || b.depth - a.depth);
  }
}

/** Whether `node` is `ancestor` or below it. */
export function isUnder(node: TokenNode, ancestor: TokenNode): boolean {
  for (let above: TokenNode | undefined = node; above; above = above.parent) if (above === ancestor) return true;
  return false;
}

/** The token without a parent that `node` goes back to. */
export function firstOf(node: TokenNode): TokenNode {
  let first = node;
  while (first.parent) first = first.parent;
  return first;
}

/** Revoked with the first of its line that was; expired by itself, since no child outlives its parent. */
export function endOfToken(node: TokenNode, atMs: number): TokenEnd {
  let revokedAtMs = Number.POSITIVE_INFINITY;
  for (let above: TokenNode | undefined = node; above; above = above.parent) {
    revokedAtMs = Math.min(revokedAtMs, above.revokedAtMs ?? revokedAtMs);
  }
  const expiresAtMs = node.record.expiresAtMs ?? Number.POSITIVE_INFINITY;
  const endedAtMs = Math.min(revokedAtMs, expiresAtMs);
  // Whatever the clock says: a clock that is set back brings nobody back.
  const isRevoked = revokedAtMs !== Number.POSITIVE_INFINITY;
  if (!isRevoked && expiresAtMs > atMs) return { state: "active", endedAtMs };
  return { state: revokedAtMs <= expiresAtMs ? "revoked" : "expired", endedAtMs };
}
