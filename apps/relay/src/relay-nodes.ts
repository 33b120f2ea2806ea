/**
 * Several Node relays that are one relay to hubs. Each cluster belongs to one node, and the others send its hubs there; with a
 * bus they also know which nodes are up, and carry what crosses while not everybody has moved yet.
 */
import { type Clock, encodeUtf8, systemClock } from "@fed/core";
import type { RelayAdmission, RelayCore, RelaySocket } from "@fed/transport-relay/core";
import { RelayHostError } from "./errors.js";
import type { NodeBus } from "./node-bus.js";
import { createNodePeers } from "./node-peers.js";
import { pinnedNode } from "./node-pin.js";
import { readObject } from "./node-presence.js";

const nodesSubject = "fed-relay.1.nodes";
const beatEveryMs = 2_000;
const deadAfterMs = 6_000;
/** A node that comes back is given its clusters once it has been up for so long: one that keeps dying would throw them about. */
const steadyAfterMs = 3_000;
const repeatEveryBeats = 5;
/** A close reason has 123 bytes, 16 of them for the cause. */
const maxNodeUrlBytes = 100;

const maxHeard = 256;

interface Heard {
  /** Since when it is heard without a pause. */
  sinceMs: number;
  lastMs: number;
  isLost: boolean;
}

/** Options of {@link createRelayNodes}. */
export interface RelayNodesOptions {
  /** The URL under which hubs reach this node; one of `nodes`. */
  readonly node: string;
  /** All nodes, the same list at each. */
  readonly nodes: readonly string[];
  /** Without it nodes are taken to be up, and hubs at different nodes do not reach each other. */
  readonly bus?: NodeBus;
  readonly core: RelayCore;
  readonly clock?: Clock;
  log(line: string): void;
}

/** This node among the others. */
export interface RelayNodes {
  /** The node to which a cluster's hubs are to be sent; undefined when that is this one. */
  elsewhere(tag: string): string | undefined;
  arrived(socket: RelaySocket, admission: RelayAdmission): void;
  left(socket: RelaySocket): void;
  /** Tells the others, so that they take over at once. */
  leave(): void;
  /** After {@link leave}, once the last socket is gone. */
  close(): Promise<void>;
}

/** @throws {RelayHostError} NODES_INVALID unless the URLs are ws: or wss: origins of at most 100 bytes and `node` is among them. */
export function checkNodes(node: string, nodes: readonly string[]): void {
  const isOrigin = (url: string) => {
    const parsed = URL.canParse(url) ? new URL(url) : undefined;
    return /^wss?:$/.test(parsed?.protocol ?? "") && url === `${parsed!.protocol}//${parsed!.host}`;
  };
  if (nodes.includes(node) && nodes.every((one) => isOrigin(one) && encodeUtf8(one).length <= maxNodeUrlBytes)) return;
  throw new RelayHostError({
    code: "NODES_INVALID",
    message: "The list of nodes is not what it must be.",
    hint: "--nodes lists every node as wss://HOST[:PORT], at most 100 characters each, and --node is this one of them.",
  });
}

/** Starts to take part. */
export function createRelayNodes(options: RelayNodesOptions): RelayNodes {
  const { node: self, nodes, bus, core, clock = systemClock } = options;
  const heard = new Map<string, Heard>();
  // At the start everybody is taken to be up: who is not is found out soon.
  for (const node of nodes) {
    if (node !== self)
      heard.set(node, { sinceMs: Number.NEGATIVE_INFINITY, lastMs: clock.monotonicMs(), isLost: false });
  }
  const peers = bus && createNodePeers(core, bus, self, (node) => hear(node) !== undefined);
  let present = nodes;
  let beats = 0;
  let timer = bus && clock.setTimer(0, beat);

  /** Also a node that is not in our list, yet or any more, holds hubs of ours until all have the same list. */
  function hear(node: string): Heard | undefined {
    const known = heard.get(node);
    if (known !== undefined || node === self || node.length > maxNodeUrlBytes || heard.size >= maxHeard) return known;
    const nowMs = clock.monotonicMs();
    const entry = { sinceMs: nowMs, lastMs: nowMs, isLost: false };
    heard.set(node, entry);
    return entry;
  }

  function isUp(node: string): boolean {
    const { sinceMs, lastMs } = heard.get(node)!;
    const nowMs = clock.monotonicMs();
    return nowMs - lastMs <= deadAfterMs && nowMs - sinceMs >= steadyAfterMs;
  }

  function beat(): void {
    timer = clock.setTimer(beatEveryMs, beat);
    // Cut off from the bus nobody is heard, which says nothing about them.
    if (!bus!.isConnected) return;
    bus!.publish(nodesSubject, encodeUtf8(JSON.stringify({ node: self, isUp: true })));
    look();
    if (++beats % repeatEveryBeats === 0) peers!.repeat();
  }

  /** Moves the clusters that belong elsewhere since the last look. */
  function look(): void {
    for (const [node, entry] of heard) {
      const isLost = clock.monotonicMs() - entry.lastMs > deadAfterMs;
      if (isLost && !entry.isLost) {
        options.log(`node gone: ${node}`);
        peers!.lost(node);
      }
      entry.isLost = isLost;
    }
    const before = present;
    present = nodes.filter((node) => node === self || isUp(node));
    if (present.length === before.length && present.every((node) => before.includes(node))) return;
    options.log(`nodes up: ${present.length} of ${nodes.length}`);
    for (const tag of peers!.tags) {
      const target = elsewhere(tag);
      if (target !== undefined) core.redirect(tag, target);
    }
  }

  function onBeat(bytes: Uint8Array): void {
    const { node, isUp: up } = readObject(bytes) ?? {};
    const entry = typeof node === "string" ? hear(node) : undefined;
    if (entry === undefined) return;
    const nowMs = clock.monotonicMs();
    if (nowMs - entry.lastMs > deadAfterMs) entry.sinceMs = nowMs;
    entry.lastMs = up === true ? nowMs : Number.NEGATIVE_INFINITY;
    look();
  }

  function elsewhere(tag: string): string | undefined {
    const target = pinnedNode(tag, present);
    return target === self ? undefined : target;
  }

  const stopHearing = bus?.subscribe(nodesSubject, onBeat);
  bus?.onReconnect(() => {
    for (const entry of heard.values()) if (!entry.isLost) entry.lastMs = clock.monotonicMs();
    peers!.repeat();
  });

  return {
    elsewhere,
    arrived: (socket, admission) => peers?.arrived(socket, admission),
    left: (socket) => peers?.left(socket),
    leave() {
      timer?.cancel();
      stopHearing?.();
      bus?.publish(nodesSubject, encodeUtf8(JSON.stringify({ node: self, isUp: false })));
    },
    close: async () => bus?.close(),
  };
}
