/**
 * The relay itself, without any socket: clusters, forwarding, hop credit and rates. docs/spec/relay.md §2-§4.
 *
 * A host (Node, a Durable Object) feeds it sockets and messages. Forwarding is synchronous, so order is kept. A timer runs
 * only while a socket awaits admission; an idle relay may be put to sleep and rebuilt with `restore`.
 */

import { type Clock, decodeBase64Url, encodeBase64Url, isFedError, systemClock } from "@fed/core";
import { createAdmissions, type RelayAdmission } from "./admission.js";
import { closeCode, formatCloseReason } from "./close-code.js";
import { RelayError, type RelayErrorCode } from "./errors.js";
import { decodeFrame, encodeFrame, type Frame, resetReason } from "./frame.js";
import { defaultRelayLimits, type RelayLimits } from "./relay-limits.js";
import { createTokenBucket, type TokenBucket } from "./token-bucket.js";

/** Answers that may wait behind {@link unreadBytes} of a socket that does not read: beyond that it is closed. */
const maxUnreadAnswers = 4_096;
const unreadBytes = 65_536;

/** A WebSocket as the core sees it. Its identity (the object) names the connection. */
export interface RelaySocket {
  send(bytes: Uint8Array): void;
  close(code: number, reason: string): void;
  /** Bytes accepted by send() that have not left yet, where the host knows. */
  readonly bufferedBytes?: number;
  /** Called when the socket is admitted: what `restore` needs after the host was put to sleep. */
  admitted?(admission: RelayAdmission): void;
}

/** Options of {@link createRelayCore}. */
export interface RelayCoreOptions {
  /** The public keys admitted now; asked at every admission. */
  admissionKeys(): readonly Uint8Array[];
  /** What hubs name in their tokens, e.g. `wss://relay.example`. */
  readonly origin: string;
  readonly clock?: Clock;
  readonly limits?: Partial<RelayLimits>;
}

/** What a relay counts. */
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
  restore(socket: RelaySocket, admission: RelayAdmission): void;
  /** One binary message. Never throws. */
  message(socket: RelaySocket, bytes: Uint8Array): void;
  /** The socket is gone. Idempotent. */
  closed(socket: RelaySocket): void;
  /** Tells everybody that the relay goes away, and closes; each socket is told its own time to come back. */
  restart(withinMs: number, tryForMs: number): void;
  /** Closes the admitted sockets whose cluster is no longer among the admission keys. */
  recheck(tags: ReadonlySet<string>): void;
  stats(): RelayStats;
}

interface Peer {
  readonly socket: RelaySocket;
  readonly admission: RelayAdmission;
  readonly route: Uint8Array;
  readonly cluster: Cluster;
  readonly messages: TokenBucket;
  readonly bytes: TokenBucket;
  sentBytes: number;
  ackedBytes: number;
  lastProgressMs: number;
  quietUntilMs: number;
  /** Frames other than RECV sent while much was waiting to leave: credit does not bound those. */
  unreadAnswers: number;
  /** After a sleep the hub's count goes on where the relay's began anew: the first acknowledgement tells by how much. */
  countBase: number | undefined;
}

interface Cluster {
  readonly tag: string;
  readonly peers: Map<string, Peer>;
  readonly messages: TokenBucket;
  readonly bytes: TokenBucket;
}

