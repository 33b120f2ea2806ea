/** Accepting connections: caps before TLS, TLS, judgement, verdicts; every refusal is reported with its reason. */
import { createServer as createTcpServer, type Socket } from "node:net";
import { setImmediate } from "node:timers/promises";
import { createServer as createTlsServer, type SecureContextOptions, type TLSSocket } from "node:tls";
import {
  type Clock,
  CoreError,
  type HubId,
  type ListenHandler,
  type PeerAuthenticator,
  type PeerIdentity,
  toFedError,
} from "@fed/core";
import { formatAddress } from "./address.js";
import { createAdmission } from "./admission.js";
import { type Attempt, createAttempts, sourceOf } from "./attempt.js";
import { bind } from "./bind.js";
import { LanConnection } from "./connection.js";
import { LanError } from "./errors.js";
import { guestAlpn, memberAlpn } from "./guest.js";
import { createGuestGate } from "./guest-gate.js";
import { exchangeVerdicts, handshakeError, refuse } from "./handshake.js";
import { judgeMember } from "./judge.js";
import { type LanLimits, maxGuestMessageBytes } from "./limits.js";
import { createRateLimit } from "./rate-limit.js";

/** What {@link acceptLan} needs. */
export interface AcceptOptions {
  readonly self: HubId;
  readonly authenticator: PeerAuthenticator;
  readonly context: SecureContextOptions;
  /** What whoever asks is greeted with, as TLS carries it; undefined: nothing. */
  readonly stapled: Uint8Array | undefined;
  readonly limits: LanLimits;
  readonly clock: Clock;
  /** Address to bind; undefined: all, IPv6 and IPv4. */
  readonly host: string | undefined;
  /** 0: any free one. */
  readonly port: number;
}

/** A bound port that accepts hubs. */
export interface Acceptor {
  /** What it is bound to; `::` or `0.0.0.0` for everything. */
  readonly host: string;
  readonly port: number;
  /** New handshakes use `context`. */
  setContext(context: SecureContextOptions): void;
  /** Stops accepting and ends unfinished handshakes; finished connections live on. */
  close(): Promise<void>;
}

/**
 * Binds and accepts.
 * @throws {LanError} LAN_PORT_IN_USE, LAN_LISTEN_FAILED.
 */
export async function acceptLan(options: AcceptOptions, handler: ListenHandler): Promise<Acceptor> {
  const { clock, limits } = options;
  const guests = createGuestGate(clock, limits);
  const floodReports = createRateLimit(clock, 1, 1);
  const attempts = createAttempts({
    clock,
    admission: createAdmission(clock, limits),
    timeoutMs: limits.handshakeTimeoutMs,
    refused: (source, error) => handler.refused?.(source, error),
  });
  const tls = createTlsServer({
    ...options.context,
    ALPNProtocols: [memberAlpn, guestAlpn],
    requestCert: true,
    // Judged below, where the reason is known and can be told and logged.
    rejectUnauthorized: false,
    // Our own deadline covers the verdicts too and is reported; Node's must not come first.
    handshakeTimeout: 2 * limits.handshakeTimeoutMs,
  });
  tls.on("tlsClientError", (cause, socket) => {
    attempts.find(socket)?.fail(handshakeError(cause));
    socket.destroy();
  });
  const { stapled } = options;
  if (stapled) tls.on("OCSPRequest", (_certificate, _issuer, reply) => reply(null, Buffer.from(stapled)));
  tls.on("secureConnection", (socket) => {
    socket.on("error", () => {});
    const attempt = attempts.find(socket);
    if (attempt) void agree(socket, attempt);
    else socket.destroy();
  });

  function begin(raw: Socket): void {
    raw.on("error", () => {});
    try {
      attempts.begin(raw);
    } catch (cause) {
      // A flood of connections must not become a flood of log lines.
      if (floodReports.take()) handler.refused?.(sourceOf(raw), toFedError(cause));
      raw.destroy();
      return;
    }
    raw.setNoDelay(true);
    raw.setKeepAlive(true, 15_000);
    tls.emit("connection", raw);
  }

  async function agree(socket: TLSSocket, attempt: Attempt): Promise<void> {
    const leave: { guest?: () => void } = {};
    try {
      const peer = judge(socket, leave);
      const agreement = await exchangeVerdicts(socket, peer ? limits.maxMessageBytes : maxGuestMessageBytes);
      if (!attempt.succeed()) throw new LanError({ code: "HANDSHAKE_TIMEOUT", message: "Too late." });
      const connection = new LanConnection({
        ...agreement,
        socket,
        role: "responder",
        peer,
        remoteAddress: formatAddress(attempt.source, socket.remotePort ?? 0),
        limits,
        clock,
      });
      if (peer) {
        handler.connection(connection);
      } else {
        limitStay(socket, connection, leave.guest);
        handler.guest?.(connection);
      }
    } catch (cause) {
      leave.guest?.();
      attempt.fail(toFedError(cause));
      // A refused socket ends by itself once the reason is out.
      if (!socket.writableEnded) socket.destroy();
    }
  }

  /** Who is there; undefined for a guest. Whoever is refused has been told why when this throws. */
  function judge(socket: TLSSocket, leave: { guest?: () => void }): PeerIdentity | undefined {
    try {
      if (socket.alpnProtocol === memberAlpn) return judgeMember(socket, options.authenticator, { self: options.self });
      if (socket.alpnProtocol !== guestAlpn) {
        throw new LanError({ code: "WRONG_PROTOCOL", message: "The other side named no protocol of ours." });
      }
      if (!handler.guest) {
        throw new CoreError({
          code: "GUEST_REFUSED",
          message: "This hub takes no guests now.",
          hint: "Make a pairing token on it first.",
        });
      }
      leave.guest = guests.enter();
      return undefined;
    } catch (cause) {
      refuse(socket, toFedError(cause));
      throw cause;
    }
  }

  function limitStay(socket: TLSSocket, connection: LanConnection, leave: (() => void) | undefined): void {
    const timer = clock.setTimer(limits.guestLifetimeMs, () =>
      connection.close(new LanError({ code: "GUEST_EXPIRED", message: "A guest stayed for too long." })),
    );
    socket.once("close", () => {
      timer.cancel();
      leave?.();
    });
  }

  const server = createTcpServer(begin);
  await bind(server, options);
  // From now on an error concerns one accept (too many open files, say) and must not end the process.
  server.on("error", () => {});
  const bound = server.address() as { address: string; port: number };
  return {
    host: bound.address,
    port: bound.port,
    setContext: (context) => tls.setSecureContext(context),
    async close() {
      // Its callback would wait for connections that live on; the port itself is free after this turn.
      server.close();
      attempts.destroyAll();
      await setImmediate();
    },
  };
}
