/**
 * Where members are on their own networks, told over every session: hubs that are connected by the relay alone find each
 * other on the LAN though multicast is blocked there.
 *
 * ```
 * {"k":"lan","v":1}                 OPEN header; the session's initiator opens one, and both sides speak on it
 * {"lan":["<host:port>", …]}        everything that holds now, at most eight; again whenever it changes
 * ```
 */
import {
  type Clock,
  encodeUtf8,
  type FedError,
  type HubId,
  parseJson,
  type Session,
  type Stream,
  toFedError,
} from "@fed/core";
import type { LanTransport } from "@fed/transport-lan";
import { HubError } from "../errors.js";

/** Options of {@link createLanCandidates}. */
export interface LanCandidatesOptions {
  /** Undefined: this hub is not on the LAN; it listens to what peers say, and says nothing. */
  readonly lan: Pick<LanTransport, "watchAddresses" | "offerAddresses"> | undefined;
  readonly clock: Clock;
  /** A peer sent what is no such message. */
  readonly onRefused: (peer: HubId, error: FedError) => void;
}

/** Runs the streams of all sessions. */
export interface LanCandidates {
  /** Opens the stream on a session this hub dialled. */
  start(session: Session): void;
  /** Serves a stream that a peer opened. */
  serve(session: Session, stream: Stream): void;
}

const lanHeader: Uint8Array = encodeUtf8('{"k":"lan","v":1}');
const maxMessageBytes = 1_024;
const maxAddresses = 8;
const maxAddressChars = 64;
/** Between two messages that are read: a peer whose addresses seem to change all the time is heard this often. */
const gapMs = 1_000;

/** See {@link LanCandidates}. */
export function createLanCandidates({ lan, clock, onRefused }: LanCandidatesOptions): LanCandidates {
  const running = new WeakSet<Session>();

  async function run(session: Session, stream: Stream): Promise<void> {
    const peer = session.peer.hubId;
    if (running.has(session)) return stream.reset(invalid("A session has one lan stream."));
    running.add(session);
    const stop = lan?.watchAddresses((addresses) => {
      stream
        .send(encodeUtf8(JSON.stringify({ lan: addresses })))
        .catch((cause: unknown) => stream.reset(toFedError(cause)));
    });
    try {
      for (let bytes = await stream.receive(); bytes; bytes = await stream.receive()) {
        take(peer, bytes);
        await pause(clock, stream);
      }
    } catch (cause) {
      stream.reset(toFedError(cause));
    } finally {
      stop?.();
    }
  }

  function take(peer: HubId, bytes: Uint8Array): void {
    try {
      lan?.offerAddresses(peer, readAddresses(bytes));
    } catch (cause) {
      onRefused(peer, toFedError(cause));
      throw cause;
    }
  }

  return {
    start: (session) => void run(session, session.open(lanHeader, { priority: "control" })),
    serve: (session, stream) => void run(session, stream),
  };
}

function readAddresses(bytes: Uint8Array): string[] {
  const message = parseJson(bytes, { maxBytes: maxMessageBytes });
  const addresses = (message as { lan?: unknown } | null)?.lan;
  const fits = (address: unknown) => typeof address === "string" && address.length <= maxAddressChars;
  if (!Array.isArray(addresses) || addresses.length > maxAddresses || !addresses.every(fits)) {
    throw invalid("A lan message names at most eight addresses.");
  }
  return addresses;
}

/** Resolves after {@link gapMs}, or when the stream is over. */
async function pause(clock: Clock, stream: Stream): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = clock.setTimer(gapMs, resolve);
  await Promise.race([promise, stream.closed]);
  timer.cancel();
}

function invalid(message: string): HubError {
  return new HubError({ code: "REQUEST_INVALID", message });
}
