/**
 * The relay itself, without any socket: clusters, forwarding, presence and rates. docs/spec/relay.md §2-§4.
 *
 * A host (Node, a Durable Object) feeds it sockets and messages. Forwarding is synchronous, so order is kept. A timer runs
 * only while a socket awaits admission, and all that must outlive the process is each socket's place: an idle relay may be
 * put to sleep and rebuilt with `restore`.
 */

import { type Clock, decodeBase64Url, systemClock } from "@fed/core";
import { createAdmissions, type RelayAdmission } from "./admission.js";
import { closeCode, formatCloseReason, formatRedirect, refusalOf } from "./close-code.js";
import { RelayError, type RelayErrorCode } from "./errors.js";
import { decodeFrame, encodeFrame, type Frame, recvFrame, resetReason, routeKey } from "./frame.js";
import { type CreditPool, createHopCredit, type HopCounts, type HopCredit } from "./hop-credit.js";
import { defaultRelayLimits, type RelayLimits } from "./relay-limits.js";
import { createTokenBucket, type Rate, type TokenBucket } from "./token-bucket.js";

/** Answers that may wait behind {@link unreadBytes} of a socket that does not read: beyond that it is closed. */
const maxUnreadAnswers = 4_096;
const unreadBytes = 65_536;
/** Answers to a socket of which the host does not know what it has read. */
const blindAnswers: Rate = { perSecond: 100, burst: 8_192 };

/** What a relay keeps of an admitted socket: a plain object of less than 256 bytes as JSON, from which it can be rebuilt. */
export interface RelayPlace extends RelayAdmission, HopCounts {}

/** A WebSocket as the core sees it. Its identity (the object) names the connection. */
export interface RelaySocket {
  send(bytes: Uint8Array): void;
  close(code: number, reason: string): void;
  /** Bytes accepted by send() that have not left yet, where the host knows. */
  readonly bufferedBytes?: number;
  /** Called when the socket is admitted. The core keeps `place` current: it changes with each message to or from the socket. */
  admitted?(place: RelayPlace): void;
}

/** Options of {@link createRelayCore}. */
export interface RelayCoreOptions {
  /** The public keys admitted now; asked at every admission. */
  admissionKeys(): readonly Uint8Array[];
  /**
   * What hubs name in their tokens, e.g. `wss://relay.example`; several, looked at anew at every
   * admission, when the relay has several names.
   */
  readonly origin: string | readonly string[];
  readonly clock?: Clock;
  readonly limits?: Partial<RelayLimits>;
}

/** What a relay counts; hubs and guests of other nodes are not among them. */
export interface RelayStats {
  readonly awaiting: number;
  readonly clusters: number;
  readonly hubs: number;
  readonly guests: number;
  readonly forwardedFrames: number;
  readonly forwardedBytes: number;
  readonly refusedAdmissions: number;
  readonly droppedFrames: number;
  /** Forwarded but not yet acknowledged, over all destinations. */
  readonly outstandingBytes: number;
}

/** A relay without sockets. */
export interface RelayCore {
  /** A socket was accepted; it is closed unless it is admitted in time. */
  open(socket: RelaySocket): void;
  /** Takes back an admitted socket after a sleep. */
  restore(socket: RelaySocket, place: RelayPlace): void;
  /** A hub or guest that another node of this relay has admitted: `socket` leads there. The newest wins, as ever. */
  adopt(socket: RelaySocket, admission: RelayAdmission): void;
  /** One binary message. Never throws. */
  message(socket: RelaySocket, bytes: Uint8Array): void;
  /** The socket is gone. Idempotent. */
  closed(socket: RelaySocket): void;
  /** Tells everybody that the relay goes away, and closes; each socket is told its own time to come back. */
  restart(withinMs: number, tryForMs: number): void;
  /** Closes the admitted sockets whose cluster is no longer among the admission keys. */
  recheck(tags: ReadonlySet<string>): void;
  /** Sends a cluster's sockets to the node at `url`. */
  redirect(tag: string, url: string): void;
  stats(): RelayStats;
}

/** How a socket came to its place. */
type Entry = "admitted" | "restored" | "adopted";

