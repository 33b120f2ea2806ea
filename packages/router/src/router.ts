/** The router: paths to peers, the catalogue of apps, and the one way of every call. ARCHITECTURE "The way of one call". */
import {
  type Clock,
  type Connection,
  type FedError,
  type HubId,
  type Session,
  type Stream,
  systemClock,
  type Transport,
  throwIfAborted,
} from "@fed/core";
import { Announcer } from "./announcer.js";
import { Client, type LargerRevocationListener } from "./call.js";
import { bodyOf, type CallOptions, type CallTarget, checkTarget } from "./call-target.js";
import { Catalogue } from "./catalogue.js";
import type { AppPage, CatalogueEntry, PageOptions, Place, ShowOptions } from "./catalogue-page.js";
import type { SearchOptions, SearchPage } from "./catalogue-search.js";
import { createDeadline, type Deadline, unlessAborted } from "./deadline.js";
import { Directory, type PeerStatus } from "./directory.js";
import { RouterError } from "./errors.js";
import { Execution } from "./execution.js";
import { limits } from "./limits.js";
import type { ListenerStatus } from "./listeners.js";
import type { ListedApp, ToolSummary } from "./listing.js";
import { OwnListing } from "./own-listing.js";
import type { PathEvent } from "./path-history.js";
import type { PathStatus } from "./path-status.js";
import { PeerPaths, type SessionOpener } from "./peer-paths.js";
import type { PeerSession } from "./peer-session.js";
import type {
  AuditSink,
  Caller,
  Consent,
  Digest,
  EnvelopeSigner,
  EnvelopeVerifier,
  KeyJournal,
  LocalApps,
  Member,
  Notification,
  PeerAuthorizer,
  PeerEvents,
  RevocationChecker,
  SharingPolicy,
} from "./ports.js";
import type { Rate } from "./rate-limit.js";
import { Server } from "./serve.js";
import { kindOf, newCallId, parseBody, parseHeader, repetitionDigest, type StreamHeader } from "./wire.js";

/** Serves the streams of one kind that peers open, e.g. `sync`. A throw resets the stream. */
export type StreamProtocol = (session: Session, stream: Stream, header: StreamHeader) => void;

/** What a router is made from. */
export interface RouterOptions extends PeerEvents {
  readonly self: { readonly hubId: HubId; readonly name: string };
  readonly transports: readonly Transport[];
  readonly openSession: SessionOpener;
  readonly signer: EnvelopeSigner;
  readonly verifier: EnvelopeVerifier;
  /** SHA-256. */
  readonly digest: Digest;
  readonly revocation: RevocationChecker;
  readonly policy: SharingPolicy;
  /** Asks before calls that the policy allows; absent: nothing is ever asked. */
  readonly consent?: Consent;
  readonly audit: AuditSink;
  /** Where idempotency keys outlive this process. Absent: whoever repeats a call to a restarted hub may run it twice. */
  readonly keys?: KeyJournal;
  readonly apps: LocalApps;
  readonly authorizePeer?: PeerAuthorizer;
  /** Another hub showed an operator of this one something that is not remembered of it yet. */
  onListing?(hubId: HubId, apps: readonly ListedApp[]): void;
  /** Streams beside those of calls and listings, by the `k` of their header. */
  readonly protocols?: { readonly [kind: string]: StreamProtocol };
  readonly onLargerRevocationSize?: LargerRevocationListener;
  /** Somebody without a leaf connected, to join. Absent: guests are refused at the handshake. */
  onGuest?(connection: Connection): void;
  /** A handshake was refused; the address decides nothing. */
  onRefused?(remoteAddress: string, error: FedError): void;
  /** A request of a peer was refused for its rate or number. Must not throw. */
  onOverload?(peer: HubId, error: FedError): void;
  /** How many calls, subscriptions and listings one peer may begin here. Default 4000 a second, 20 000 at once. */
  readonly peerRate?: Rate;
  readonly clock?: Clock;
  /** For the jitter of dials, 0 ≤ x < 1. Default Math.random. */
  readonly random?: () => number;
}

/** Who looks for an app. */
export type LocateOptions = Pick<CallOptions, "caller" | "signal">;

