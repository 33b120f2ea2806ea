/** What the router needs from other rooms. It knows no certificates, ciphers, MCP SDK or files: a hub hands these in. */
import type { FedError, HubId, PeerIdentity } from "@fed/core";

/** On whose authority a call is made. */
export interface Caller {
  /** A principal of its home hub, e.g. `alice@<hubId>`. */
  readonly operator: string;
  readonly homeHub: HubId;
  readonly roles: readonly string[];
  readonly scope: readonly string[];
  /** Whether this hub itself authenticated the operator. */
  readonly local: boolean;
  /** Every hub named in the envelope; for a local caller the home hub alone. */
  readonly hubs: readonly HubId[];
  /** The origin assertion's transaction id. */
  readonly txn?: string;
  /** The id of the token that a local caller showed; stays on this hub, in its audit log. */
  readonly token?: string;
}

/** Who asks, signed: an origin assertion, the hop proof for this receiver, and earlier hop proofs. Compact JWS each. */
export interface Envelope {
  readonly origin: string;
  readonly hop: string;
  readonly via?: readonly string[];
}

/** What {@link EnvelopeSigner.sign} binds together. */
export interface EnvelopeRequest {
  readonly caller: Caller;
  readonly to: HubId;
  /** The receiver's boot nonce. */
  readonly epoch: string;
  /** 32 bytes over the request, see {@link Digest}. */
  readonly bodyDigest: Uint8Array;
  /** The envelope this call arrived in, when it is forwarded for a caller of another hub. */
  readonly incoming?: Envelope;
}

export interface EnvelopeSigner {
  /** A fresh envelope; synchronous, called once per remote call and attempt. */
  sign(request: EnvelopeRequest): Envelope;
}

export interface EnvelopeVerifier {
  /** Who asks. Checks everything, replay last. @throws {FedError} with trust's code. */
  verify(envelope: Envelope, context: { readonly peer: PeerIdentity; readonly bodyDigest: Uint8Array }): Caller;
}

/** SHA-256: 32 bytes. */
export type Digest = (bytes: Uint8Array) => Uint8Array;

export interface RevocationChecker {
  /**
   * Returns only when my view is fresh and neither `peer` nor anyone named in `caller` is revoked.
   * A local caller of a local app has no peer and needs no fresh view.
   * @throws {FedError} with revocation's code.
   */
  assertCaller(caller: Caller, peer: PeerIdentity | undefined): void;
  /** Entries of my revocation list, 0..2^32-1; every answer carries it. */
  readonly size: number;
}

/** What a tool can do to the world, as the hub that owns it rates it. */
export type Risk = (typeof risks)[number];
export const risks = ["read", "write", "execute"] as const;

/** What a policy is asked. */
export interface SharingRequest {
  readonly action: "list" | "call";
  readonly app: string;
  /** The tool's name, for `tools/call` and for each tool of a `tools/list` answer. */
  readonly tool?: string;
  /** The owner's rating of this tool, or MCP's of this method; absent when unknown. */
  readonly risk?: Risk;
  readonly caller: Caller;
}

/** A policy's answer. */
export interface SharingDecision {
  readonly allow: boolean;
  /** Names the rule that decided. */
  readonly rule: string;
  readonly reason: string;
}

export interface SharingPolicy {
  /** Pure; a throw denies. */
  decide(request: SharingRequest): SharingDecision;
  /**
   * Another number once {@link decide} may say something else of a request, whatever the caller's `txn` and `token`: listings
   * are kept until then. Absent: they are made anew each time.
   */
  version?(): number;
}

/** A call that the policy allows, before anything of it runs. */
export interface ConsentRequest {
  readonly callId: string;
  readonly app: string;
  readonly method: string;
  readonly params: unknown;
  readonly tool?: string;
  /** Absent when unknown. */
  readonly risk?: Risk;
  readonly caller: Caller;
  /** The hub it came from; undefined for a local call. */
  readonly peer: PeerIdentity | undefined;
  /** Tells the caller that its call waits. */
  notify(notification: Notification): void;
}

/** Asks the operator of this hub before a call runs. */
export interface Consent {
  /** Whether this call waits for an answer. Asked of every call, so it must be quick; a throw refuses the call. */
  required(request: ConsentRequest): boolean;
  /**
   * How consent was given.
   * @throws {FedError} why it was not; the reason of `signal`, which aborts when the caller cancels or is cut off.
   */
  decide(request: ConsentRequest, signal: AbortSignal): Promise<ConsentGiven>;
}

/** `session`: it holds for further calls, too. */
export type ConsentGiven = "once" | "session";

export interface AuditSink {
  /**
   * Takes records in the order of the calls; durable once resolved. A call does not begin before its decision is, and a
   * rejection refuses it. Nobody waits for an outcome, which comes `lazily`: it may share the next record's way to the
   * disk, and what becomes of a rejection is the sink's matter.
   */
  append(record: AuditRecord, options?: { readonly lazily?: boolean }): Promise<void>;
}

