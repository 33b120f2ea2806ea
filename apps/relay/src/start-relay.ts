/** The relay as a Node process: HTTP and WebSockets around the relay core of `@fed/transport-relay`. */
import { createServer } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import {
  closeCode,
  clusterTag,
  createRelayCore,
  keepalive,
  maxFrameBytes,
  parseAdmissionKey,
  type RelayCore,
  type RelayLimits,
  type RelaySocket,
  type RelayStats,
  relaySubprotocol,
} from "@fed/transport-relay";
import { type WebSocket, WebSocketServer } from "ws";
import { RelayHostError } from "./errors.js";

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
  /** One line per event; never a route, a token or content. Default: silent. */
  log?(line: string): void;
  /** The operator's own capture of every byte that crosses the relay. */
  capture?(direction: "in" | "out", bytes: Uint8Array): void;
  readonly limits?: Partial<RelayLimits>;
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
 * @throws {RelayHostError} RELAY_PORT_IN_USE, RELAY_LISTEN_FAILED. @throws {RelayError} KEY_INVALID for a malformed key.
 */
export async function startRelay(options: StartRelayOptions): Promise<RunningRelay> {
  const { host = "127.0.0.1", log = () => {}, capture } = options;
  const added: Uint8Array[] = [];
  const given = options.admissionKeys;
  const fixed = typeof given === "function" ? undefined : given.map(parseAdmissionKey);
  // A malformed key is an error now, not a silent refusal at the first admission.
  const admissionKeys = () => [...(fixed ?? (given as () => readonly string[])().map(parseAdmissionKey)), ...added];

  admissionKeys();

  const http = createServer({ connectionsCheckingInterval: 1_000 }, (request, response) => {
    const healthy = request.method === "GET" && request.url === "/healthz";
    response.writeHead(healthy ? 200 : 404, { "content-type": "text/plain" }).end(healthy ? "ok\n" : "not found\n");
  });
  http.headersTimeout = 10_000;
  http.requestTimeout = 10_000;
  http.maxConnections = maxSockets;
  const port = await listen(http, host, options.port ?? 0);
  const url = options.origin ?? `ws://${host.includes(":") ? `[${host}]` : host}:${port}`;
  const core = createRelayCore({ admissionKeys, origin: url, ...(options.limits && { limits: options.limits }) });
  const server = new WebSocketServer({
    server: http,
    perMessageDeflate: false,
    maxPayload: maxFrameBytes,
    clientTracking: true,
    handleProtocols: (offered) => (offered.has(relaySubprotocol) ? relaySubprotocol : false),
  });
  const missed = new Map<WebSocket, number>();

  // From now on an error concerns one accept (too many open files, say) and must not end the process.
  server.on("error", (error) => log(`accept error: ${error.message}`));
  server.on("connection", (socket, { socket: raw }) => {
    socket.on("error", (error) => log(`socket error: ${error.message}`));
    if (socket.protocol !== relaySubprotocol) {
      socket.terminate();
      return;
    }
    attach(core, socket, raw, capture, log);
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
      core.restart(restartWithinMs, restartTryForMs);
      const grace = setTimeout(() => {
        for (const socket of server.clients) socket.terminate();
      }, closeGraceMs);
      server.close();
      http.closeIdleConnections();
      await new Promise((resolve) => http.close(resolve));
      clearTimeout(grace);
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

function attach(
  core: RelayCore,
  socket: WebSocket,
  raw: Socket,
  capture: StartRelayOptions["capture"],
  log: (line: string) => void,
): void {
  const relaySide: RelaySocket = {
    get bufferedBytes() {
      return socket.bufferedAmount;
    },
    send(bytes) {
      capture?.("out", bytes);
      socket.send(bytes);
    },
    close(code, reason) {
      log(`socket closed: ${code} ${reason}`);
      socket.close(code, reason);
      // A peer that does not read would never see the close frame, and never answer it.
      setTimeout(() => socket.terminate(), closeGraceMs).unref();
    },
    admitted({ class: cls }) {
      raw.off("data", limitUnadmitted);
      log(`admitted a ${cls}`);
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
    core.message(relaySide, bytes);
  });
  socket.on("close", () => core.closed(relaySide));
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
