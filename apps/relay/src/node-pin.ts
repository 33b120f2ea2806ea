/** Which of several nodes serves a cluster: rendezvous hashing, so a node more or less moves only that node's clusters. */
import { createHash } from "node:crypto";

/** The node of `nodes` (URLs, at least one, in any order) that the cluster with this tag belongs to. */
export function pinnedNode(tag: string, nodes: readonly string[]): string {
  const ranked = nodes.map((node) => ({ node, rank: rankOf(tag, node) }));
  return ranked.reduce((best, one) => (one.rank > best.rank ? one : best)).node;
}

function rankOf(tag: string, node: string): string {
  return createHash("sha256").update(`fed-relay-node/1 ${tag} ${node}`).digest("hex");
}