/** Routes calls of one hub. */
export interface Router extends AsyncDisposable {
  /** Listens and searches on every transport; one that fails is tried again, see {@link listening}. */
  start(): Promise<void>;
  /** Ends every session and listener. Idempotent. */
  close(): Promise<void>;
  /**
   * The MCP result. One with `isError` is a result.
   * @throws {RemoteError} what the owning hub answered.
   * @throws {RouterError} for what this hub finds; see the README's table.
   */
  call(target: CallTarget, options: CallOptions): Promise<unknown>;
  /** The hub that a call of `target` would go to. @throws {RouterError} HUB_UNKNOWN, APP_UNKNOWN, APP_AMBIGUOUS. */
  locate(target: Pick<CallTarget, "hub" | "app">, options: LocateOptions): Promise<HubId>;
  /** Every app the caller may call something of, known by the deadline. Rejects for a revoked caller. */
  list(caller: Caller, options?: ShowOptions): Promise<CatalogueEntry[]>;
  /**
   * One page of the same list, or of what one hub (id or name) has of it.
   * @throws {RouterError} HUB_UNKNOWN; REQUEST_MALFORMED for a cursor or a limit that is none.
   */
  page(caller: Caller, options?: PageOptions & { readonly hub?: string | undefined }): Promise<AppPage>;
  /**
   * Apps and tools that have all the words of `query`, best first, in what hubs have shown; none is asked for it.
   * @throws {RouterError} REQUEST_MALFORMED unless there are 1 to 16 words of at most 256 characters together.
   */
  search(caller: Caller, query: string, options?: SearchOptions): Promise<SearchPage>;
  /** What another hub last told `caller` about a tool; undefined when nothing. */
  tool(caller: Caller, place: Required<Place>): ToolSummary | undefined;
  /** What this hub shows has changed: its apps, their status or tools, or the policy. Peers that look at it are told. */
  announce(): void;
  /** Replaces the members of the cluster; lifts the cut of those it names, cuts off those it names no more. */
  setMembers(members: readonly Member[]): void;
  /** Destroys all sessions of a hub at once, cancels its calls, forgets its apps, and refuses it until members change. */
  cut(hubId: HubId, error: FedError): void;
  /** Cancels an operator's calls here, forgets its listings and outcomes. */
  cutOperator(operator: string, error: FedError): void;
  /** Cancels the calls made here with one of these tokens. */
  cutTokens(tokens: ReadonlySet<string>, error: FedError): void;
  /** Every way to a hub, given by id or name, best first. @throws {RouterError} HUB_UNKNOWN. */
  paths(hub: string): PathStatus[];
  /** Members and connected peers, by name. */
  peers(): PeerStatus[];
  /** What became of the ways to a hub lately, oldest first, at most 16 events. @throws {RouterError} HUB_UNKNOWN. */
  pathHistory(hub: string): readonly PathEvent[];
  /** The session with a hub, while a path works, for protocols of the hub's own. */
  session(hubId: HubId): Session | undefined;
  listening(): ListenerStatus[];
}

/** A router that is not started yet. */
export function createRouter(options: RouterOptions): Router {
  return new HubRouter(options);
}

class HubRouter implements Router {
  readonly #options: RouterOptions;
  readonly #clock: Clock;
  readonly #paths: PeerPaths;
  readonly #execution: Execution;
  readonly #server: Server;
  readonly #client: Client;
  readonly #catalogue: Catalogue;
  readonly #announcer: Announcer;
  readonly #directory: Directory;
  /** Calls this hub's operators have under way. */
  readonly #calls = new Map<Deadline, Caller>();

