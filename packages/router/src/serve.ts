/** The owner's side of `call`, `listen`, `list` and `changed` streams. */
import { type Clock, type FedError, type HubId, type Stream, toFedError } from "@fed/core";
import { createDeadline, type Deadline } from "./deadline.js";
import { RouterError } from "./errors.js";
import type { Execution } from "./execution.js";
import { InFlight } from "./in-flight.js";
import { limits } from "./limits.js";
import type { OwnListing } from "./own-listing.js";
import type { PeerSession } from "./peer-session.js";
import type { Caller, Digest, Envelope, EnvelopeVerifier, Notification, RevocationChecker } from "./ports.js";
import { type Rate, RateLimit } from "./rate-limit.js";
import {
  type CallHeader,
  type CallKind,
  encodeError,
  encodeNotification,
  encodeResult,
  kindOf,
  parseBody,
  parseCallHeader,
  repetitionDigest,
  requestDigest,
  type StreamHeader,
} from "./wire.js";

/** What serving needs. */
export interface ServePorts {
  readonly execution: Execution;
  readonly verifier: EnvelopeVerifier;
  readonly revocation: RevocationChecker;
  readonly own: OwnListing;
  readonly digest: Digest;
  readonly clock: Clock;
  /** Of each peer. */
  readonly rate: Rate;
  /** A request of a peer was above its rate or number. */
  readonly onOverload: ((peer: HubId, error: FedError) => void) | undefined;
  /** A peer is about to be shown what there is. */
  onListed(hubId: HubId): void;
  /** A peer says that what it shows has changed. */
  onChanged(hubId: HubId): void;
}

/** What a peer resets a call with when its caller has given up; anything else means the session was lost. */
const cancelCodes: ReadonlySet<string> = new Set(["ABORTED", "DEADLINE_EXCEEDED"]);
const noBytes = new Uint8Array(0);

