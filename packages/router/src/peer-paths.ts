/** Peers and the paths to them: candidates, dials, sessions, and the one path a call takes now. PROTOCOL "Router". */
import {
  type Clock,
  type Connection,
  type FedError,
  type HubId,
  PeerError,
  type PeerIdentity,
  type Session,
  type SessionHandler,
  type Stream,
  type Transport,
  toFedError,
} from "@fed/core";
import { Dialler, type Target } from "./dialler.js";
import { RouterError } from "./errors.js";
import { limits } from "./limits.js";
import { Link } from "./link.js";
import { LinkTable } from "./link-table.js";
import { type ListenerStatus, Listeners } from "./listeners.js";
import type { PathEvent } from "./path-history.js";
import { describePaths, type PathStatus } from "./path-status.js";
import type { PeerSession } from "./peer-session.js";
import type { Member, PeerAuthorizer, PeerEvents } from "./ports.js";

/** Where the sessions above authenticated connections come from. */
export interface SessionSource {
  /**
   * Opens a session, or goes on over `connection` with the one that stands with this peer: then the same object, and
   * `handler` is not used. Rejects when the handshake fails or takes too long. `early` is handed a session that begins
   * before the peer has answered; its streams end with GOING_AWAY if the peer has taken none of them.
   */
  open(connection: Connection, handler: SessionHandler, options: { early(session: Session): void }): Promise<Session>;
  /** Opens none: tells the peer that nothing is taken on `connection`, and why, and closes it. */
  refuse(connection: Connection, error: FedError): void;
}

/** What {@link PeerPaths} is made from. */
export interface PeerPathsOptions {
  readonly selfId: HubId;
  readonly transports: readonly Transport[];
  readonly sessions: SessionSource;
  readonly authorizePeer: PeerAuthorizer | undefined;
  readonly events: PeerEvents;
  readonly clock: Clock;
  /** 0 ≤ x < 1. */
  readonly random: () => number;
  /** A peer opened a stream. A throw resets it, and so does a promise that rejects. */
  onStream(session: PeerSession, stream: Stream): void | Promise<void>;
  readonly onGuest: ((connection: Connection) => void) | undefined;
  readonly onRefused: ((remoteAddress: string, error: FedError) => void) | undefined;
}

/** All peers of this hub. */
export class PeerPaths {
  readonly #options: PeerPathsOptions;
  readonly #transports: ReadonlyMap<string, Transport>;
  readonly #links: LinkTable;
  readonly #dialler: Dialler;
  readonly #listeners: Listeners;
  readonly #cut = new Map<HubId, FedError>();
  /** Peers that count another process with this hub's id. */
  readonly #displaced = new Map<HubId, FedError>();
  /** Connections being opened, per peer. */
  readonly #opening = new Map<HubId, number>();
  /** Connections this hub itself is opening, by hub and transport. */
  readonly #dialled = new Set<string>();
  #members: ReadonlySet<HubId> = new Set();
  #closed = false;