/** A relay for the clusters whose keys it is given. Without keys it admits nobody. */
export function createRelayCore(options: RelayCoreOptions): RelayCore {
  const clock = options.clock ?? systemClock;
  const limits: RelayLimits = { ...defaultRelayLimits, ...options.limits };
  const admissions = createAdmissions<RelaySocket>({
    admissionKeys: () => options.admissionKeys(),
    origin: options.origin,
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
    const { cluster, admission } = peer;
    if (cluster.peers.get(admission.route) !== peer) return;
    cluster.peers.delete(admission.route);
    if (cluster.peers.size === 0) clusters.delete(cluster.tag);
    announce(peer, false);
  }

  function announce(peer: Peer, present: boolean): void {
    if (peer.admission.class !== "hub") return;
    const frame = encodeFrame({ type: "peer", route: peer.route, present });
    for (const other of peer.cluster.peers.values()) {
      if (other !== peer && other.admission.class === "hub") tell(other, frame);
    }
  }

  /** Sends anything but a RECV, unless nobody reads at the other end. */
  function tell(peer: Peer, frame: Uint8Array): void {
    if (!admitted.has(peer.socket)) return;
    if ((peer.socket.bufferedBytes ?? 0) <= unreadBytes) peer.unreadAnswers = 0;
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
        messages: createTokenBucket(limits.clusterMessages, nowMs),
        bytes: createTokenBucket(limits.clusterBytes, nowMs),
      };
      clusters.set(tag, cluster);
    }
    return cluster;
  }

  /** Puts an admitted socket into its cluster; false when the cluster is full. */
  function enter(socket: RelaySocket, admission: RelayAdmission, restored: boolean): boolean {
    const old = clusters.get(admission.tag)?.peers.get(admission.route);
    if (old === undefined && isFull(admission)) {
      end(socket, closeCode.full, "RELAY_FULL", 60);
      return false;
    }
    const cluster = clusterOf(admission.tag);
    const nowMs = clock.monotonicMs();
    const peer: Peer = {
      socket,
      admission,
      route: decodeBase64Url(admission.route),
      cluster,
      messages: createTokenBucket(limits.socketMessages, nowMs),
      bytes: createTokenBucket(limits.socketBytes, nowMs),
      sentBytes: 0,
      ackedBytes: 0,
      lastProgressMs: nowMs,
      quietUntilMs: 0,
      unreadAnswers: 0,
      countBase: restored ? undefined : 0,
    };
    cluster.peers.set(admission.route, peer);
    admitted.set(socket, peer);
    if (restored) return true;
    socket.send(encodeFrame({ type: "welcome", creditBytes: limits.creditBytes }));
    if (old !== undefined) end(old.socket, closeCode.replaced, "RELAY_REPLACED");
    else announce(peer, true);
    if (admission.class === "hub") {
      for (const other of cluster.peers.values()) {
        if (other === peer || other.admission.class !== "hub") continue;
        socket.send(encodeFrame({ type: "peer", route: other.route, present: true }));
      }
    }
    return true;
  }

  function isFull(admission: RelayAdmission): boolean {
    let count = 0;
    for (const peer of clusters.get(admission.tag)?.peers.values() ?? []) {
      if (peer.admission.class === admission.class) count++;
    }
    return count >= (admission.class === "hub" ? limits.maxHubsPerCluster : limits.maxGuestsPerCluster);
  }

  function peerMessage(peer: Peer, bytes: Uint8Array): void {
    if (peer.admission.expires * 1000 <= clock.nowMs()) {
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
      acknowledge(peer, frame.processedBytes);
      return;
    }
    if (frame.type !== "send") throw new RelayError({ code: "PROTOCOL_ERROR", message: "Not a frame for a relay." });
    if (excess !== undefined) {
      drop(peer, frame.route, resetReason.rate);
      return;
    }
    forward(peer, frame);
  }

  /**
   * Which rate this message exceeds, if any; announces a wait once per throttling. What the socket's own rate refuses is
   * not charged to its cluster: else one socket that ignores RATE would use up what all others share.
   */
  function charge(peer: Peer, length: number): "socket" | "cluster" | undefined {
    const nowMs = clock.monotonicMs();
    const { cluster } = peer;
    const own = [peer.messages.take(1, nowMs), peer.bytes.take(length, nowMs)];
    const excess = own.some(({ refused }) => refused);
    const shared = excess ? [] : [cluster.messages.take(1, nowMs), cluster.bytes.take(length, nowMs)];
    const waitMs = Math.max(...[...own, ...shared].map((one) => one.waitMs));
    if (waitMs > 0 && nowMs >= peer.quietUntilMs) {
      peer.quietUntilMs = nowMs + waitMs;
      tell(peer, encodeFrame({ type: "rate", waitMs }));
    }
    if (excess) return "socket";
    return shared.some(({ refused }) => refused) ? "cluster" : undefined;
  }

  function acknowledge(peer: Peer, countedBytes: number): void {
    peer.countBase ??= countedBytes - peer.sentBytes;
    const processedBytes = countedBytes - peer.countBase;
    if (processedBytes < peer.ackedBytes || processedBytes > peer.sentBytes) {
      throw new RelayError({ code: "PROTOCOL_ERROR", message: "An acknowledgement out of range." });
    }
    if (processedBytes > peer.ackedBytes) peer.lastProgressMs = clock.monotonicMs();
    peer.ackedBytes = processedBytes;
  }

  function forward(peer: Peer, frame: Extract<Frame, { type: "send" | "recv" }>): void {
    const target = peer.cluster.peers.get(encodeBase64Url(frame.route));
    const hidden = target?.admission.class === "guest" && peer.admission.class === "guest";
    if (target === undefined || hidden || target.admission.expires * 1000 <= clock.nowMs()) {
      if (target !== undefined && !hidden) end(target.socket, closeCode.expired, "TOKEN_EXPIRED");
      counts.droppedFrames++;
      tell(peer, encodeFrame({ type: "noRoute", route: frame.route }));
      return;
    }
    const nowMs = clock.monotonicMs();
    const length = frame.payload.length;
    const outstanding = Math.max(target.sentBytes - target.ackedBytes, target.socket.bufferedBytes ?? 0);
    if (outstanding + length > limits.creditBytes) {
      if (nowMs - target.lastProgressMs > limits.slowReaderMs) {
        end(target.socket, closeCode.slowReader, "RELAY_SLOW_READER", 5);
      }
      drop(peer, frame.route, resetReason.busy);
      return;
    }
    if (target.sentBytes === target.ackedBytes) target.lastProgressMs = nowMs;
    target.sentBytes += length;
    counts.forwardedFrames++;
    counts.forwardedBytes += length;
    target.socket.send(encodeFrame({ type: "recv", route: peer.route, payload: frame.payload }));
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
    restore(socket, admission) {
      enter(socket, admission, true);
    },
    message(socket, bytes) {
      const isWaiting = admissions.has(socket);
      const peer = admitted.get(socket);
      try {
        const admission = isWaiting ? admissions.message(socket, bytes) : undefined;
        if (admission !== undefined && enter(socket, admission, false)) socket.admitted?.(admission);
        else if (peer !== undefined) peerMessage(peer, bytes);
      } catch (error) {
        const code = isFedError(error) ? (error.code as RelayErrorCode) : "PROTOCOL_ERROR";
        if (isWaiting) counts.refusedAdmissions++;
        if (code === "FRAME_TOO_LARGE") end(socket, closeCode.tooLarge, code, 60);
        else if (code === "FRAME_MALFORMED" || code === "PROTOCOL_ERROR") end(socket, closeCode.malformed, code, 60);
        else end(socket, closeCode.notAdmitted, code, 10);
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
        if (!tags.has(peer.admission.tag)) end(peer.socket, closeCode.notAdmitted, "TOKEN_KEY_UNKNOWN", 10);
      }
    },
    stats() {
      let outstandingBytes = 0;
      let guests = 0;
      for (const peer of admitted.values()) {
        outstandingBytes += peer.sentBytes - peer.ackedBytes;
        if (peer.admission.class === "guest") guests++;
      }
      const hubs = admitted.size - guests;
      return { awaiting: admissions.size, clusters: clusters.size, hubs, guests, outstandingBytes, ...counts };
    },
  };
}
