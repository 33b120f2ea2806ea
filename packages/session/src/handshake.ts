/**
 * The start of a connection under a session: docs/spec/session.md §3. The side that was dialled answers, so that it knows
 * of the session before the other does; or the other begins it without waiting for the answer.
 */
import { type Clock, type Connection, type FedError, PeerError, type Session } from "@fed/core";
import { asSessionEnd, closedEarlyError, handshakeTimeoutError, protocolError } from "./errors.js";
import { encodeFrame, FRAME_END, FRAME_RESUME, FrameReader } from "./frame.js";
import type { LivePath } from "./path.js";
import { decodeReason, encodeReason } from "./reason.js";
import { decodeResume, encodeResume, type Resume } from "./resume.js";
import type { LiveSession } from "./session.js";

/** What a handshake leads to. */
export interface Met {
  readonly session: Session;
  readonly path: LivePath;
  /** What the path waits for before it hands on what has arrived; undefined: nothing. */
  readonly until: Promise<unknown> | undefined;
}

/** A session that goes over the connection before the peer has answered there. */
export interface Begun {
  readonly session: LiveSession;
  readonly path: LivePath;
}

/** Options of {@link shakeHands}. */
export interface HandshakeOptions {
  readonly clock: Clock;
  readonly timeoutMs: number;
  /** What this side says, as things stand at that moment. */
  say(): Resume;
  /** Begins the session that RESUME has just called early. */
  begin(): Begun;
  /** Told of it. */
  readonly early: ((session: Session) => void) | undefined;
  /**
   * Both have said theirs, or this side is about to: which session it is. What it returns is called once RESUME is sent.
   * A throw refuses the connection, and the peer is told.
   */
  meet(mine: Resume, theirs: Resume, begun: Begun | undefined): () => Met;
}

/**
 * Begins on `connection`, which it takes over, and resolves with the session once the peer's RESUME has been met.
 * @throws {FedError} what the peer refuses with, what `say`, `begin` and `meet` throw; {@link SessionError} HANDSHAKE_TIMEOUT,
 * PROTOCOL_ERROR, CLOSED.
 */
export function shakeHands(connection: Connection, options: HandshakeOptions): Promise<Session> {
  const { promise, resolve, reject } = Promise.withResolvers<Session>();
  let path: LivePath | undefined;
  /** Messages that the path may not hand on yet. */
  let held: Uint8Array[] | undefined;
  let failed = false;
  let said: Resume | undefined;
  let begun: Begun | undefined;

  const fail = (error: FedError, tell: boolean) => {
    if (failed) return;
    failed = true;
    timer.cancel();
    if (begun) giveUp(begun, error, tell);
    if (tell) sendLastWord(connection, error);
    connection.close(tell ? undefined : error);
    reject(error);
  };
  const timer = options.clock.setTimer(options.timeoutMs, () => fail(handshakeTimeoutError(), false));
  const release = () => {
    const messages = held ?? [];
    held = undefined;
    for (const bytes of messages) path?.message(bytes);
  };
  const takeFirst = (bytes: Uint8Array) => {
    const reader = new FrameReader();
    reader.load(bytes);
    if (!reader.next()) throw protocolError("The first message is empty.");
    if (reader.type === FRAME_END) throw endedBy(reader.body());
    if (reader.type !== FRAME_RESUME) throw protocolError("The first frame is not RESUME.");
    const theirs = decodeResume(reader.body(), reader.flags);
    const mine = said ?? options.say();
    const join = options.meet(mine, theirs, begun);
    if (!said) connection.send(encodeResume(mine));
    const met = join();
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
      if (!path) return fail(error ?? closedEarlyError(), false);
      release();
      path.connectionClosed(error);
    },
  });
  try {
    if (connection.role === "initiator") {
      said = options.say();
      connection.send(encodeResume(said));
      if (said.early) {
        begun = options.begin();
        options.early?.(begun.session);
      }
    }
  } catch (cause) {
    fail(asSessionEnd(cause), true);
  }
  return promise;
}

/** Takes `connection` over, to tell the peer why there will be no session, and to close it. */
export function refuseHands(connection: Connection, error: FedError): void {
  connection.start({ message() {}, closed() {} });
  sendLastWord(connection, error);
  connection.close();
}

/** The connection is over before the peer has said which session it belongs to. */
function giveUp({ session, path }: Begun, error: FedError, tell: boolean): void {
  if (session.isMet) path.connectionClosed(error);
  else if (error instanceof PeerError) session.refused(error);
  else if (tell) session.breach(error);
  else path.connectionClosed(error);
}

/** What stands in the place of RESUME: whatever this side has sent, the peer has taken nothing of it. */
function endedBy(reason: Uint8Array): FedError {
  return reason.length === 0
    ? new PeerError({ code: "CLOSED", message: "The peer refuses the connection." })
    : decodeReason(reason);
}

function sendLastWord(connection: Connection, error: FedError): void {
  try {
    connection.send(encodeFrame(FRAME_END, 0, 0, encodeReason(error)));
  } catch {
    // The connection is gone: nobody is left to be told.
  }
}
