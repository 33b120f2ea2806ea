/** The router: paths to peers, the catalogue of apps, and the one way of every call. ARCHITECTURE "The way of one call". */
import {
  type Clock,
  type FedError,
  type HubId,
  LiveSet,
  type Session,
  type Stream,
  systemClock,
  throwIfAborted,
} from "@fed/core";
import { Announcer } from "./announcer.js";
import { Client } from "./call.js";
import { bodyOf, type CallOptions, type CallTarget, checkTarget } from "./call-target.js";
import { Catalogue } from "./catalogue.js";
import type { AppPage, CatalogueEntry, PageOptions, Place, ShowOptions } from "./catalogue-page.js";
import type { SearchOptions, SearchPage } from "./catalogue-search.js";
import type { LocateOptions, Router, RouterOptions } from "./contract.js";
import { createDeadline, type Deadline } from "./deadline.js";
import { Directory, type PeerStatus } from "./directory.js";
import { RouterError } from "./errors.js";
import { Execution } from "./execution.js";
import { limits } from "./limits.js";
import type { ListenerStatus } from "./listeners.js";
import type { ToolSummary } from "./listing.js";
import { OwnListing } from "./own-listing.js";
import type { PathEvent } from "./path-history.js";
import type { PathStatus } from "./path-status.js";
import { PeerPaths } from "./peer-paths.js";
import type { PeerSession } from "./peer-session.js";
import type { Caller, Member, Notification } from "./ports.js";
import { Server } from "./serve.js";
import { kindOf, newCallId, parseBody, parseHeader, repetitionDigest } from "./wire.js";

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
  readonly #calls = new LiveSet<{ readonly deadline: Deadline; readonly caller: Caller }>();

  constructor(options: RouterOptions) {
    const { self, transports, sessions, authorizePeer, signer, verifier, digest, revocation, apps } = options;
    const clock = options.clock ?? systemClock;
    this.#options = options;
    this.#clock = clock;
    this.#paths = new PeerPaths({
      selfId: self.hubId,
      transports,
      sessions,
      authorizePeer,
      events: {
        onPeerUp: (peer) => {
          // What it said while it was out of reach is lost.
          this.#catalogue.changed(peer.hubId);
          this.#announcer.reached(peer.hubId);
          options.onPeerUp?.(peer);
        },
        onPeerDown: options.onPeerDown?.bind(options),
        onDisplaced: options.onDisplaced?.bind(options),
      },
      clock,
      random: options.random ?? Math.random,
      onStream: (there, stream) => this.#dispatch(there, stream),
      onGuest: options.onGuest?.bind(options),
      onRefused: options.onRefused?.bind(options),
    });
    this.#directory = new Directory(self, this.#paths);
    this.#execution = new Execution({ ...options, clock });
    const own = new OwnListing({ apps, policy: options.policy, execution: this.#execution, digest });
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
    for (const { deadline } of this.#calls) deadline.cancel(error);
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
    const place = this.#calls.add({ deadline, caller });
    try {
      const { hub, app } = target;
      const hubId = hub === undefined ? await this.#ownerOf(app, options) : this.#directory.resolve(hub);
      return await (hubId === this.#options.self.hubId
        ? this.#callHere(target, { ...options, onNotification }, deadline)
        : this.#callThere(hubId, target, { ...options, onNotification }, deadline));
    } finally {
      deadline.done();
      this.#calls.delete(place);
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
    for (const { deadline, caller } of this.#calls) if (caller.operator === operator) deadline.cancel(error);
    this.#execution.cutOperator(operator, error);
    this.#catalogue.purgeOperator(operator);
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
      deadline,
      notify: (notification) => {
        if (!signal.aborted) onNotification?.(notification);
      },
    });
    return deadline.during(work);
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

  #dispatch(there: PeerSession, stream: Stream): void | Promise<void> {
    const header = parseHeader(stream.header);
    switch (header.k) {
      case "call":
      case "listen":
        return this.#server.call(there, stream, header);
      case "list":
        return this.#server.list(there, stream, header);
      case "changed":
        return this.#server.changed(there, stream);
    }
    const { protocols } = this.#options;
    const protocol = protocols && Object.hasOwn(protocols, header.k) ? protocols[header.k] : undefined;
    if (!protocol) {
      throw new RouterError({ code: "UNKNOWN_STREAM_KIND", message: "This hub serves no streams of that kind." });
    }
    return protocol(there.session, stream, header);
  }
}
