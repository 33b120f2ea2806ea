/** All sessions of one hub, one for each peer: which connection begins one and which goes on with one, spec §3. */
import {
  type Clock,
  type Connection,
  equalBytes,
  type FedError,
  PeerError,
  type PeerIdentity,
  type Session,
  type SessionHandler,
  systemClock,
  toFedError,
} from "@fed/core";
import { hubDuplicateError, hubRestartedError, protocolError, SessionError, sessionExpiredError } from "./errors.js";
import { checkEpoch, decodeGreeting, type Greeting } from "./greeting.js";
import { type Begun, type Met, refuseHands, shakeHands } from "./handshake.js";
import { resolveLimits, type SessionLimits } from "./limits.js";
import { MAX_BATCH_BYTES } from "./outbox.js";
import type { Resume } from "./resume.js";
import { LiveSession } from "./session.js";

/** Options of {@link createSessions}. */
export interface SessionsOptions {
  /** This hub's boot nonce, 16 bytes. */
  readonly epoch: Uint8Array;
  /** Default: the machine's clock. */
  readonly clock?: Clock;
  readonly limits?: Partial<SessionLimits>;
  /** How long the peer may take to answer. Default 5000 ms. */
  readonly handshakeTimeoutMs?: number;
  /** How long a session waits for a connection when it has none. Default 60 000 ms; 0: it ends with its last one. */
  readonly resumeWindowMs?: number;
}

/** Options of {@link Sessions.open}. */
export interface OpenSessionOptions {
  /**
   * Called, before `open` returns, with a session that this side begins on the connection at once: it has dialled, there is
   * none with this peer, the peer has greeted, and has not refused the last one with SESSION_EXPIRED. What is sent on it leaves
   * behind RESUME, a round trip sooner; nothing is received on it before the peer has answered, and then the promise resolves
   * with it. When that rejects instead and the peer has answered on another connection, the session goes on there. If not:
   * with a PeerError the peer has taken nothing, and the session ends with that error and its streams with GOING_AWAY; with a
   * breach of the peer's it ends with PROTOCOL_ERROR; with any other error nobody knows, and it waits for another connection,
   * as one does that has lost its last.
   */
  early?(session: Session): void;
}

/** The sessions of one hub. */
export interface Sessions {
  /**
   * Begins a session over `connection`, or goes on over it with the one that stands with this peer. Takes the connection
   * over, and resolves when the peer's RESUME has arrived: with the same object for all connections of one session.
   * `handler` takes the streams of a session that begins; it is not called before it is known here, by `early` or by the promise.
   * @throws {SessionError} NOT_AUTHENTICATED when the connection has no authenticated peer, CONNECTION_TOO_NARROW when it
   * carries less than 65 546 bytes at a time, TOO_MANY_PEERS, PROTOCOL_ERROR or FRAME_MALFORMED for its greeting (in these
   * cases the connection is left alone);
   * HANDSHAKE_TIMEOUT, PROTOCOL_ERROR, HUB_DUPLICATE when a newer process of the same hub has been here, SESSION_EXPIRED when
   * the session that both knew has ended meanwhile, CLOSED, or the transport's error when the peer does not answer.
   */
  open(connection: Connection, handler: SessionHandler, options?: OpenSessionOptions): Promise<Session>;
  /**
   * In the place of {@link open}: tells the peer why nothing is taken on `connection`, and closes it. There `open` rejects with
   * a PeerError of the code of `error`.
   */
  refuse(connection: Connection, error: FedError): void;
}

/** Options of {@link createSession}. */
export interface SessionOptions extends Omit<SessionsOptions, "resumeWindowMs"> {
  /** Takes the streams the peer opens. Never called before the promise has resolved. */
  readonly handler: SessionHandler;
}

/** Peers, and earlier boots of one peer, that are remembered. */
const MAX_PEERS = 16_384;
const MAX_REPLACED = 8;
const unknownEpoch = new Uint8Array(16);

/** What a session that begins is made of. */
interface Fresh {
  readonly generation: number;
  readonly greeting: Greeting;
}

