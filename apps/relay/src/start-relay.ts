/** The relay as a Node process: HTTP and WebSockets around the relay core of `@fed/transport-relay`. */
import { createServer } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import {
  closeCode,
  clusterTag,
  createRelayCore,
  formatRedirect,
  keepalive,
  maxFrameBytes,
  parseAdmissionKey,
  type RelayCore,
  type RelayLimits,
  type RelaySocket,
  type RelayStats,
  refusalOf,
  relaySubprotocol,
  verifyUpgrade,
} from "@fed/transport-relay/core";
import { type WebSocket, WebSocketServer } from "ws";
import { RelayHostError } from "./errors.js";
import { connectNodeBus } from "./node-bus.js";
import { checkNodes, createRelayNodes, type RelayNodes } from "./relay-nodes.js";

const pingEveryMs = 25_000;
const maxMissedPings = 2;
const maxSockets = 4_096;
/** All that a socket may send before it is admitted: the HTTP upgrade, a token of 1 KiB and a signature, with room to spare. */
const maxUnadmittedBytes = 16_384;
/** A hub sends one every 25 s; a network that stalled delivers a few at once. */
const maxKeepalivesPerMinute = 10;
const closeGraceMs = 2_000;
const restartWithinMs = 5_000;
const restartTryForMs = 60_000;

/** Options of {@link startRelay}. */
export interface StartRelayOptions {
  /** Default `127.0.0.1`. */
  readonly host?: string;
  /** Default 0: any free port. */
  readonly port?: number;
  /** `fedrelay1.` keys of the clusters to serve; a function is asked at every admission. None: nobody is admitted. */
  readonly admissionKeys: readonly string[] | (() => readonly string[]);
  /** What hubs use to get here, when it is not `ws://host:port`: behind a TLS proxy `wss://relay.example`. */
  readonly origin?: string;
  /** This node's part in a relay of several; default: it is alone. */
  readonly several?: RelayNodeOptions;
  /** One line per event; never a route, a token or content. Default: silent. */
  log?(line: string): void;
  /** The operator's own capture of every byte that crosses the relay. */
  capture?(direction: "in" | "out", bytes: Uint8Array): void;
  readonly limits?: Partial<RelayLimits>;
}

/** One of several nodes. */
export interface RelayNodeOptions {
  /** The URL under which hubs reach this node; one of `nodes`. Tokens may name any of them, or `origin`. */
  readonly node: string;
  /** All nodes, the same list at each. */
  readonly nodes: readonly string[];
  /** URL of the NATS server that they share. Without it a node that is down keeps its clusters. */
  readonly nats?: string;
}

/** A relay that runs. */
export interface RunningRelay extends AsyncDisposable {
  /** What hubs use: the origin. */
  readonly url: string;
  readonly port: number;
  /** Admits one more cluster. @throws {RelayError} KEY_INVALID. */
  addAdmissionKey(key: string): void;
  /** Closes the connections of clusters that are no longer admitted; for when a keys function answers anew. */
  recheckAdmissions(): void;
  stats(): RelayStats;
  /** Tells everybody to come back later, and stops. Idempotent. */
  close(): Promise<void>;
}

/**
 * Starts a relay.
 * @throws {RelayHostError} RELAY_PORT_IN_USE, RELAY_LISTEN_FAILED, NODES_INVALID, NATS_NOT_INSTALLED, NATS_UNREACHABLE. @throws {RelayError} KEY_INVALID for a malformed key.
 */
