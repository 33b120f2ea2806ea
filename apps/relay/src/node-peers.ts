/**
 * Hubs of one cluster that are at different nodes, as happens while nodes come and go: each node adopts the others' hubs into
 * its own core, with a socket that leads over the bus. What the core sends to such a socket travels as it is, to the subject
 * of that hub's route; the node that holds the hub feeds it to its own core. Credit is per hop, as everywhere.
 */
import { decodeBase64Url } from "@fed/core";
import {
  decodeFrame,
  encodeFrame,
  type Frame,
  type RelayAdmission,
  type RelayCore,
  type RelaySocket,
} from "@fed/transport-relay/core";
import type { NodeBus } from "./node-bus.js";
import { decodePresence, encodePresence, type HeldPeer } from "./node-presence.js";

const acknowledgeEveryBytes = 65_536;
/** More than a cluster may have anywhere. */
const maxRemote = 256;
/** What a hub may be told from afar; presence each node tells its own. */
const carried: ReadonlySet<Frame["type"]> = new Set(["recv", "reset", "noRoute", "rate"]);

/** The hubs that this node and the others hold. */
export interface NodePeers {
  /** Tags of the clusters of which this node holds somebody. */
  readonly tags: readonly string[];
  /** This node has let in a socket. */
  arrived(socket: RelaySocket, admission: RelayAdmission): void;
  /** A socket of this node is gone. Idempotent. */
  left(socket: RelaySocket): void;
  /** Says again what this node holds, for whoever missed it. */
  repeat(): void;
  /** A node is gone, and all it held. */
  lost(node: string): void;
}

interface Held {
  readonly socket: RelaySocket;
  readonly admission: RelayAdmission;
  readonly sinceMs: number;
  readonly stopHearing: () => void;
}

interface Remote {
  readonly node: string;
  readonly sinceMs: number;
  readonly socket: RelaySocket;
}

interface Cluster {
  readonly held: Map<string, Held>;
  readonly remote: Map<string, Remote>;
  readonly stopHearing: () => void;
}

