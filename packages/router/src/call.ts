/**
 * The caller's side of a call: the path, the envelope, the stream, and what a lost session means.
 * At most once: only what was never sent, is marked read-only, or carries an idempotency key is sent again.
 */
import {
  type Clock,
  CoreError,
  type FedError,
  type HubId,
  type PeerIdentity,
  type Stream,
  toFedError,
} from "@fed/core";
import type { Deadline } from "./deadline.js";
import { RouterError } from "./errors.js";
import { InFlight } from "./in-flight.js";
import { limits } from "./limits.js";
import type { PeerPaths } from "./peer-paths.js";
import type { PeerSession } from "./peer-session.js";
import type { Caller, Digest, Envelope, EnvelopeSigner, Notification, RevocationChecker } from "./ports.js";
import {
  type Answer,
  type CallKind,
  encodeCallHeader,
  encodeListHeader,
  parseAnswer,
  remoteProtocol,
  requestDigest,
} from "./wire.js";

/** Told that a peer holds a longer revocation list than this hub; what it returns is awaited before its answer counts. */
export type LargerRevocationListener = (peer: PeerIdentity, size: number) => void | Promise<void>;

/** What calling needs. */
export interface CallPorts {
  readonly paths: PeerPaths;
  readonly signer: EnvelopeSigner;
  readonly revocation: RevocationChecker;
  readonly digest: Digest;
  readonly clock: Clock;
  readonly onLargerRevocationSize: LargerRevocationListener | undefined;
}

/** A call to another hub's app. */
export interface RemoteCall {
  readonly kind: CallKind;
  readonly hubId: HubId;
  readonly app: string;
  readonly callId: string;
  readonly body: Uint8Array;
  readonly idempotencyKey: string | undefined;
  readonly readOnly: boolean;
  readonly caller: Caller;
  readonly incoming: Envelope | undefined;
  readonly onNotification: ((notification: Notification) => void) | undefined;
}

type LastAnswer = Exclude<Answer, { readonly kind: "notification" }>;

/** How one attempt ended without an answer. */
class Unanswered {
  /** Whether the owner may have got it. */
  readonly sent: boolean;
  readonly error: FedError;

  constructor(sent: boolean, error: FedError) {
    this.sent = sent;
    this.error = error;
  }
}

/** The session refuses a stream with these before its owner sees it. */
const refusedStreamCodes: ReadonlySet<string> = new Set(["GOING_AWAY", "TOO_MANY_STREAMS"]);
const maxAttempts = 3;
const noBytes = new Uint8Array(0);

