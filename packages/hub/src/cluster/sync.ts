/**
 * Keeping members in step: one `sync` stream per session, on which both sides announce what they hold and send what
 * the other lacks. Announcements are sent at once on every change, so news crosses a live cluster in one round trip.
 *
 * ```
 * {"manifest":<version>,"revocations":<number>}     announcement
 * {"manifests":[<signed>…]}                         the versions after the one the peer announced
 * {"revocationList":<signed>}                       a larger list than the peer announced
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
import { maxSignedListBytes } from "@fed/revocation";
import { HubError } from "../errors.js";

/** One message; larger catch-ups take several rounds. */
const maxManifestsPerMessage = 64;
const catchUpMs = 2_000;
const repeatMs = 1_000;

/** What a peer last said it holds. */
export interface PeerHeads {
  readonly manifest: number;
  readonly revocations: number;
  /** When it said so, Unix milliseconds. */
  readonly atMs: number;
}

/** The documents that are kept in step. */
export interface SyncedState {
  heads(): { readonly manifest: number; readonly revocations: number };
  manifestsAfter(version: number): readonly unknown[];
  revocationList(): unknown;
  adoptManifests(signed: readonly unknown[]): Promise<unknown>;
  adoptRevocationList(signed: unknown): Promise<unknown>;
}

/** Options of {@link createSync}. */
export interface SyncOptions {
  readonly state: SyncedState;
  readonly clock: Clock;
  /** A peer sent what does not verify. */
  readonly onRefused: (peer: HubId, error: FedError) => void;
}

/** Runs the sync streams of all sessions. */
export interface Sync {
  /** Opens the stream on a session this hub dialled. */
  start(session: Session): void;
  /** Serves a stream that a peer opened. */
  serve(session: Session, stream: Stream): void;
  /** Tells every peer what this hub holds now. */
  announce(): void;
  /**
   * Asks for revocations until this hub holds `size` of them.
   * @throws {HubError} STALE_REVOCATION_VIEW when it does not within 2 s: what depends on them must not be honoured.
   */
  catchUp(size: number): Promise<void>;
  /** What each connected peer last announced. */
  readonly peers: ReadonlyMap<HubId, PeerHeads>;
}

/** What a stream fails with when its session is over. */
const sessionEnds: ReadonlySet<string> = new Set(["CLOSED", "SESSION_EXPIRED", "HUB_RESTARTED"]);

/** OPEN header of a sync stream. */
export const syncHeader: Uint8Array = encodeUtf8('{"k":"sync","v":1}');

/** See {@link Sync}. */
export function createSync({ state, clock, onRefused }: SyncOptions): Sync {
  const live = new Map<Stream, HubId>();
  const peers = new Map<HubId, PeerHeads>();
  const synced = new WeakSet<Session>();
  /** What was last sent on each stream, and when: the same is not sent twice in a second, however often it is asked for. */
  const sent = new WeakMap<Stream, { readonly what: string; readonly atMs: number }>();
  /** Who waits for a list of at least that size. */
  const waiting = new Map<() => void, number>();

  /** What cannot be sent ends the stream, so that its reader says why. */
  const send = (stream: Stream, message: object) =>
    stream.send(encodeUtf8(JSON.stringify(message))).catch((cause: unknown) => stream.reset(toFedError(cause)));

  async function run(session: Session, stream: Stream): Promise<void> {
    const peer = session.peer.hubId;
    if (synced.has(session)) return stream.reset(invalid("A session has one sync stream."));
    synced.add(session);
    live.set(stream, peer);
    void send(stream, state.heads());
    try {
      for (;;) {
        const bytes = await stream.receive();
        if (!bytes) return;
        const message = parseJson(bytes, { maxBytes: maxSignedListBytes });
        if (typeof message !== "object" || message === null) throw invalid("A sync message is an object.");
        await handle(peer, stream, message as Record<string, unknown>);
      }
    } catch (cause) {
      const error = toFedError(cause);
      if (!sessionEnds.has(error.code)) onRefused(peer, error);
      stream.reset(error);
    } finally {
      live.delete(stream);
      if (![...live.values()].includes(peer)) peers.delete(peer);
    }
  }

  /** The manifest first: a list may be signed by an authority that only the newer manifest names. */
  async function sendMissing(
    stream: Stream,
    theirs: { readonly manifest: number; readonly revocations: number },
  ): Promise<void> {
    const mine = state.heads();
    const what = `${theirs.manifest} ${theirs.revocations} ${mine.manifest} ${mine.revocations}`;
    const last = sent.get(stream);
    if (last?.what === what && clock.monotonicMs() - last.atMs < repeatMs) return;
    sent.set(stream, { what, atMs: clock.monotonicMs() });
    if (mine.manifest > theirs.manifest) {
      await send(stream, { manifests: oneMessageful(state.manifestsAfter(theirs.manifest)) });
    }
    if (mine.revocations > theirs.revocations) await send(stream, { revocationList: state.revocationList() });
  }

  async function handle(peer: HubId, stream: Stream, message: Record<string, unknown>): Promise<void> {
    if (isCount(message.manifest) && isCount(message.revocations)) {
      const theirs = { manifest: message.manifest, revocations: message.revocations };
      peers.set(peer, { ...theirs, atMs: clock.nowMs() });
      await sendMissing(stream, theirs);
      const mine = state.heads();
      // Saying what this hub holds is how it asks for what the peer holds beyond that.
      if (mine.manifest < theirs.manifest || mine.revocations < theirs.revocations) void send(stream, mine);
      return;
    }
    if (Array.isArray(message.manifests)) {
      if (message.manifests.length > maxManifestsPerMessage) throw invalid("Too many manifests in one message.");
      await state.adoptManifests(message.manifests);
    } else if (message.revocationList !== undefined) {
      await state.adoptRevocationList(message.revocationList);
      for (const [wake, size] of waiting) if (state.heads().revocations >= size) wake();
    } else {
      throw invalid("An unknown sync message.");
    }
    void send(stream, state.heads());
  }

  function announce(): void {
    for (const [stream, peer] of live) {
      const theirs = peers.get(peer);
      if (theirs) void sendMissing(stream, theirs).then(() => send(stream, state.heads()));
      else void send(stream, state.heads());
    }
  }

  return {
    start: (session) => void run(session, session.open(syncHeader, { priority: "control" })),
    serve: (session, stream) => void run(session, stream),
    announce,
    async catchUp(size) {
      if (state.heads().revocations >= size) return;
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      const timer = clock.setTimer(catchUpMs, () => reject(staleView(size)));
      waiting.set(resolve, size);
      announce();
      try {
        await promise;
      } finally {
        timer.cancel();
        waiting.delete(resolve);
      }
    },
    peers,
  };
}

/** The first of `manifests` that fit into one message; at least one. */
function oneMessageful(manifests: readonly unknown[]): unknown[] {
  const fitting: unknown[] = [];
  let chars = 0;
  for (const manifest of manifests.slice(0, maxManifestsPerMessage)) {
    chars += JSON.stringify(manifest).length;
    if (fitting.length > 0 && chars > maxSignedListBytes / 2) break;
    fitting.push(manifest);
  }
  return fitting;
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function invalid(message: string): HubError {
  return new HubError({ code: "REQUEST_INVALID", message });
}

function staleView(size: number): HubError {
  return new HubError({
    code: "STALE_REVOCATION_VIEW",
    message: `Another hub knows of ${size} revocations, and this hub could not get all of them.`,
    hint: "See `fed peers`: is the hub that revokes connected?",
    retryable: true,
  });
}