/** Nobody anywhere. `isNode` is told of everybody who speaks and says whose word counts. */
export function createNodePeers(
  core: RelayCore,
  bus: NodeBus,
  self: string,
  isNode: (node: string) => boolean,
): NodePeers {
  const clusters = new Map<string, Cluster>();
  const held = new Map<RelaySocket, Held>();

  function clusterOf(tag: string): Cluster {
    const known = clusters.get(tag);
    if (known !== undefined) return known;
    const stopHearing = bus.subscribe(presenceSubject(tag), (bytes) => onPresence(tag, bytes));
    const cluster: Cluster = { held: new Map(), remote: new Map(), stopHearing };
    clusters.set(tag, cluster);
    bus.publish(presenceSubject(tag), encodePresence({ type: "who", node: self }));
    return cluster;
  }

  function tell(tag: string, holds: Iterable<Held>, whole: boolean): void {
    const peers = [...holds].map(({ admission: { route, class: cls, expires }, sinceMs }): HeldPeer => {
      return { route, class: cls, expires, sinceMs };
    });
    bus.publish(presenceSubject(tag), encodePresence({ type: "here", node: self, whole, peers }));
  }

  function onPresence(tag: string, bytes: Uint8Array): void {
    const message = decodePresence(bytes);
    const cluster = clusters.get(tag);
    if (message === undefined || cluster === undefined || message.node === self || !isNode(message.node)) return;
    const { node } = message;
    if (message.type === "who") tell(tag, cluster.held.values(), true);
    if (message.type === "left") forget(cluster, message.route, node);
    if (message.type !== "here") return;
    for (const peer of message.peers) adopt(tag, cluster, node, peer);
    if (!message.whole) return;
    const listed = new Set(message.peers.map(({ route }) => route));
    for (const route of [...cluster.remote.keys()]) if (!listed.has(route)) forget(cluster, route, node);
  }

  function adopt(tag: string, cluster: Cluster, node: string, peer: HeldPeer): void {
    const { route, sinceMs } = peer;
    const mine = cluster.held.get(route);
    const present = cluster.remote.get(route) ?? (mine && { node: self, sinceMs: mine.sinceMs });
    const isNewer =
      present === undefined ||
      sinceMs > present.sinceMs ||
      // Both nodes must come to the same answer.
      (sinceMs === present.sinceMs && node > present.node);
    if (!isNewer || cluster.remote.size >= maxRemote) return;
    const socket = createRemoteSocket(tag, route, () => {
      if (cluster.remote.get(route)?.socket === socket) cluster.remote.delete(route);
    });
    // Adopting replaces who was there, and tells so: this comes first, or it would take the new one out of the map.
    core.adopt(socket, { tag, route, class: peer.class, expires: peer.expires });
    if (clusters.get(tag) === cluster) cluster.remote.set(route, { node, sinceMs, socket });
    // Who was replaced was the last that this node held.
    else core.closed(socket);
  }

  function forget(cluster: Cluster, route: string, node: string): void {
    const remote = cluster.remote.get(route);
    if (remote?.node !== node) return;
    cluster.remote.delete(route);
    core.closed(remote.socket);
  }

  /** A socket whose other end is at another node. */
  function createRemoteSocket(tag: string, route: string, closed: () => void): RelaySocket {
    let sentBytes = 0;
    let flushedBytes = 0;
    const socket: RelaySocket = {
      bufferedBytes: 0,
      send(bytes) {
        const frame = decodeFrame(bytes);
        if (!carried.has(frame.type)) return;
        bus.publish(routeSubject(tag, route), bytes);
        if (frame.type !== "recv") return;
        sentBytes += frame.payload.length;
        if (sentBytes - flushedBytes < acknowledgeEveryBytes) return;
        flushedBytes = sentBytes;
        const processedBytes = sentBytes;
        // What has left is the next node's to bound. A bus that is gone acknowledges nothing, so credit runs out.
        bus.flush().then(
          () => core.message(socket, encodeFrame({ type: "ack", processedBytes })),
          () => {},
        );
      },
      close: closed,
    };
    return socket;
  }

  /** Something for a hub that this node holds. */
  function onRouted(cluster: Cluster, to: Held, bytes: Uint8Array): void {
    let frame: Frame;
    try {
      frame = decodeFrame(bytes);
    } catch {
      return;
    }
    if (!carried.has(frame.type)) return;
    if (frame.type !== "recv") {
      to.socket.send(bytes);
      return;
    }
    const from = cluster.remote.get(Buffer.from(frame.route).toString("base64url"));
    const route = decodeBase64Url(to.admission.route);
    // Its node told of it before, on the same connection; who is not known has left in between.
    if (from !== undefined) core.message(from.socket, encodeFrame({ type: "send", route, payload: frame.payload }));
  }

  return {
    get tags() {
      return [...clusters.keys()];
    },
    arrived(socket, admission) {
      const { tag, route } = admission;
      const cluster = clusterOf(tag);
      const mine: Held = {
        socket,
        admission,
        sinceMs: Date.now(),
        stopHearing: bus.subscribe(routeSubject(tag, route), (bytes) => onRouted(cluster, mine, bytes)),
      };
      cluster.held.get(route)?.stopHearing();
      cluster.held.set(route, mine);
      held.set(socket, mine);
      tell(tag, [mine], false);
    },
    left(socket) {
      const mine = held.get(socket);
      if (mine === undefined) return;
      held.delete(socket);
      mine.stopHearing();
      const { tag, route } = mine.admission;
      const cluster = clusters.get(tag);
      if (cluster?.held.get(route) !== mine) return;
      cluster.held.delete(route);
      bus.publish(presenceSubject(tag), encodePresence({ type: "left", node: self, route }));
      if (cluster.held.size > 0) return;
      cluster.stopHearing();
      clusters.delete(tag);
      for (const remote of [...cluster.remote.values()]) core.closed(remote.socket);
    },
    repeat() {
      for (const [tag, cluster] of clusters) tell(tag, cluster.held.values(), true);
    },
    lost(node) {
      for (const cluster of clusters.values()) {
        for (const route of [...cluster.remote.keys()]) forget(cluster, route, node);
      }
    },
  };
}

function presenceSubject(tag: string): string {
  return `fed-relay.1.cluster.${tag}`;
}

function routeSubject(tag: string, route: string): string {
  return `fed-relay.1.route.${tag}.${route}`;
}