/** Calls apps of other hubs. */
export class Client {
  readonly #ports: CallPorts;
  readonly #inFlight = {
    call: new InFlight(limits.callsPerPeer, limits.calls),
    listen: new InFlight(limits.listensPerPeer, limits.listens),
  };

  constructor(ports: CallPorts) {
    this.#ports = ports;
  }

  /**
   * The app's result.
   * @throws {RemoteError} what the owner answered.
   * @throws {FedError} why the owner is cut off, if it is.
   * @throws {RouterError} HUB_UNREACHABLE, OUTCOME_UNKNOWN, BUSY, REMOTE_PROTOCOL, BODY_TOO_LARGE; the deadline's error.
   */
  async call(call: RemoteCall, deadline: Deadline): Promise<unknown> {
    const inFlight = this.#inFlight[call.kind];
    inFlight.take(call.hubId);
    try {
      return await this.#attempts(call, deadline);
    } finally {
      inFlight.release(call.hubId);
    }
  }

  /** The answer to a `list` stream. */
  async list(there: PeerSession, caller: Caller, callId: string, deadline: Deadline): Promise<unknown> {
    const { digest, signer, revocation } = this.#ports;
    revocation.assertCaller(caller, there.peer);
    const { hubId } = there.peer;
    const bodyDigest = requestDigest(digest, "list", "", undefined, noBytes);
    const envelope = signer.sign({ caller, to: hubId, epoch: there.session.peerEpoch, bodyDigest });
    const stream = there.session.open(encodeListHeader(callId, envelope));
    stream.end();
    const outcome = await this.#result(there, caller, stream, undefined, deadline, undefined);
    if (outcome instanceof Unanswered) throw outcome.error;
    return outcome;
  }

  async #attempts(call: RemoteCall, deadline: Deadline): Promise<unknown> {
    const { paths } = this.#ports;
    // A session that has no path just now, as when a relay restarts, or one that is being dialled, is worth a wait.
    const soon = (signal: AbortSignal) => paths.whileExpected(call.hubId, signal);
    const first = paths.callable(call.hubId) ?? (await this.#patient(soon, deadline));
    if (!first) throw paths.cutError(call.hubId) ?? unreachable(call.hubId);
    let there: PeerSession = first;
    let firstEpoch: string | undefined;
    for (let attempt = 1; ; attempt++) {
      const { peerEpoch } = there.session;
      const outcome = await this.#attempt(there, call, deadline);
      if (!(outcome instanceof Unanswered)) return outcome;
      if (outcome.sent) firstEpoch ??= peerEpoch;
      // Once it may have arrived, every further attempt must be harmless.
      const again = firstEpoch === undefined || isRepeatable(call);
      const next: PeerSession | undefined =
        again && attempt < maxAttempts ? await this.#next(there, deadline) : undefined;
      // A restarted owner has forgotten the keys it knew.
      const forgotten = firstEpoch !== undefined && !call.readOnly && next?.session.peerEpoch !== firstEpoch;
      if (!next || forgotten) {
        if (firstEpoch !== undefined) throw outcomeUnknown(call, outcome.error);
        throw paths.cutError(call.hubId) ?? unreachable(call.hubId, outcome.error);
      }
      there = next;
    }
  }

  /** Another session for a call that may be repeated. */
  async #next(failed: PeerSession, deadline: Deadline): Promise<PeerSession | undefined> {
    return this.#patient((signal) => this.#ports.paths.after(failed, signal), deadline);
  }

  /** Waits a little. */
  async #patient<T>(wait: (signal: AbortSignal) => Promise<T>, deadline: Deadline): Promise<T> {
    const patience = new AbortController();
    const timer = this.#ports.clock.setTimer(limits.retryWaitMs, () => patience.abort());
    try {
      return await wait(AbortSignal.any([patience.signal, deadline.signal]));
    } finally {
      timer.cancel();
    }
  }

  async #attempt(there: PeerSession, call: RemoteCall, deadline: Deadline): Promise<unknown> {
    const { digest, signer, revocation } = this.#ports;
    const { kind, caller, app, callId, body, idempotencyKey, incoming } = call;
    if (deadline.signal.aborted) throw deadline.signal.reason;
    revocation.assertCaller(caller, there.peer);
    if (body.length > there.session.maxMessageBytes) {
      throw new RouterError({
        code: "BODY_TOO_LARGE",
        message: `The request has ${body.length} bytes; this session carries ${there.session.maxMessageBytes}.`,
      });
    }
    const bodyDigest = requestDigest(digest, kind, app, idempotencyKey, body);
    const envelope = signer.sign({
      caller,
      to: call.hubId,
      epoch: there.session.peerEpoch,
      bodyDigest,
      ...(incoming ? { incoming } : {}),
    });
    let stream: Stream;
    try {
      stream = there.session.open(encodeCallHeader({ kind, app, id: callId, envelope, idempotencyKey }));
    } catch (cause) {
      return new Unanswered(false, toFedError(cause));
    }
    there.begin();
    try {
      // A failed send shows at receive as well, with the reason that counts.
      stream.send(body, { end: true }).catch(() => {});
      return await this.#result(there, caller, stream, app, deadline, call.onNotification);
    } finally {
      there.finish();
    }
  }

  /** Reads answers until the last. Whatever goes wrong before it also resets the stream, which cancels the app. */
  async #result(
    there: PeerSession,
    caller: Caller,
    stream: Stream,
    app: string | undefined,
    deadline: Deadline,
    onNotification: ((notification: Notification) => void) | undefined,
  ): Promise<unknown> {
    let last: LastAnswer | Unanswered;
    try {
      last = await this.#lastAnswer(there, stream, app, deadline, onNotification);
    } catch (cause) {
      stream.reset(cancelError(cause));
      throw toFedError(cause);
    }
    if (last instanceof Unanswered) return last;
    this.#finish(stream);
    if (last.revocationSize > this.#ports.revocation.size) await this.#catchUp(there, caller, last, deadline);
    if (last.kind === "error") throw last.error;
    return last.result;
  }

  async #lastAnswer(
    there: PeerSession,
    stream: Stream,
    app: string | undefined,
    deadline: Deadline,
    onNotification: ((notification: Notification) => void) | undefined,
  ): Promise<LastAnswer | Unanswered> {
    for (let count = 0; count <= limits.notificationCount; count++) {
      let message: Uint8Array | undefined;
      try {
        message = await deadline.during(stream.receive());
      } catch (cause) {
        if (deadline.signal.aborted) throw deadline.signal.reason;
        const error = toFedError(cause);
        return new Unanswered(!refusedStreamCodes.has(error.code), error);
      }
      if (!message) return new Unanswered(true, remoteProtocol("The peer ended the stream without an answer."));
      const answer = parseAnswer(message, there.peer.hubId, app);
      if (answer.kind !== "notification") return answer;
      onNotification?.(answer.notification);
    }
    throw remoteProtocol("The peer sends notifications without end.");
  }

  /** The peer knows of revocations that this hub does not: they are fetched before its answer counts. */
  async #catchUp(there: PeerSession, caller: Caller, answer: LastAnswer, deadline: Deadline): Promise<void> {
    const { onLargerRevocationSize, revocation } = this.#ports;
    if (!onLargerRevocationSize) return;
    try {
      await deadline.during(onLargerRevocationSize(there.peer, answer.revocationSize));
      revocation.assertCaller(caller, there.peer);
    } catch (cause) {
      // The owner has answered, so this must not read like a refusal that may be tried again.
      throw new RouterError({
        code: "OUTCOME_UNKNOWN",
        message: `The answer of hub ${there.peer.hubId} is withheld: ${toFedError(cause).code}.`,
        hint: "Look before you repeat it; see the owner's audit log.",
        cause,
      });
    }
  }

  /** The peer ends its direction with the last answer; one that goes on is cut short. */
  #finish(stream: Stream): void {
    const stop = () => stream.reset(remoteProtocol("The peer went on after its last answer."));
    stream.receive().then(
      (more) => more !== undefined && stop(),
      () => {},
    );
  }
}

function isRepeatable(call: RemoteCall): boolean {
  return call.readOnly || call.idempotencyKey !== undefined;
}

/** What the owner hears: it must be able to tell a cancelled call from a lost session. */
function cancelError(cause: unknown): FedError {
  const error = toFedError(cause);
  if (error.code === "DEADLINE_EXCEEDED" || error.code === "REMOTE_PROTOCOL") return error;
  return new CoreError({ code: "ABORTED", message: "The caller has cancelled." });
}

function unreachable(hubId: HubId, cause?: FedError): RouterError {
  return new RouterError({
    code: "HUB_UNREACHABLE",
    message: `No path to hub ${hubId} works now; the call was not sent.`,
    hint: `See why: fed path ${hubId}`,
    retryable: true,
    cause,
  });
}

function outcomeUnknown(call: RemoteCall, cause: FedError): RouterError {
  return new RouterError({
    code: "OUTCOME_UNKNOWN",
    message: `The session with hub ${call.hubId} was lost after the call was sent: it may or may not have taken effect.`,
    hint: `Look before you repeat it; its call id in the owner's audit log is ${call.callId}.`,
    cause,
  });
}