interface Peer {
  readonly socket: RelaySocket;
  readonly place: RelayPlace;
  readonly entry: Entry;
  readonly route: Uint8Array;
  readonly cluster: Cluster;
  readonly credit: HopCredit<Peer>;
  readonly messages: TokenBucket;
  readonly bytes: TokenBucket;
  quietUntilMs: number;
  /** Frames other than RECV are not under credit: those sent while much was waiting to leave, or a rate where nobody knows. */
  unreadAnswers: number;
  readonly answers: TokenBucket;
}

interface Cluster {
  readonly tag: string;
  /** By {@link routeKey}. */
  readonly peers: Map<string, Peer>;
  readonly pool: CreditPool;
  readonly messages: TokenBucket;
  readonly bytes: TokenBucket;
}

/** A relay for the clusters whose keys it is given. Without keys it admits nobody. */
export function createRelayCore(options: RelayCoreOptions): RelayCore {
  const clock = options.clock ?? systemClock;
  const limits: RelayLimits = { ...defaultRelayLimits, ...options.limits };
  const admissions = createAdmissions<RelaySocket>({
    admissionKeys: () => options.admissionKeys(),
    origins: typeof options.origin === "string" ? [options.origin] : options.origin,
    clock,
    timeoutMs: limits.admissionTimeoutMs,
  });
  const admitted = new Map<RelaySocket, Peer>();
  const clusters = new Map<string, Cluster>();
  const counts = { forwardedFrames: 0, forwardedBytes: 0, refusedAdmissions: 0, droppedFrames: 0 };

  function end(socket: RelaySocket, code: number, cause: RelayErrorCode, retryAfterSeconds?: number): void {
    forget(socket);
    socket.close(code, formatCloseReason(cause, retryAfterSeconds));
  }

  function forget(socket: RelaySocket): void {
    admissions.forget(socket);
    const peer = admitted.get(socket);
    if (peer === undefined) return;
    admitted.delete(socket);
    const { cluster } = peer;
    peer.credit.end();
    for (const other of cluster.peers.values()) other.credit.forget(peer);
    if (cluster.peers.get(routeKey(peer.route)) !== peer) return;
    cluster.peers.delete(routeKey(peer.route));
    if (cluster.peers.size === 0) clusters.delete(cluster.tag);
    announce(peer, false);
  }

  function announce(peer: Peer, present: boolean): void {
    if (peer.place.class !== "hub") return;
    const frame = encodeFrame({ type: "peer", route: peer.route, present });
    for (const other of peer.cluster.peers.values()) {
      if (other !== peer && other.place.class === "hub") tell(other, frame);
    }
  }

  /** Sends anything but a RECV, unless nobody reads at the other end. */
  function tell(peer: Peer, frame: Uint8Array): void {
    if (!admitted.has(peer.socket)) return;
    const { bufferedBytes } = peer.socket;
    if (bufferedBytes === undefined) {
      if (peer.answers.take(1, clock.monotonicMs()).refused) {
        end(peer.socket, closeCode.rateExceeded, "RELAY_RATE_EXCEEDED", 5);
        return;
      }
    } else if (bufferedBytes <= unreadBytes) peer.unreadAnswers = 0;
    else if (++peer.unreadAnswers > maxUnreadAnswers) {
      end(peer.socket, closeCode.slowReader, "RELAY_SLOW_READER", 5);
      return;
    }
    peer.socket.send(frame);
  }

  function clusterOf(tag: string): Cluster {
    let cluster = clusters.get(tag);
    if (cluster === undefined) {
      const nowMs = clock.monotonicMs();
      cluster = {
        tag,
        peers: new Map(),
        pool: { limitBytes: limits.clusterCreditBytes, outstandingBytes: 0 },
        messages: createTokenBucket(limits.clusterMessages, nowMs),
        bytes: createTokenBucket(limits.clusterBytes, nowMs),
      };
      clusters.set(tag, cluster);
    }
    return cluster;
  }

  /** Puts a socket into its cluster; false when the cluster is full. */
  function enter(socket: RelaySocket, place: RelayPlace, entry: Entry): boolean {
    const route = decodeBase64Url(place.route);
    const old = clusters.get(place.tag)?.peers.get(routeKey(route));
    if (entry === "admitted" && old === undefined && isFull(place)) {
      end(socket, closeCode.full, "RELAY_FULL", 60);
      return false;
    }
    const cluster = clusterOf(place.tag);
    const nowMs = clock.monotonicMs();
    const peer: Peer = {
      socket,
      place,
      entry,
      route,
      cluster,
      credit: createHopCredit<Peer>(place, cluster.pool, limits.creditBytes, nowMs),
      messages: createTokenBucket(limits.socketMessages, nowMs),
      bytes: createTokenBucket(limits.socketBytes, nowMs),
      quietUntilMs: 0,
      unreadAnswers: 0,
      answers: createTokenBucket(blindAnswers, nowMs),
    };
    cluster.peers.set(routeKey(route), peer);
    admitted.set(socket, peer);
    if (entry === "admitted") socket.send(encodeFrame({ type: "welcome", creditBytes: limits.creditBytes }));
    if (old !== undefined) end(old.socket, closeCode.replaced, "RELAY_REPLACED");
    else if (entry !== "restored") announce(peer, true);
    if (entry === "admitted" && place.class === "hub") {
      for (const other of cluster.peers.values()) {
        if (other === peer || other.place.class !== "hub") continue;
        socket.send(encodeFrame({ type: "peer", route: other.route, present: true }));
      }
    }
    return true;
  }

  function isFull(admission: RelayAdmission): boolean {
    let count = 0;
    for (const { place } of clusters.get(admission.tag)?.peers.values() ?? []) {
      if (place.class === admission.class) count++;
    }
    return count >= (admission.class === "hub" ? limits.maxHubsPerCluster : limits.maxGuestsPerCluster);
  }

  function peerMessage(peer: Peer, bytes: Uint8Array): void {
    if (peer.place.expires * 1000 <= clock.nowMs()) {
      end(peer.socket, closeCode.expired, "TOKEN_EXPIRED");
      return;
    }
    const frame = decodeFrame(bytes);
    const excess = charge(peer, bytes.length);
    if (frame.type === "ack") {
      if (excess === "socket") {
        end(peer.socket, closeCode.rateExceeded, "RELAY_RATE_EXCEEDED", 5);
        return;
      }
      peer.credit.acknowledge(frame.processedBytes, clock.monotonicMs());
      return;
    }
    if (frame.type !== "send") throw new RelayError({ code: "PROTOCOL_ERROR", message: "Not a frame for a relay." });
    if (excess !== undefined) {
      drop(peer, frame.route, resetReason.rate);
      return;
    }
    forward(peer, frame, bytes);
  }

  /**
   * Which rate this message exceeds, if any; announces a wait once per throttling. What the socket's own rate refuses is
   * not charged to its cluster: else one socket that ignores RATE would use up what all others share.
   */
  function charge(peer: Peer, length: number): "socket" | "cluster" | undefined {
    const nowMs = clock.monotonicMs();
    const { cluster } = peer;
    const messages = peer.messages.take(1, nowMs);
    const bytes = peer.bytes.take(length, nowMs);
    let waitMs = Math.max(messages.waitMs, bytes.waitMs);
    let excess: "socket" | "cluster" | undefined;
    if (messages.refused || bytes.refused) excess = "socket";
    else {
      const sharedMessages = cluster.messages.take(1, nowMs);
      const sharedBytes = cluster.bytes.take(length, nowMs);
      waitMs = Math.max(waitMs, sharedMessages.waitMs, sharedBytes.waitMs);
      if (sharedMessages.refused || sharedBytes.refused) excess = "cluster";
    }
    if (waitMs > 0 && nowMs >= peer.quietUntilMs) {
      peer.quietUntilMs = nowMs + waitMs;
      tell(peer, encodeFrame({ type: "rate", waitMs }));
    }
    return excess;
  }

  function forward(peer: Peer, frame: Extract<Frame, { type: "send" | "recv" }>, bytes: Uint8Array): void {
    const target = peer.cluster.peers.get(routeKey(frame.route));
    const hidden = target?.place.class === "guest" && peer.place.class === "guest";
    if (target === undefined || hidden || target.place.expires * 1000 <= clock.nowMs()) {
      if (target !== undefined && !hidden) end(target.socket, closeCode.expired, "TOKEN_EXPIRED");
      counts.droppedFrames++;
      tell(peer, encodeFrame({ type: "noRoute", route: frame.route }));
      return;
    }
    const nowMs = clock.monotonicMs();
    const length = frame.payload.length;
    if (!target.credit.take(peer, length, target.socket.bufferedBytes ?? 0, nowMs)) {
      if (target.credit.isStuck(limits.slowReaderMs, nowMs)) {
        end(target.socket, closeCode.slowReader, "RELAY_SLOW_READER", 5);
      }
      drop(peer, frame.route, resetReason.busy);
      return;
    }
    counts.forwardedFrames++;
    counts.forwardedBytes += length;
    target.socket.send(recvFrame(bytes, peer.route));
  }

  function drop(peer: Peer, route: Uint8Array, reason: number): void {
    counts.droppedFrames++;
    tell(peer, encodeFrame({ type: "reset", route, reason }));
  }

  return {
    open(socket) {
      // Whoever means it is let in within a round trip, so the oldest is the least likely to be missed: refusing the
      // newest instead, a stranger who opens as many sockets every few seconds would keep everybody out.
      const [oldest] = admissions.size >= limits.maxAwaiting ? admissions.sockets() : [];
      if (oldest) end(oldest, closeCode.full, "RELAY_FULL", 5);
      admissions.open(socket, () => {
        counts.refusedAdmissions++;
        end(socket, closeCode.admissionTimeout, "ADMISSION_TIMEOUT");
      });
    },
    restore(socket, place) {
      enter(socket, place, "restored");
    },
    adopt(socket, admission) {
      enter(socket, { ...admission, sentBytes: 0, ackedBytes: 0 }, "adopted");
    },
    message(socket, bytes) {
      const isWaiting = admissions.has(socket);
      const peer = admitted.get(socket);
      try {
        const admission = isWaiting ? admissions.message(socket, bytes) : undefined;
        if (admission !== undefined) {
          const place = { ...admission, sentBytes: 0, ackedBytes: 0 };
          if (enter(socket, place, "admitted")) socket.admitted?.(place);
        } else if (peer !== undefined) peerMessage(peer, bytes);
      } catch (error) {
        if (isWaiting) counts.refusedAdmissions++;
        const { code, reason } = refusalOf(error);
        forget(socket);
        socket.close(code, reason);
      }
    },
    closed: forget,
    restart(withinMs, tryForMs) {
      for (const { socket } of [...admitted.values()]) {
        const reconnectInMs = Math.floor(Math.random() * withinMs);
        socket.send(encodeFrame({ type: "restarting", reconnectInMs, tryForMs }));
      }
      for (const socket of [...admitted.keys(), ...admissions.sockets()]) {
        end(socket, closeCode.restarting, "RELAY_RESTARTING");
      }
    },
    recheck(tags) {
      for (const peer of [...admitted.values()]) {
        if (!tags.has(peer.place.tag)) end(peer.socket, closeCode.notAdmitted, "TOKEN_KEY_UNKNOWN", 10);
      }
    },
    redirect(tag, url) {
      for (const { entry, socket } of [...(clusters.get(tag)?.peers.values() ?? [])]) {
        if (entry === "adopted") continue;
        forget(socket);
        socket.close(closeCode.elsewhere, formatRedirect(url));
      }
    },
    stats() {
      let outstandingBytes = 0;
      let hubs = 0;
      let guests = 0;
      for (const { entry, place, credit } of admitted.values()) {
        outstandingBytes += credit.outstandingBytes;
        if (entry === "adopted") continue;
        if (place.class === "guest") guests++;
        else hubs++;
      }
      return { awaiting: admissions.size, clusters: clusters.size, hubs, guests, outstandingBytes, ...counts };
    },
  };
}