export async function startRelay(options: StartRelayOptions): Promise<RunningRelay> {
  const { host = "127.0.0.1", log = () => {}, capture } = options;
  const added: Uint8Array[] = [];
  const given = options.admissionKeys;
  const fixed = typeof given === "function" ? undefined : given.map(parseAdmissionKey);
  // A malformed key is an error now, not a silent refusal at the first admission.
  const admissionKeys = () => [...(fixed ?? (given as () => readonly string[])().map(parseAdmissionKey)), ...added];

  admissionKeys();
  const { several } = options;
  if (several !== undefined) checkNodes(several.node, several.nodes);
  const bus = several?.nats === undefined ? undefined : await connectNodeBus(several.nats, log);

  const http = createServer({ connectionsCheckingInterval: 1_000 }, (request, response) => {
    const healthy = request.method === "GET" && request.url === "/healthz";
    response.writeHead(healthy ? 200 : 404, { "content-type": "text/plain" }).end(healthy ? "ok\n" : "not found\n");
  });
  http.headersTimeout = 10_000;
  http.requestTimeout = 10_000;
  http.maxConnections = maxSockets;
  const port = await listen(http, host, options.port ?? 0).catch(async (error: unknown) => {
    await bus?.close();
    throw error;
  });
  const url = options.origin ?? several?.node ?? `ws://${host.includes(":") ? `[${host}]` : host}:${port}`;
  const origins = [url, ...(several?.nodes ?? [])];
  const core = createRelayCore({ admissionKeys, origin: origins, ...(options.limits && { limits: options.limits }) });
  const nodes = several && createRelayNodes({ ...several, core, log, ...(bus && { bus }) });
  const server = new WebSocketServer({
    server: http,
    perMessageDeflate: false,
    maxPayload: maxFrameBytes,
    clientTracking: true,
    handleProtocols: (offered) => (offered.has(relaySubprotocol) ? relaySubprotocol : false),
  });
  const missed = new Map<WebSocket, number>();

  /** How a socket is ended that may not come in here: only with several nodes, where its cluster must be known beforehand. */
  function turnAway(protocols: string): { code: number; reason: string } | undefined {
    if (nodes === undefined) return undefined;
    try {
      const offered = protocols.split(",").map((one) => one.trim());
      const check = { admissionKeys: admissionKeys(), origins, atMs: Date.now() };
      const target = nodes.elsewhere(verifyUpgrade(offered, check).tag);
      return target === undefined ? undefined : { code: closeCode.elsewhere, reason: formatRedirect(target) };
    } catch (error) {
      return refusalOf(error);
    }
  }

  // From now on an error concerns one accept (too many open files, say) and must not end the process.
  server.on("error", (error) => log(`accept error: ${error.message}`));
  server.on("connection", (socket, { socket: raw, headers }) => {
    socket.on("error", (error) => log(`socket error: ${error.message}`));
    if (socket.protocol !== relaySubprotocol) {
      socket.terminate();
      return;
    }
    const away = turnAway(headers["sec-websocket-protocol"] ?? "");
    if (away !== undefined) {
      log(`socket turned away: ${away.code}`);
      socket.close(away.code, away.reason);
      setTimeout(() => socket.terminate(), closeGraceMs).unref();
      return;
    }
    attach({ core, nodes, capture, log }, socket, raw);
    missed.set(socket, 0);
    socket.on("pong", () => missed.set(socket, 0));
    socket.on("close", () => missed.delete(socket));
  });

  const pings = setInterval(() => {
    for (const [socket, count] of missed) {
      if (count >= maxMissedPings) socket.terminate();
      else {
        missed.set(socket, count + 1);
        socket.ping();
      }
    }
  }, pingEveryMs);
  pings.unref();
  log(`relay listening at ${url}`);

  let closing: Promise<void> | undefined;
  function close(): Promise<void> {
    closing ??= (async () => {
      clearInterval(pings);
      nodes?.leave();
      core.restart(restartWithinMs, restartTryForMs);
      const grace = setTimeout(() => {
        for (const socket of server.clients) socket.terminate();
      }, closeGraceMs);
      server.close();
      http.closeIdleConnections();
      await new Promise((resolve) => http.close(resolve));
      clearTimeout(grace);
      await nodes?.close();
      log("relay stopped");
    })();
    return closing;
  }

  return {
    url,
    port,
    addAdmissionKey: (key) => void added.push(parseAdmissionKey(key)),
    recheckAdmissions: () => core.recheck(new Set(admissionKeys().map(clusterTag))),
    stats: core.stats,
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** What every socket is attached to. */
interface Host {
  readonly core: RelayCore;
  readonly nodes: RelayNodes | undefined;
  readonly capture: StartRelayOptions["capture"];
  readonly log: (line: string) => void;
}

function attach({ core, nodes, capture, log }: Host, socket: WebSocket, raw: Socket): void {
  /** What is forwarded in one turn goes out in one write: the system call is most of what forwarding costs. */
  let isGathering = false;
  const flush = () => {
    isGathering = false;
    raw.uncork();
  };
  const relaySide: RelaySocket = {
    get bufferedBytes() {
      return socket.bufferedAmount;
    },
    send(bytes) {
      capture?.("out", bytes);
      if (!isGathering) {
        isGathering = true;
        raw.cork();
        process.nextTick(flush);
      }
      socket.send(bytes);
    },
    close(code, reason) {
      log(`socket closed: ${code} ${reason}`);
      nodes?.left(relaySide);
      socket.close(code, reason);
      // A peer that does not read would never see the close frame, and never answer it.
      setTimeout(() => socket.terminate(), closeGraceMs).unref();
    },
    admitted(place) {
      raw.off("data", limitUnadmitted);
      nodes?.arrived(relaySide, place);
      log(`admitted a ${place.class}`);
    },
  };
  /** Ends the socket for what the core does not see. */
  function refuse(code: number, reason: string): void {
    core.closed(relaySide);
    relaySide.close(code, reason);
  }
  // A stranger's message is not collected up to the size that members may send.
  function limitUnadmitted(): void {
    if (raw.bytesRead <= maxUnadmittedBytes) return;
    raw.off("data", limitUnadmitted);
    raw.pause();
    refuse(closeCode.tooLarge, "FRAME_TOO_LARGE retry-after=60");
  }
  raw.on("data", limitUnadmitted);
  let keepalives = { sinceMs: performance.now(), count: 0 };
  core.open(relaySide);
  socket.on("message", (data, isBinary) => {
    // What was under way when the socket was closed.
    if (socket.readyState !== socket.OPEN) return;
    const bytes = data as Buffer;
    if (!isBinary) {
      const nowMs = performance.now();
      if (nowMs - keepalives.sinceMs > 60_000) keepalives = { sinceMs: nowMs, count: 0 };
      if (bytes.length !== keepalive.ping.length || bytes.toString() !== keepalive.ping) {
        refuse(closeCode.malformed, "FRAME_MALFORMED");
      } else if (++keepalives.count > maxKeepalivesPerMinute) {
        refuse(closeCode.rateExceeded, "RELAY_RATE_EXCEEDED retry-after=5");
      } else socket.send(keepalive.pong);
      return;
    }
    capture?.("in", bytes);
    // Cutting up a Buffer costs several times what cutting up its bytes does.
    core.message(relaySide, new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  });
  socket.on("close", () => {
    core.closed(relaySide);
    nodes?.left(relaySide);
  });
}

function listen(http: ReturnType<typeof createServer>, host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    http.once("error", (cause: NodeJS.ErrnoException) => {
      const inUse = cause.code === "EADDRINUSE";
      reject(
        new RelayHostError({
          code: inUse ? "RELAY_PORT_IN_USE" : "RELAY_LISTEN_FAILED",
          message: inUse ? `Port ${port} is in use.` : `The relay cannot listen at ${host}:${port}.`,
          hint: inUse ? "Choose another port, or 0 for any." : "Is this address one of this machine's?",
          cause,
        }),
      );
    });
    http.listen({ host, port }, () => resolve((http.address() as AddressInfo).port));
  });
}