/** Answers peers' calls, and listings. */
export class Server {
  readonly #ports: ServePorts;
  readonly #inFlight = {
    call: new InFlight(limits.callsPerPeer, limits.calls),
    listen: new InFlight(limits.listensPerPeer, limits.listens),
  };
  readonly #requestBytes = new InFlight(limits.requestBytesPerPeer, limits.requestBytes);
  readonly #rate: RateLimit;

  constructor(ports: ServePorts) {
    this.#ports = ports;
    this.#rate = new RateLimit(ports.rate, ports.clock);
  }

  /** Serves one `call` or `listen` stream to its end. Never rejects. */
  async call(there: PeerSession, stream: Stream, header: StreamHeader): Promise<void> {
    await this.#answer(there, stream, header.k === "listen" ? "listen" : "call", async () => {
      const call = parseCallHeader(header);
      const deadline = createDeadline(this.#ports.clock, Number.POSITIVE_INFINITY, undefined);
      const settled = this.#watch(stream, deadline, call.idempotencyKey !== undefined);
      try {
        const result = await this.#execute(there, stream, call, deadline);
        return encodeResult(result, this.#ports.revocation.size, this.#maxBytes(there) - 5);
      } finally {
        settled();
      }
    });
  }

  /** Serves one `list` stream to its end. Never rejects. */
  async list(there: PeerSession, stream: Stream, header: StreamHeader): Promise<void> {
    await this.#answer(there, stream, "call", async () => {
      const { envelope } = parseCallHeader(header);
      const bodyDigest = requestDigest(this.#ports.digest, "list", "", undefined, noBytes);
      const caller = this.#identify(there, envelope, bodyDigest);
      this.#ports.revocation.assertCaller(caller, there.peer);
      this.#ports.onListed(there.peer.hubId);
      return encodeResult({ apps: this.#ports.own.of(caller).apps }, this.#ports.revocation.size, limits.listBytes);
    });
  }

  /** Takes the word of a peer that what it shows has changed. */
  changed(there: PeerSession, stream: Stream): void {
    this.#rate.take(there.peer.hubId);
    stream.end();
    stream.receive().catch(() => {});
    this.#ports.onChanged(there.peer.hubId);
  }

  async #execute(there: PeerSession, stream: Stream, call: CallHeader, deadline: Deadline): Promise<unknown> {
    const body = await stream.receive();
    if (!body) throw new RouterError({ code: "REQUEST_MALFORMED", message: "The call has no body." });
    const { hubId } = there.peer;
    this.#requestBytes.take(hubId, body.length);
    try {
      return await this.#run(there, stream, call, body, deadline);
    } finally {
      this.#requestBytes.release(hubId, body.length);
    }
  }

  #run(there: PeerSession, stream: Stream, call: CallHeader, body: Uint8Array, deadline: Deadline): Promise<unknown> {
    const { method, params } = parseBody(body);
    if (kindOf(method) !== call.kind) {
      throw new RouterError({ code: "REQUEST_MALFORMED", message: `${method} does not travel on such a stream.` });
    }
    const { digest, execution } = this.#ports;
    const key = call.idempotencyKey;
    const bodyDigest = requestDigest(digest, call.kind, call.app, key, body);
    return execution.run({
      callId: call.id,
      app: call.app,
      method,
      params,
      peer: there.peer,
      identify: () => this.#identify(there, call.envelope, bodyDigest),
      idempotency:
        key === undefined ? undefined : { key, digest: repetitionDigest(digest, call.app, key, { method, params }) },
      deadline,
      notify: notifier(stream, deadline),
    });
  }

  /** Who asks, by the envelope. Nobody who comes over a session is local. */
  #identify({ peer }: PeerSession, envelope: Envelope, bodyDigest: Uint8Array): Caller {
    const caller = this.#ports.verifier.verify(envelope, { peer, bodyDigest });
    return caller.local ? { ...caller, local: false } : caller;
  }

  /** Runs `work` under the limits and sends its frame, or its error, as the last answer. */
  async #answer(there: PeerSession, stream: Stream, kind: CallKind, work: () => Promise<Uint8Array>): Promise<void> {
    const hubId = there.peer.hubId;
    const inFlight = this.#inFlight[kind];
    let answer: Uint8Array;
    try {
      this.#admit(hubId, inFlight);
      there.begin();
      try {
        answer = await work();
      } finally {
        inFlight.release(hubId);
        there.finish();
      }
    } catch (cause) {
      answer = encodeError(toFedError(cause), this.#ports.revocation.size);
    }
    try {
      await stream.send(answer, { end: true });
      // The request has been read or is not wanted any more.
      if ((await stream.receive()) !== undefined) stream.reset(unwanted());
    } catch {
      // The caller is gone; its hub knows what that means for the call.
    }
  }

  #admit(hubId: HubId, inFlight: InFlight): void {
    try {
      this.#rate.take(hubId);
      inFlight.take(hubId);
    } catch (cause) {
      this.#ports.onOverload?.(hubId, toFedError(cause));
      throw cause;
    }
  }

  /**
   * Aborts the app when the caller cancels or its session is lost. A call with an idempotency key survives a lost
   * session for as long as its outcome would be remembered: its caller comes back for it over another path.
   * @returns what to call when the app has ended.
   */
  #watch(stream: Stream, deadline: Deadline, keyed: boolean): () => void {
    let ended = false;
    let cancelTimer = () => {};
    stream.closed.then((error: FedError | undefined) => {
      if (ended || error === undefined) return;
      if (!keyed || cancelCodes.has(error.code)) {
        deadline.cancel(error);
        return;
      }
      const timer = this.#ports.clock.setTimer(limits.outcomeLifeMs, () => deadline.cancel(error));
      cancelTimer = () => timer.cancel();
    });
    return () => {
      ended = true;
      cancelTimer();
    };
  }

  #maxBytes(there: PeerSession): number {
    return Math.min(there.session.maxMessageBytes, limits.bodyBytes);
  }
}

/** Sends notifications as the caller's credit allows: a caller that does not read must not fill this hub's memory. */
function notifier(stream: Stream, deadline: Deadline): (notification: Notification) => void {
  let queued = 0;
  return (notification) => {
    if (deadline.signal.aborted) return;
    if (queued >= limits.notificationQueue) {
      if (!isDroppable(notification)) deadline.cancel(tooSlow());
      return;
    }
    let frame: Uint8Array;
    try {
      frame = encodeNotification(notification);
    } catch {
      // What cannot be carried is lost; it must not break the app that sent it.
      return;
    }
    queued++;
    const sent = () => {
      queued--;
    };
    stream.send(frame).then(sent, sent);
  };
}

/** Progress and log messages inform; anything else is a change that must not be missed unnoticed. */
function isDroppable({ method }: Notification): boolean {
  return method === "notifications/progress" || method === "notifications/message";
}

function tooSlow(): RouterError {
  return new RouterError({
    code: "BUSY",
    message: "The caller does not read its notifications.",
    hint: "Subscribe again and read what changed.",
    retryable: true,
  });
}

function unwanted(): RouterError {
  return new RouterError({ code: "REQUEST_MALFORMED", message: "A call is one message." });
}
