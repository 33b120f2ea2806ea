/** What a router is made from, and what it does. */
import type { Clock, Connection, FedError, HubId, Session, Stream, Transport } from "@fed/core";
import type { LargerRevocationListener } from "./call.js";
import type { CallOptions, CallTarget } from "./call-target.js";
import type { AppPage, CatalogueEntry, PageOptions, Place, ShowOptions } from "./catalogue-page.js";
import type { SearchOptions, SearchPage } from "./catalogue-search.js";
import type { PeerStatus } from "./directory.js";
import type { ListenerStatus } from "./listeners.js";
import type { ListedApp, ToolSummary } from "./listing.js";
import type { PathEvent } from "./path-history.js";
import type { PathStatus } from "./path-status.js";
import type { SessionSource } from "./peer-paths.js";
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
  PeerAuthorizer,
  PeerEvents,
  RevocationChecker,
  SharingPolicy,
} from "./ports.js";
import type { Rate } from "./rate-limit.js";
import type { StreamHeader } from "./wire.js";

/** Serves the streams of one kind that peers open, e.g. `sync`. A throw resets the stream, and so does a rejection. */
export type StreamProtocol = (session: Session, stream: Stream, header: StreamHeader) => void | Promise<void>;

/** What a router is made from. */
export interface RouterOptions extends PeerEvents {
  readonly self: { readonly hubId: HubId; readonly name: string };
  readonly transports: readonly Transport[];
  readonly sessions: SessionSource;
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