/** What is known of one peer, as long as this process lives: which session with it would be the next. */
interface Peer {
  epoch: Uint8Array;
  /** The generation after that of the session that stands or stood last. */
  next: number;
  session: LiveSession | undefined;
  /** It has refused a session that began early with a generation that is over there: the next RESUME waits for its answer. */
  isAhead: boolean;
  /** Boots of it that a newer one has taken the place of. */
  readonly replaced: Uint8Array[];
}

/**
 * A hub's sessions, none yet.
 * @throws {SessionError} INVALID_OPTION
 */
export function createSessions(options: SessionsOptions): Sessions {
  const limits = resolveLimits(options.limits);
  const { epoch, clock = systemClock, handshakeTimeoutMs = 5000, resumeWindowMs = 60_000 } = options;
  checkEpoch(epoch);
  const peers = new Map<string, Peer>();

  function peerOf({ clusterId, hubId }: PeerIdentity): Peer {
    const key = `${clusterId} ${hubId}`;
    const known = peers.get(key);
    if (known) return known;
    if (peers.size >= MAX_PEERS) {
      throw new SessionError({ code: "TOO_MANY_PEERS", message: `More than ${MAX_PEERS} hubs have been here.` });
    }
    const peer: Peer = { epoch: unknownEpoch, next: 0, session: undefined, isAhead: false, replaced: [] };
    peers.set(key, peer);
    return peer;
  }

  /** The peer runs as another process than before: the newest one counts, for good. */
  function moveTo(peer: Peer, theirs: Uint8Array): void {
    if (equalBytes(peer.epoch, theirs)) return;
    if (peer.replaced.some((old) => equalBytes(old, theirs))) throw hubDuplicateError();
    if (!equalBytes(peer.epoch, unknownEpoch)) {
      peer.replaced.push(peer.epoch);
      if (peer.replaced.length > MAX_REPLACED) peer.replaced.shift();
    }
    const { session } = peer;
    peer.epoch = theirs;
    peer.next = 0;
    peer.isAhead = false;
    peer.session = undefined;
    session?.replace(hubRestartedError(), hubDuplicateError());
  }

  /** @throws {SessionError} PROTOCOL_ERROR, HUB_DUPLICATE */
  function know(peer: Peer, theirs: Uint8Array): void {
    if (equalBytes(theirs, epoch) || equalBytes(theirs, unknownEpoch)) {
      throw protocolError("The peer claims a boot nonce that cannot be its own.");
    }
    moveTo(peer, theirs);
  }

  function create(peer: Peer, identity: PeerIdentity, handler: SessionHandler, init: Fresh): LiveSession {
    const session = new LiveSession({
      ...init,
      peer: identity,
      role: compareBytes(epoch, init.greeting.epoch) < 0 ? "initiator" : "responder",
      windowMs: resumeWindowMs,
      handler,
      clock,
      limits,
    });
    peer.next = init.generation + 1;
    peer.isAhead = false;
    peer.session = session;
    void session.closed.then(() => {
      if (peer.session === session) peer.session = undefined;
    });
    return session;
  }

  function meet(
    connection: Connection,
    identity: PeerIdentity,
    handler: SessionHandler,
    mine: Resume,
    theirs: Resume,
    begun: Begun | undefined,
  ): () => Met {
    const peer = peerOf(identity);
    if (begun && !equalBytes(theirs.epoch, mine.peerEpoch))
      throw protocolError("The peer has greeted as another boot.");
    if (theirs.early && connection.role === "initiator") throw protocolError("An answer to RESUME cannot be early.");
    know(peer, theirs.epoch);
    // What either side said of a session with another boot of the other does not count.
    const isForMe = equalBytes(theirs.peerEpoch, epoch);
    const generation = Math.max(
      equalBytes(mine.peerEpoch, theirs.epoch) ? mine.generation : 0,
      isForMe ? theirs.generation : 0,
    );
    // What it has sent already belongs to no session of this side, or to one that is over here.
    if (theirs.early && !(isForMe && theirs.generation === generation)) throw sessionExpiredError(undefined);
    const claimed = isForMe && theirs.generation === generation ? theirs.received : 0;
    const standing = standingWith(peer);
    if (begun && (standing !== begun.session || generation > standing.generation)) {
      throw protocolError("The peer goes on with another session than was begun with it.");
    }
    if (standing?.generation === generation) {
      standing.resend.check(claimed);
      if (!begun)
        return () => ({ session: standing, path: standing.attach(connection, identity, claimed), until: undefined });
      return () => {
        standing.met(claimed);
        return { session: standing, path: begun.path, until: undefined };
      };
    }
    // It has ended here since RESUME was sent.
    if (generation < peer.next) throw sessionExpiredError(undefined);
    if (claimed > 0) throw protocolError("The peer goes on with a session that never was.");
    return () => {
      const session = create(peer, identity, handler, { generation, greeting: theirs });
      standing?.replace(sessionExpiredError(undefined), sessionExpiredError(undefined));
      return { session, path: session.attach(connection, identity, 0), until: continuation() };
    };
  }

  function start(connection: Connection, handler: SessionHandler, { early }: OpenSessionOptions): Promise<Session> {
    const identity = connection.peer;
    if (!identity) {
      throw new SessionError({
        code: "NOT_AUTHENTICATED",
        message: "A session needs a peer that the transport has authenticated.",
        hint: "Guests speak the pairing protocol only.",
      });
    }
    if (connection.maxMessageBytes < MAX_BATCH_BYTES) {
      throw new SessionError({
        code: "CONNECTION_TOO_NARROW",
        message: `The connection carries ${connection.maxMessageBytes} bytes at a time; a session needs ${MAX_BATCH_BYTES}.`,
      });
    }
    const peer = peerOf(identity);
    const offered = early && connection.role === "initiator" ? connection.greeting : undefined;
    const greeting = offered && !peer.isAhead && !standingWith(peer) ? decodeGreeting(offered) : undefined;
    const opening = shakeHands(connection, {
      clock,
      timeoutMs: handshakeTimeoutMs,
      say() {
        if (greeting) know(peer, greeting.epoch);
        const standing = standingWith(peer);
        return {
          epoch,
          peerEpoch: peer.epoch,
          generation: standing?.generation ?? peer.next,
          received: standing?.received ?? 0,
          limits,
          early: greeting !== undefined,
        };
      },
      begin() {
        const session = create(peer, identity, handler, { generation: peer.next, greeting: greeting! });
        return { session, path: session.attach(connection, identity, undefined) };
      },
      early: early?.bind(undefined),
      meet: (mine, theirs, begun) => meet(connection, identity, handler, mine, theirs, begun),
    });
    // Where RESUME is answered both say their generation, and go on with the larger.
    const refused = (error: FedError) => {
      if (error instanceof PeerError && error.code === "SESSION_EXPIRED") peer.isAhead = true;
    };
    if (greeting) opening.catch(refused);
    return opening;
  }

  return {
    open(connection, handler, options = {}) {
      try {
        return start(connection, handler, options);
      } catch (cause) {
        return Promise.reject(toFedError(cause));
      }
    },
    refuse: refuseHands,
  };
}

/**
 * One session over one connection, which ends with it. For a peer that is met once; a hub has {@link createSessions}.
 * @throws {SessionError} INVALID_OPTION (the connection is left alone), or as {@link Sessions.open}.
 */
export async function createSession(connection: Connection, options: SessionOptions): Promise<Session> {
  const { handler, ...rest } = options;
  return createSessions({ ...rest, resumeWindowMs: 0 }).open(connection, handler);
}

/** The caller's own continuation runs first: a handler may rely on the session it was made for. */
function continuation(): Promise<unknown> {
  return Promise.resolve().then(undefined).then(undefined).then(undefined);
}

function standingWith({ session }: Peer): LiveSession | undefined {
  return session?.over ? undefined : session;
}

function compareBytes(a: Uint8Array, b: Uint8Array): number {
  for (const [i, byte] of a.entries()) if (byte !== b[i]) return byte - b[i]!;
  return 0;
}