  constructor(options: RouterOptions) {
    const { self, transports, openSession, authorizePeer, signer, verifier, digest, revocation, apps } = options;
    const clock = options.clock ?? systemClock;
    this.#options = options;
    this.#clock = clock;
    this.#paths = new PeerPaths({
      selfId: self.hubId,
      transports,
      openSession,
      authorizePeer,
      events: {
        onPeerUp: (peer) => {
          // What it said while it was out of reach is lost.
          this.#catalogue.changed(peer.hubId);
          this.#announcer.reached(peer.hubId);
          options.onPeerUp?.(peer);
        },
        onPeerDown: options.onPeerDown?.bind(options),
      },
      clock,
      random: options.random ?? Math.random,
      onStream: (there, stream) => this.#dispatch(there, stream),
      onGuest: options.onGuest?.bind(options),
      onRefused: options.onRefused?.bind(options),
    });
    this.#directory = new Directory(self, this.#paths);
    this.#execution = new Execution({ ...options, clock });
    const own = new OwnListing({ apps, execution: this.#execution, digest });
    this.#announcer = new Announcer({ clock, session: (hubId) => this.session(hubId) });
    this.#server = new Server({
      execution: this.#execution,
      verifier,
      revocation,
      own,
      digest,
      clock,
      rate: options.peerRate ?? limits.peerRate,
      onOverload: options.onOverload?.bind(options),
      onListed: (hubId) => this.#announcer.listed(hubId),
      onChanged: (hubId) => this.#catalogue.changed(hubId),
    });
    this.#client = new Client({
      paths: this.#paths,
      signer,
      revocation,
      digest,
      clock,
      onLargerRevocationSize: options.onLargerRevocationSize,
    });
    this.#catalogue = new Catalogue({
      self,
      paths: this.#paths,
      client: this.#client,
      clock,
      digest,
      local: (caller) => own.of(caller),
      hubs: () => this.#directory.hubs(),
      onListing: options.onListing?.bind(options),
    });
  }

  start(): Promise<void> {
    return this.#paths.start();
  }

  async close(): Promise<void> {
    const error = new RouterError({ code: "ROUTER_CLOSED", message: "The router is closed." });
    for (const deadline of this.#calls.keys()) deadline.cancel(error);
    this.#announcer.close();
    await this.#paths.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async call(target: CallTarget, options: CallOptions): Promise<unknown> {
    throwIfAborted(options.signal);
    checkTarget(target);
    const { caller, signal, deadlineMs = 60_000 } = options;
    const deadline = createDeadline(this.#clock, deadlineMs, signal);
    const onNotification = (notification: Notification) => {
      if (notification.method === "notifications/progress") deadline.renew();
      options.onNotification?.(notification);
    };
    this.#calls.set(deadline, caller);
    try {
      const hubId = await this.locate(target, options);
      return await (hubId === this.#options.self.hubId
        ? this.#callHere(target, { ...options, onNotification }, deadline)
        : this.#callThere(hubId, target, { ...options, onNotification }, deadline));
    } finally {
      deadline.done();
      this.#calls.delete(deadline);
    }
  }

  async list(caller: Caller, options?: ShowOptions): Promise<CatalogueEntry[]> {
    this.#options.revocation.assertCaller(caller, undefined);
    return this.#catalogue.list(caller, options);
  }

  async page(caller: Caller, { hub, ...options }: PageOptions & { readonly hub?: string } = {}): Promise<AppPage> {
    this.#options.revocation.assertCaller(caller, undefined);
    return this.#catalogue.page(caller, hub === undefined ? undefined : this.#directory.resolve(hub), options);
  }

  async search(caller: Caller, query: string, options: SearchOptions = {}): Promise<SearchPage> {
    this.#options.revocation.assertCaller(caller, undefined);
    return this.#catalogue.search(caller, query, options);
  }

  tool(caller: Caller, { hub, app, tool }: Required<Place>): ToolSummary | undefined {
    return this.#catalogue.tool(caller, hub, app, tool);
  }

  announce(): void {
    this.#announcer.changed();
  }

  setMembers(members: readonly Member[]): void {
    this.#directory.setMembers(members);
    for (const [hubId, error] of this.#paths.setMembers(members)) {
      this.#execution.cutHub(hubId, error);
      this.#forget(hubId);
    }
  }

  cut(hubId: HubId, error: FedError): void {
    this.#paths.cut(hubId, error);
    this.#execution.cutHub(hubId, error);
    this.#forget(hubId);
  }

  #forget(hubId: HubId): void {
    this.#catalogue.purgeHub(hubId);
    this.#announcer.forget(hubId);
  }

  cutOperator(operator: string, error: FedError): void {
    for (const [deadline, caller] of this.#calls) if (caller.operator === operator) deadline.cancel(error);
    this.#execution.cutOperator(operator, error);
    this.#catalogue.purgeOperator(operator);
  }

  cutTokens(tokens: ReadonlySet<string>, error: FedError): void {
    for (const [deadline, { token }] of this.#calls)
      if (token !== undefined && tokens.has(token)) deadline.cancel(error);
  }

  async locate({ hub, app }: Pick<CallTarget, "hub" | "app">, options: LocateOptions): Promise<HubId> {
    return hub === undefined ? this.#ownerOf(app, options) : this.#directory.resolve(hub);
  }

  paths(hub: string): PathStatus[] {
    return this.#paths.paths(this.#directory.resolve(hub));
  }

  pathHistory(hub: string): readonly PathEvent[] {
    return this.#paths.history(this.#directory.resolve(hub));
  }

  peers(): PeerStatus[] {
    return this.#directory.peers();
  }

  session(hubId: HubId): Session | undefined {
    return this.#paths.reach(hubId)?.session;
  }

  listening(): ListenerStatus[] {
    return this.#paths.listening();
  }

  async #ownerOf(app: string, { caller, signal }: LocateOptions): Promise<HubId> {
    const { self, apps } = this.#options;
    if (apps.list().some((own) => own.app === app)) return self.hubId;
    let hubs = this.#catalogue.hubsWith(caller.operator, app);
    if (hubs.length === 0) {
      await this.#catalogue.list(caller, signal ? { signal } : {});
      hubs = this.#catalogue.hubsWith(caller.operator, app);
    }
    if (hubs.length === 1) return hubs[0]!;
    if (hubs.length === 0) {
      throw new RouterError({
        code: "APP_UNKNOWN",
        message: `No hub shows this operator an app named ${app}.`,
        hint: "List the apps: fed apps",
      });
    }
    throw new RouterError({
      code: "APP_AMBIGUOUS",
      message: `${hubs.length} hubs show an app named ${app}.`,
      hint: `Name the hub too: ${this.#directory.nameOf(hubs[0]!)}/${app}`,
    });
  }

  #callHere(target: CallTarget, options: CallOptions, deadline: Deadline): Promise<unknown> {
    const { app, idempotencyKey } = target;
    const { method, params } = "body" in target ? parseBody(target.body) : target;
    const { signal } = deadline;
    const { caller, onNotification } = options;
    const work = this.#execution.run({
      callId: options.callId ?? newCallId(),
      app,
      method,
      params,
      peer: undefined,
      identify: () => caller,
      idempotency:
        idempotencyKey === undefined
          ? undefined
          : {
              key: idempotencyKey,
              digest: repetitionDigest(this.#options.digest, app, idempotencyKey, { method, params }),
            },
      controller: { signal, abort: (error) => deadline.cancel(error) },
      notify: (notification) => {
        if (!signal.aborted) onNotification?.(notification);
      },
    });
    return unlessAborted(work, signal);
  }

  #callThere(hubId: HubId, target: CallTarget, options: CallOptions, deadline: Deadline): Promise<unknown> {
    const { app, idempotencyKey, readOnly = false } = target;
    const { caller, incoming } = options;
    const method = "body" in target ? parseBody(target.body).method : target.method;
    return this.#client.call(
      {
        kind: kindOf(method),
        hubId,
        app,
        callId: options.callId ?? newCallId(),
        body: bodyOf(target),
        idempotencyKey,
        readOnly,
        caller,
        incoming,
        onNotification: options.onNotification,
      },
      deadline,
    );
  }

  #dispatch(there: PeerSession, stream: Stream): void {
    const header = parseHeader(stream.header);
    switch (header.k) {
      case "call":
      case "listen":
        void this.#server.call(there, stream, header);
        return;
      case "list":
        void this.#server.list(there, stream, header);
        return;
      case "changed":
        this.#server.changed(there, stream);
        return;
    }
    const { protocols } = this.#options;
    const protocol = protocols && Object.hasOwn(protocols, header.k) ? protocols[header.k] : undefined;
    if (!protocol) {
      throw new RouterError({ code: "UNKNOWN_STREAM_KIND", message: "This hub serves no streams of that kind." });
    }
    protocol(there.session, stream, header);
  }
}