/** An idempotency key that was used. */
export interface UsedKey {
  readonly operator: string;
  readonly homeHub: HubId;
  /** The app and the key, LF between them. */
  readonly name: string;
  /** Of the request it stands for. */
  readonly digest: Uint8Array;
}

/** Outlives this process: what a key was used for before it is not done again. */
export interface KeyJournal {
  /** What was used before this router was made. */
  known(): readonly UsedKey[];
  /** Durable once resolved. A rejection refuses the call. */
  add(key: UsedKey): Promise<void>;
  /** The key is free again; nobody waits for it. */
  remove(key: Pick<UsedKey, "operator" | "name">): void;
}

/**
 * One call, before its effect (`call.decision`) and after (`call.outcome`). Holds no bodies and no tokens. A member that is
 * undefined is not written down.
 */
export type AuditRecord =
  | {
      readonly type: "call.decision";
      readonly atMs: number;
      readonly callId: string;
      readonly app: string;
      readonly method: string;
      readonly tool?: string | undefined;
      /** The hub it came from; absent for a local call. */
      readonly from?: HubId | undefined;
      /** Absent when the envelope did not verify. */
      readonly operator?: string | undefined;
      /** The id of a local caller's token. */
      readonly token?: string | undefined;
      readonly txn?: string | undefined;
      readonly decision: "allow" | "deny";
      readonly rule: string;
      /** How the owner's operator, who was asked, allowed it. */
      readonly consent?: ConsentGiven | undefined;
      /** An earlier outcome is returned, nothing runs. */
      readonly replay?: true | undefined;
    }
  | {
      readonly type: "call.outcome";
      readonly atMs: number;
      readonly callId: string;
      readonly app: string;
      readonly outcome: "result" | "tool-error" | "error" | "cancelled";
      /** The error's code. */
      readonly code?: string | undefined;
      readonly durationMs: number;
    };

/**
 * Where an app stands: `idle` does not run and is started by the next call, `starting`, `ready`, `failed` could not be
 * started or has ended and is tried again, `stopped` by its operator and is not started until launched.
 */
export type AppStatus = (typeof appStatuses)[number];
export const appStatuses = ["idle", "starting", "ready", "failed", "stopped"] as const;

/** An app of this hub. */
export interface LocalApp {
  /** 1..64 characters of `A-Z a-z 0-9 . _ -`, beginning with a letter or digit. Compared exactly. */
  readonly app: string;
  readonly title?: string;
  readonly description?: string;
  readonly status: AppStatus;
  readonly error?: { readonly code: string; readonly message: string };
}

/** One MCP request. */
export interface AppRequest {
  readonly method: string;
  readonly params: unknown;
}

/** One MCP notification, e.g. `notifications/progress`, without what belongs to one hop alone. */
export interface Notification {
  readonly method: string;
  readonly params?: unknown;
}

/** What an app learns beside the request. */
export interface AppContext {
  readonly caller: Caller;
  readonly callId: string;
  /** Aborted when the caller cancels or is gone; its reason is a FedError. */
  readonly signal: AbortSignal;
  /** Passes one MCP notification that belongs to this request back to the caller, in order. */
  notify(notification: Notification): void;
}

/** A tool as `tools/list` of its app defines it; beyond the name nothing is promised. */
export interface ToolDefinition {
  readonly name: string;
  readonly [member: string]: unknown;
}

export interface LocalApps {
  list(): readonly LocalApp[];
  /** Another number once `list`, `tools` or `hints` say something else: listings are kept until then. Absent: they are made anew each time. */
  version?(): number;
  /**
   * The tools an app was last known to have, without starting it; undefined when they are not known. Definitions that have
   * not changed are the same objects: what is made of them is remembered.
   */
  tools?(app: string): readonly ToolDefinition[] | undefined;
  /**
   * The MCP result. A result with `isError` is a result.
   * @throws {FedError} APP_UNKNOWN when there is no such app, else the app's own error.
   */
  call(app: string, request: AppRequest, context: AppContext): Promise<unknown>;
  /** What the owner knows about a tool. */
  hints?(app: string, tool: string): { readonly risk?: Risk | undefined } | undefined;
  /**
   * Looks up what {@link hints} does not know of a tool that is about to be called. A rejection leaves it unknown.
   */
  learn?(app: string, tool: string, context: AppContext): Promise<void>;
}

/** Judges a peer once more after the handshake. @throws {FedError} to refuse it. */
export type PeerAuthorizer = (peer: PeerIdentity) => void;

/** A member of the cluster and where it may be reached. */
export interface Member {
  readonly hubId: HubId;
  readonly name: string;
  /** For the relay the address is the hub id. */
  readonly addresses: readonly { readonly transport: string; readonly address: string }[];
}

/**
 * Told that a peer's confirmed paths appeared or are all gone, and that a peer counts another process with this hub's id.
 * What a listener throws is dropped.
 */
export interface PeerEvents {
  onPeerUp?(peer: PeerIdentity): void;
  onPeerDown?(peer: PeerIdentity, error: FedError | undefined): void;
  onDisplaced?(peer: HubId): void;
}
