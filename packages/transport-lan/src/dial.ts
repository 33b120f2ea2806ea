/** Connecting: TCP, TLS, judgement, verdicts, over whichever of a hub's addresses answers first; one deadline for all. */
import type { TcpSocketConnectOpts } from "node:net";
import { type ConnectionOptions, connect, type SecureContext, type TLSSocket } from "node:tls";
import { abortedError, type Clock, CoreError, type FedError, type PeerIdentity, throwIfAborted } from "@fed/core";
import type { Endpoint } from "./address.js";
import { formatAddress } from "./address.js";
import { LanConnection } from "./connection.js";
import { LanError } from "./errors.js";
import { FrameReader } from "./framing.js";
import { decodeGreeting, type LanGreeting } from "./greeting.js";
import {
  accept,
  exchangeVerdicts,
  handshakeError,
  noVerdictError,
  otherLimitError,
  refuse,
  timeoutError,
} from "./handshake.js";
import type { LanLimits } from "./limits.js";
import { type RaceEntry, race, resolveEndpoints } from "./race.js";
import { maxVerdictBytes } from "./verdict.js";

/** How to dial. */
export interface DialTlsOptions {
  readonly alpn: string;
  readonly context: SecureContext;
  /** Judges the responder; throws to refuse it. Undefined for one that has no identity to a guest. */
  readonly judge: (socket: TLSSocket) => PeerIdentity | undefined;
  readonly maxMessageBytes: number;
  /** Where a responder that greeted did not accept as it had said; undefined: none is asked to greet. */
  readonly wary: Set<string> | undefined;
  readonly limits: LanLimits;
  readonly clock: Clock;
  readonly signal?: AbortSignal | undefined;
}

/** Most addresses in {@link DialTlsOptions.wary}. */
const maxWary = 256;

/**
 * A connection to one of `endpoints`, which are one hub's, accepted by both sides; or, where the responder greets and gave
 * the verdict that it greets with when it was dialled there last, by this one.
 * @throws {FedError} UNREACHABLE, ABORTED, TLS_FAILED, WRONG_PROTOCOL, HANDSHAKE_TIMEOUT, what `judge` throws, or what
 * the responder refused with.
 */
export async function dialTls(endpoints: readonly Endpoint[], options: DialTlsOptions): Promise<LanConnection> {
  const { signal, clock, limits } = options;
  throwIfAborted(signal);
  const startedAtMs = clock.monotonicMs();
  const timeoutMs = limits.handshakeTimeoutMs;
  const resolved = await resolveEndpoints(endpoints, { clock, timeoutMs, signal });
  throwIfAborted(signal);
  if (resolved.length === 0) throw unreachable(endpoints[0]!);
  const leftMs = timeoutMs - (clock.monotonicMs() - startedAtMs);
  return race(resolved, (endpoint, entry) => attempt(endpoint, options, entry), { clock, timeoutMs: leftMs, signal });
}

async function attempt(endpoint: Endpoint, options: DialTlsOptions, entry: RaceEntry): Promise<LanConnection> {
  const { clock, limits, wary } = options;
  const remoteAddress = formatAddress(endpoint.host, endpoint.port);
  const endsAtMs = clock.monotonicMs() + entry.timeoutMs;
  const { signal } = entry;
  const target: ConnectionOptions & TcpSocketConnectOpts = {
    host: endpoint.host,
    port: endpoint.port,
    secureContext: options.context,
    ALPNProtocols: [options.alpn],
    servername: "",
    // Where a greeting has its place in TLS.
    requestOCSP: wary !== undefined,
    // Judged below, where the reason is known; names mean nothing here.
    rejectUnauthorized: false,
    checkServerIdentity: () => undefined,
  };
  const socket = connect(target);
  // An error event without a listener would end the process; every phase adds its own.
  socket.on("error", () => {});
  let interrupted: FedError | undefined;
  const interrupt = (error: FedError): void => {
    interrupted ??= error;
    socket.destroy();
  };
  let stapled: Uint8Array | null = null;
  socket.once("OCSPResponse", (bytes) => {
    stapled = bytes;
  });
  const phase = { connected: false };
  socket.once("connect", () => {
    phase.connected = true;
  });
  const onAbort = (): void => interrupt(abortedError(signal));
  signal.addEventListener("abort", onAbort, { once: true });
  const deadline = clock.setTimer(entry.timeoutMs, () =>
    interrupt(phase.connected ? timeoutError() : unreachable(endpoint)),
  );
  try {
    await untilSecure(socket, endpoint, phase);
    socket.setNoDelay(true);
    if (socket.alpnProtocol !== options.alpn) throw wrongProtocol();
    let peer: PeerIdentity | undefined;
    let greeted: LanGreeting | undefined;
    try {
      peer = options.judge(socket);
      greeted = wary && stapled ? decodeGreeting(stapled) : undefined;
    } catch (cause) {
      refuse(socket, handshakeError(cause));
      throw cause;
    }
    await entry.finish();
    if (interrupted) throw interrupted;
    // Nobody would tell a connection of what has happened while another attempt was about to finish.
    if (socket.destroyed) throw noVerdictError();
    const init = {
      socket,
      role: "initiator",
      peer,
      remoteAddress,
      limits,
      clock,
      greeting: greeted?.greeting,
    } as const;
    if (greeted && !wary?.has(remoteAddress)) {
      accept(socket, options.maxMessageBytes);
      return new LanConnection({
        ...init,
        reader: new FrameReader(maxVerdictBytes),
        maxMessageBytes: Math.min(options.maxMessageBytes, greeted.maxMessageBytes),
        verdict: {
          maxMessageBytes: greeted.maxMessageBytes,
          timeoutMs: endsAtMs - clock.monotonicMs(),
          missed: () => beWary(wary, remoteAddress),
        },
      });
    }
    const { reader, maxMessageBytes } = await exchangeVerdicts(socket, options.maxMessageBytes);
    if (interrupted) throw interrupted;
    if (greeted && maxMessageBytes !== Math.min(options.maxMessageBytes, greeted.maxMessageBytes))
      throw otherLimitError();
    wary?.delete(remoteAddress);
    return new LanConnection({ ...init, reader, maxMessageBytes });
  } catch (cause) {
    // A refused socket ends by itself once the reason is out.
    if (!socket.writableEnded) socket.destroy();
    throw interrupted ?? handshakeError(cause);
  } finally {
    deadline.cancel();
    signal.removeEventListener("abort", onAbort);
  }
}

/** The next dial waits for the verdict there, so that another address which accepts can win. */
function beWary(wary: Set<string> | undefined, address: string): void {
  if (!wary) return;
  wary.add(address);
  for (const oldest of wary) if (wary.size > maxWary) wary.delete(oldest);
}

function untilSecure(socket: TLSSocket, endpoint: Endpoint, phase: { readonly connected: boolean }): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (cause: unknown): void =>
      reject(phase.connected ? handshakeError(cause) : unreachable(endpoint, cause));
    socket.once("secureConnect", resolve);
    socket.once("error", fail);
    socket.once("close", () => fail(new Error("closed")));
  });
}

function unreachable(endpoint: Endpoint, cause?: unknown): CoreError {
  return new CoreError({
    code: "UNREACHABLE",
    message: `Nobody answers at ${formatAddress(endpoint.host, endpoint.port)}.`,
    hint: "Check that the hub runs, that both are on one network, and that no firewall drops the port.",
    retryable: true,
    cause,
  });
}

function wrongProtocol(): LanError {
  return new LanError({ code: "WRONG_PROTOCOL", message: "The other side speaks TLS but not this protocol." });
}