  constructor(options: PeerPathsOptions) {
    const { clock, random, events, transports, onGuest, onRefused } = options;
    this.#options = options;
    this.#transports = new Map(transports.map((transport) => [transport.name, transport]));
    this.#dialler = new Dialler({
      clock,
      random,
      wanted: (target) => this.#wanted(target),
      reached: (hubId) => this.best(hubId) !== undefined,
      tried: (hubId) => this.#links.wake(hubId),
      connect: (target, signal) => this.#connect(target, signal),
    });
    this.#links = new LinkTable({
      clock,
      events,
      lost: (hubId, transport, healthy, error) => this.#dialler.lost(hubId, transport, healthy, error),
      displaced: (hubId, error) => this.#displace(hubId, error),
    });
    this.#listeners = new Listeners({
      transports,
      clock,
      random,
      onConnection: (connection) => void this.#adopt(connection).catch(() => {}),
      onCandidate: (candidate, transport) => this.#dialler.offer(candidate, transport),
      onGuest,
      onRefused,
    });
  }

  /** Listens and searches on every transport. */
  start(): Promise<void> {
    return this.#listeners.start();
  }

  /** Ends every session and listener. Idempotent. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#dialler.close();
    this.#links.closeAll(closedError());
    await this.#listeners.close();
  }

  listening(): ListenerStatus[] {
    return this.#listeners.status();
  }

  /**
   * Replaces whom to dial and where; lifts the cut of every hub it names, cuts off those it names no more: a connection of
   * theirs may still be in the making.
   * @returns those it names no more, with why they are cut off.
   */
  setMembers(members: readonly Member[]): ReadonlyMap<HubId, FedError> {
    const others = members.filter(({ hubId }) => hubId !== this.#options.selfId).slice(0, limits.members);
    const named = new Set(others.map(({ hubId }) => hubId));
    const gone = new Map([...this.#members].filter((hubId) => !named.has(hubId)).map((hubId) => [hubId, removed()]));
    for (const [hubId, error] of gone) this.cut(hubId, error);
    this.#members = named;
    for (const { hubId } of others) if (this.#cut.delete(hubId)) this.#dialler.wake(hubId);
    this.#dialler.setMembers(others, this.#transports);
    return gone;
  }

  /** Destroys every session of `hubId` at once; it is neither dialled nor let in until {@link setMembers} names it. */
  cut(hubId: HubId, error: FedError): void {
    this.#cut.set(hubId, error);
    this.#links.closePeer(hubId, error);
    this.#dialler.rest(hubId);
    this.#links.wake(hubId);
  }

  /** Why `hubId` is cut off, or does not talk to this process, if so. */
  cutError(hubId: HubId): FedError | undefined {
    return this.#cut.get(hubId) ?? this.#displaced.get(hubId);
  }

  /** The path a call takes now; undefined when there is none. */
  best(hubId: HubId): Link | undefined {
    return this.#links.get(hubId)?.best;
  }

  /** The session that has a path which works; undefined when there is none. */
  reach(hubId: HubId): PeerSession | undefined {
    return this.#links.reach(hubId);
  }

  /** The session that a call can be made on now, never `except`; undefined when there is none. */
  callable(hubId: HubId, except?: PeerSession): PeerSession | undefined {
    return this.#links.callable(hubId, except);
  }

  /** {@link callable}, or the session that comes while {@link expects} holds; undefined when it does not, or `signal` aborts. */
  whileExpected(hubId: HubId, signal: AbortSignal): Promise<PeerSession | undefined> {
    return this.#links.untilCallable(hubId, undefined, () => this.expects(hubId), signal);
  }

  /** A session that comes in the place of `lost`; undefined when the hub is cut off, or `signal` aborts, before. */
  after(lost: PeerSession, signal: AbortSignal): Promise<PeerSession | undefined> {
    const { hubId } = lost;
    return this.#links.untilCallable(hubId, lost, () => !this.#closed && !this.cutError(hubId), signal);
  }

  /** Whether a session with `hubId` stands, with a path that works or without, is opened, or dialled where it ought to be. */
  expects(hubId: HubId): boolean {
    if (this.cutError(hubId)) return false;
    return this.#links.get(hubId) !== undefined || this.#opening.has(hubId) || this.#dialler.dials(hubId);
  }

  /** Peers with a connection. */
  peers(): PeerIdentity[] {
    return this.#links.peers();
  }

  /** What is known of every way to `hubId`, best first. */
  paths(hubId: HubId): PathStatus[] {
    return describePaths({
      links: this.#links.get(hubId)?.links ?? [],
      targets: this.#dialler.of(hubId),
      best: this.best(hubId),
      cut: this.cutError(hubId),
      nowMs: this.#options.clock.nowMs(),
    });
  }

  /** What became of the ways to `hubId` lately, oldest first. */
  history(hubId: HubId): readonly PathEvent[] {
    return this.#links.history(hubId);
  }

  #has(hubId: HubId, transport: string): boolean {
    return this.#links.get(hubId)?.has(transport) ?? false;
  }

  /** Another process has this hub's id, and the peer counts that one: dialling on would only drive it out in turn. */
  #displace(hubId: HubId, error: FedError): void {
    if (this.#displaced.has(hubId)) return;
    this.#displaced.set(hubId, error);
    this.#dialler.rest(hubId);
    this.#links.wake(hubId);
    try {
      this.#options.events.onDisplaced?.(hubId);
    } catch {
      // As with every listener.
    }
  }

  #wanted(target: Target): boolean {
    const { hubId, transport } = target;
    if (this.#closed) return false;
    if (hubId === undefined) return true;
    return hubId !== this.#options.selfId && !this.cutError(hubId) && !this.#has(hubId, transport.name);
  }

  async #connect(target: Target, signal: AbortSignal): Promise<HubId> {
    const { expect, transport, address } = target;
    const connection = await transport.dial(address, { signal, ...(expect === undefined ? {} : { expect }) });
    const hubId = connection.peer?.hubId;
    if (hubId === undefined) {
      const error = notAPeer();
      connection.close(error);
      throw error;
    }
    // Known from here on, so that this hub itself is not dialled again.
    target.hubId = hubId;
    const key = `${hubId} ${transport.name}`;
    if (this.#has(hubId, transport.name) || this.#dialled.has(key)) {
      // Two addresses of one hub. The initiator never offers a second connection, so the responder may trust the newest.
      connection.close();
      return hubId;
    }
    const onAbort = () => connection.close(toFedError(signal.reason));
    signal.addEventListener("abort", onAbort, { once: true });
    this.#dialled.add(key);
    try {
      await this.#adopt(connection);
      return hubId;
    } finally {
      this.#dialled.delete(key);
      signal.removeEventListener("abort", onAbort);
    }
  }

  /** Makes a path of an authenticated connection. The connection is closed when that fails. */
  async #adopt(connection: Connection): Promise<void> {
    let hubId: HubId | undefined;
    try {
      hubId = this.#admit(connection).hubId;
      const count = this.#opening.get(hubId) ?? 0;
      if (count >= limits.openingPerPeer) {
        throw new RouterError({ code: "BUSY", message: "The peer opens too many connections.", retryable: true });
      }
      this.#opening.set(hubId, count + 1);
    } catch (cause) {
      const error = toFedError(cause);
      // That it is not this process which counts must not reach the peer as if it were the one to leave.
      this.#options.sessions.refuse(connection, error.code === "HUB_DUPLICATE" ? closedError() : error);
      throw error;
    }
    try {
      await this.#open(connection);
    } catch (cause) {
      const error = toFedError(cause);
      if (error instanceof PeerError && error.code === "HUB_DUPLICATE") this.#displace(hubId, error);
      connection.close(error);
      throw error;
    } finally {
      const left = this.#opening.get(hubId)! - 1;
      if (left > 0) this.#opening.set(hubId, left);
      else this.#opening.delete(hubId);
      this.#links.wake(hubId);
    }
  }

  async #open(connection: Connection): Promise<void> {
    const { sessions, onStream, selfId, clock } = this.#options;
    const early: Stream[] = [];
    // Streams that arrive before the session is known here wait for it; the session bounds how many there can be.
    let deliver = (stream: Stream): void | Promise<void> => {
      early.push(stream);
    };
    const handler: SessionHandler = { stream: (stream) => deliver(stream) };
    const session = await sessions.open(connection, handler, {
      early: (begun) => {
        const known = this.#links.begin(begun);
        deliver = (stream) => onStream(known, stream);
      },
    });
    try {
      // The hub may have been cut off meanwhile.
      this.#admit(connection);
    } catch (cause) {
      session.close(toFedError(cause));
      throw cause;
    }
    const known = this.#links.sessionOf(session);
    deliver = (stream) => onStream(known, stream);
    const path = session.paths.find(({ id }) => id === connection.id);
    // A connection that is over already has left the session behind, and the dialler finds that out.
    if (path) {
      const preference = this.#transports.get(path.transport)?.preference ?? Number.MAX_SAFE_INTEGER;
      const link = new Link({ path, preference, selfId, peerId: known.hubId, nowMs: clock.nowMs() });
      this.#links.install(known, link);
    }
    for (const stream of early) {
      const refuse = (cause: unknown) => stream.reset(toFedError(cause));
      try {
        deliver(stream)?.catch(refuse);
      } catch (cause) {
        refuse(cause);
      }
    }
  }

  /** Whether the other end of `connection` may be a peer now. */
  #admit(connection: Connection): PeerIdentity {
    const { peer } = connection;
    const { selfId, authorizePeer } = this.#options;
    if (this.#closed) throw closedError();
    if (!peer || peer.hubId === selfId) throw notAPeer();
    const cut = this.cutError(peer.hubId);
    if (cut) throw cut;
    authorizePeer?.(peer);
    return peer;
  }
}

function notAPeer(): RouterError {
  return new RouterError({ code: "SELF_CONNECTED", message: "The other end is this hub itself, or nobody known." });
}

function removed(): RouterError {
  return new RouterError({ code: "HUB_REMOVED", message: "The hub is no member of the cluster any more." });
}

function closedError(): RouterError {
  return new RouterError({ code: "ROUTER_CLOSED", message: "The router is closed." });
}
