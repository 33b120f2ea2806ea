/** Several Node relays that are one. */
import { pinnedNode } from "../src/node-pin.js";
import { suiteAdmissionKeys } from "./host-suite.js";
import { freePort, type ListeningProcess, startNodeRelay } from "./node-relay.js";

/** The times of these nodes. */
export const limits = { slowReaderMs: 3_000, admissionTimeoutMs: 2_000 };

/** Nodes at free ports, in the order in which the cluster with this tag prefers them. */
export async function freeNodes(tag: string, count: number): Promise<string[]> {
  const ports = await Promise.all(Array.from({ length: count }, freePort));
  const nodes = ports.map((port) => `ws://127.0.0.1:${port}`);
  const ordered: string[] = [];
  while (nodes.length > 0) ordered.push(...nodes.splice(nodes.indexOf(pinnedNode(tag, nodes)), 1));
  return ordered;
}

/** One of them. */
export function startNode(node: string, nodes: readonly string[], nats?: string): Promise<ListeningProcess> {
  const several = { node, nodes, ...(nats !== undefined && { nats }) };
  return startNodeRelay({ admissionKeys: suiteAdmissionKeys, port: Number(new URL(node).port), several, limits });
}
