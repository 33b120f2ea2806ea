/** Starting a session on a connection: docs/spec/session.md §3. */
import {
  type Clock,
  type Connection,
  equalBytes,
  type FedError,
  PeerError,
  randomBytes,
  type Session,
  type SessionHandler,
  systemClock,
  toFedError,
} from "@fed/core";
import { asSessionEnd, protocolError, SessionError } from "./errors.js";
import { encodeFrame, FLAG_CLOSE_SESSION, FRAME_GOAWAY, FRAME_RESUME, FrameReader, MAX_REASON_BYTES } from "./frame.js";
import { resolveLimits, type SessionLimits } from "./limits.js";
import { decodeReason, encodeReason } from "./reason.js";
import { decodeResume, encodeResume, type Resume } from "./resume.js";
import { LiveSession } from "./session.js";

/** Options of {@link createSession}. */
export interface SessionOptions {
  /** This hub's boot nonce, 16 bytes. */
  readonly epoch: Uint8Array;
  /** Takes the streams the peer opens. Never called before the promise has resolved. */
  readonly handler: SessionHandler;
  /** Default: the machine's clock. */
  readonly clock?: Clock;
  readonly limits?: Partial<SessionLimits>;
  /** How long the peer may take to answer. Default 5000 ms. */
  readonly handshakeTimeoutMs?: number;
}

/** Smallest message a connection must carry: the longest reason fits. */
const MIN_CONNECTION_BYTES = 2 * MAX_REASON_BYTES;

/**
 * Starts a session on `connection`, which it takes over from here on. Resolves when the peer's RESUME has arrived.
 * @throws {SessionError} NOT_AUTHENTICATED when the connection has no authenticated peer, CONNECTION_TOO_NARROW when it
 * carries less than 4 KiB at a time, INVALID_OPTION (in these three cases the connection is left alone);
 * HANDSHAKE_TIMEOUT, PROTOCOL_ERROR, CLOSED, or the transport's error when the peer does not answer as it should.
 */
export async function createSession(connection: Connection, options: SessionOptions): Promise<Session> {
  const limits = resolveLimits(options.limits);
  const { peer } = connection;
  if (!peer) {
    throw new SessionError({
      code: "NOT_AUTHENTICATED",
      message: "A session needs a peer that the transport has authenticated.",
      hint: "Guests speak the pairing protocol only.",
    });
  }
  if (options.epoch.length !== 16) {
    throw new SessionError({ code: "INVALID_OPTION", message: "The epoch is not 16 bytes long." });
  }
  if (connection.maxMessageBytes < MIN_CONNECTION_BYTES) {
    throw new SessionError({
      code: "CONNECTION_TOO_NARROW",
      message: `The connection carries ${connection.maxMessageBytes} bytes at a time; a session needs ${MIN_CONNECTION_BYTES}.`,
    });
  }

  const clock = options.clock ?? systemClock;
  const sessionId = randomBytes(16);
  const answer = Promise.withResolvers<LiveSession>();
  let session: LiveSession | undefined;
  /** Messages that arrive before the caller holds the session. */
  let held: Uint8Array[] | undefined = [];
  let failed = false;

  const fail = (error: FedError, tell: boolean) => {
    if (failed) return;
    failed = true;
    timer.cancel();
    if (tell) sendLastWord(connection, error);
    connection.close(tell ? undefined : error);
    answer.reject(error);
  };
  const timer = clock.setTimer(options.handshakeTimeoutMs ?? 5000, () => fail(handshakeTimeout(), false));
  const sendResume = (id: Uint8Array) => {
    const resume: Resume = { sessionId: id, epoch: options.epoch, nextSequence: 0, limits };
    connection.send(encodeFrame(FRAME_RESUME, 0, 0, encodeResume(resume)));
  };
  const release = () => {
    const messages = held;
    held = undefined;
    for (const bytes of messages ?? []) session?.message(bytes);
  };
  const takeFirst = (bytes: Uint8Array) => {
    const reader = new FrameReader();
    reader.load(bytes);
    if (!reader.next()) throw protocolError("The first message is empty.");
    if (reader.type === FRAME_GOAWAY) throw decodeReason(reader.body().subarray(4));
    if (reader.type !== FRAME_RESUME) throw protocolError("The first frame is not RESUME.");
    const resume = decodeResume(reader.body());
    if (connection.role === "responder") {
      // A session that this side does not hold any more starts afresh, under an id that says so.
      sendResume(resume.nextSequence === 0 ? resume.sessionId : sessionId);
    } else if (resume.nextSequence !== 0 || !equalBytes(resume.sessionId, sessionId)) {
      throw protocolError("The peer answered for another session.");
    }
    timer.cancel();
    session = new LiveSession({ connection, peer, handler: options.handler, clock, limits, resume });
    const rest = bytes.subarray(reader.end);
    if (rest.length > 0) held?.push(rest);
    answer.resolve(session);
  };

  connection.start({
    message(bytes) {
      if (!held) return session?.message(bytes);
      if (session) return void held.push(bytes);
      if (failed) return;
      try {
        takeFirst(bytes);
      } catch (cause) {
        fail(asSessionEnd(cause), !(cause instanceof PeerError));
      }
    },
    closed(error) {
      if (!session) return fail(error ?? closedEarly(), false);
      release();
      session.transportClosed(error);
    },
  });
  try {
    if (connection.role === "initiator") sendResume(sessionId);
  } catch (cause) {
    fail(toFedError(cause), false);
  }
  const live = await answer.promise;
  // The caller's own continuation runs first: a handler may rely on the session it was made for.
  void Promise.resolve().then(undefined).then(undefined).then(release);
  return live;
}

function sendLastWord(connection: Connection, error: FedError): void {
  const reason = encodeReason(error);
  const body = new Uint8Array(4 + reason.length);
  body.set(reason, 4);
  try {
    connection.send(encodeFrame(FRAME_GOAWAY, FLAG_CLOSE_SESSION, 0, body));
  } catch {
    // The connection is gone: nobody is left to be told.
  }
}

function handshakeTimeout(): SessionError {
  return new SessionError({
    code: "HANDSHAKE_TIMEOUT",
    message: "The peer did not start the session in time.",
    hint: "Check that the other end is a hub of this version.",
    retryable: true,
  });
}

function closedEarly(): SessionError {
  return new SessionError({
    code: "CLOSED",
    message: "The connection ended before the session began.",
    retryable: true,
  });
}
