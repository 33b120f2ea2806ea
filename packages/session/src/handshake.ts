/**
 * The start of a connection under a session: docs/spec/session.md §3. The side that was dialled answers, so that it knows
 * of the session before the other does.
 */
import { type Clock, type Connection, type FedError, PeerError, type Session, toFedError } from "@fed/core";
import { asSessionEnd, protocolError, SessionError } from "./errors.js";
import { encodeFrame, FRAME_END, FRAME_RESUME, FrameReader } from "./frame.js";
import type { LivePath } from "./path.js";
import { decodeReason, encodeReason } from "./reason.js";
import { decodeResume, encodeResume, type Resume } from "./resume.js";

/** What a handshake leads to. */
export interface Met {
  readonly session: Session;
  readonly path: LivePath;
  /** What the path waits for before it hands on what has arrived; undefined: nothing. */
  readonly until: Promise<unknown> | undefined;
}

/** Options of {@link shakeHands}. */
export interface HandshakeOptions {
  readonly clock: Clock;
  readonly timeoutMs: number;
  /** What this side says, as things stand at that moment. */
  say(): Resume;
  /** Both have said theirs. A throw ends the connection with that error, and the peer is told. */
  meet(mine: Resume, theirs: Resume): Met;
}

/**
 * Begins on `connection`, which it takes over, and resolves with the session once the peer's RESUME has been met.
 * @throws {FedError} what the peer refuses with, what `meet` throws; {@link SessionError} HANDSHAKE_TIMEOUT, PROTOCOL_ERROR,
 * CLOSED.
 */
export function shakeHands(connection: Connection, options: HandshakeOptions): Promise<Session> {
  const { promise, resolve, reject } = Promise.withResolvers<Session>();
  let path: LivePath | undefined;
  /** Messages that the path may not hand on yet. */
  let held: Uint8Array[] | undefined;
  let failed = false;
  let said: Resume | undefined;

  const fail = (error: FedError, tell: boolean) => {
    if (failed) return;
    failed = true;
    timer.cancel();
    if (tell) sendLastWord(connection, error);
    connection.close(tell ? undefined : error);
    reject(error);
  };
  const timer = options.clock.setTimer(options.timeoutMs, () => fail(handshakeTimeout(), false));
  const release = () => {
    const messages = held ?? [];
    held = undefined;
    for (const bytes of messages) path?.message(bytes);
  };
  const say = (): Resume => {
    const mine = options.say();
    connection.send(encodeFrame(FRAME_RESUME, 0, 0, encodeResume(mine)));
    return mine;
  };
  const takeFirst = (bytes: Uint8Array) => {
    const reader = new FrameReader();
    reader.load(bytes);
    if (!reader.next()) throw protocolError("The first message is empty.");
    if (reader.type === FRAME_END) throw endedBy(reader.body());
    if (reader.type !== FRAME_RESUME) throw protocolError("The first frame is not RESUME.");
    const theirs = decodeResume(reader.body());
    const met = options.meet(said ?? say(), theirs);
    timer.cancel();
    path = met.path;
    const rest = bytes.subarray(reader.end);
    if (met.until) {
      held = rest.length > 0 ? [rest] : [];
      void met.until.then(release);
    } else if (rest.length > 0) {
      path.message(rest);
    }
    resolve(met.session);
  };

  connection.start({
    message(bytes) {
      if (held) return void held.push(bytes);
      if (path) return path.message(bytes);
      if (failed) return;
      try {
        takeFirst(bytes);
      } catch (cause) {
        fail(asSessionEnd(cause), !(cause instanceof PeerError));
      }
    },
    closed(error) {
      if (!path) return fail(error ?? closedEarly(), false);
      release();
      path.connectionClosed(error);
    },
  });
  try {
    if (connection.role === "initiator") said = say();
  } catch (cause) {
    fail(toFedError(cause), false);
  }
  return promise;
}

function endedBy(reason: Uint8Array): FedError {
  return reason.length === 0 ? closedEarly() : decodeReason(reason);
}

function sendLastWord(connection: Connection, error: FedError): void {
  try {
    connection.send(encodeFrame(FRAME_END, 0, 0, encodeReason(error)));
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
