/** A live session, above its paths: what each frame does, docs/spec/session.md §4–§8. */
import {
  abortedError,
  type Clock,
  type Connection,
  encodeBase64Url,
  type FedError,
  type OpenOptions,
  type PeerIdentity,
  type Priority,
  type Session,
  type SessionHandler,
  type SessionPath,
  type Stream,
  throwIfAborted,
  toFedError,
} from "@fed/core";
import { AbuseMeter } from "./abuse-meter.js";
import { Acknowledger } from "./acknowledger.js";
import { AssemblyBudget } from "./assembly.js";
import { CRUMB_BYTES, costOf, ReceiveCredit, SendCredit, tuneCredit } from "./credit.js";
import {
  asSessionEnd,
  closedError,
  floodError,
  goingAwayError,
  headerTooLargeError,
  noPathError,
  sessionExpiredError,
  tooManyStreamsError,
} from "./errors.js";
import { FlightWindow } from "./flight-window.js";
import * as frame from "./frame.js";
import { GoingAway } from "./going-away.js";
import type { Greeting } from "./greeting.js";
import type { SessionLimits } from "./limits.js";
import { Outbox } from "./outbox.js";
import { LivePath, type PathHost } from "./path.js";
import { PathSet } from "./path-set.js";
import { decodeReason, encodeReason } from "./reason.js";
import { ResendBuffer } from "./resend-buffer.js";
import type { SendHalf } from "./send-half.js";
import { SessionStream, type StreamHost } from "./stream.js";
import { StreamTable } from "./stream-table.js";

const ranks: Readonly<Record<Priority, number>> = { control: 0, call: 1, event: 2, bulk: 3 };
/** A header may keep a transport message alive that is this much larger than twice itself. */
const HEADER_SLACK_BYTES = 4096;

/** What a live session is made from. */
export interface SessionInit {
  readonly peer: PeerIdentity;
  readonly role: "initiator" | "responder";
  readonly generation: number;
  /** How long it waits without a path; 0: not at all. */
  readonly windowMs: number;
  readonly handler: SessionHandler;
  readonly clock: Clock;
  readonly limits: SessionLimits;
  /** Of the peer's RESUME, or from before it. */
  readonly greeting: Greeting;
}

/** A session after one side has said RESUME and knows enough of the other. */
export class LiveSession implements Session, StreamHost, PathHost {
  readonly role: "initiator" | "responder";
  /** Which one it is between these two boots. */
  readonly generation: number;
  readonly peerEpoch: string;
  readonly maxMessageBytes: number;
  readonly maxReceiveBytes: number;
  readonly closed: Promise<FedError | undefined>;
  readonly outbox: Outbox;
  readonly resend: ResendBuffer;
  readonly pathSet: PathSet;
  readonly sendCredit: SendCredit;
  readonly assemblyBudget: AssemblyBudget;
  /** Whether the peer's RESUME has come on any connection of it; one that begins with that is met from the start. */
  isMet = false;
  readonly #init: SessionInit;
  readonly #receiveCredit: ReceiveCredit;
  readonly #tuning: ReturnType<typeof tuneCredit>;
  readonly #acknowledger: Acknowledger;
  readonly #abuse: AbuseMeter;
  readonly #streams: StreamTable;
  readonly #goingAway: GoingAway;
  readonly #resolveClosed: (error: FedError | undefined) => void;
  #peer: PeerIdentity;
  #parked = new Set<SendHalf>();
  #relieveBelow: number;
  #over = false;
  #error: FedError | undefined;

  constructor(init: SessionInit) {
    const { limits, greeting, clock, windowMs } = init;
    this.#init = init;
    this.#peer = init.peer;
    this.role = init.role;
    this.generation = init.generation;
    this.peerEpoch = encodeBase64Url(greeting.epoch);
    this.maxMessageBytes = Math.min(limits.maxMessageBytes, greeting.limits.maxMessageBytes);
    this.maxReceiveBytes = limits.maxMessageBytes;
    this.sendCredit = new SendCredit(greeting.limits.sessionCreditBytes);
    this.#tuning = tuneCredit(limits, clock, () => this.pathSet.first?.rttMs);
    this.#receiveCredit = new ReceiveCredit(this.#tuning.session);
    this.#relieveBelow = limits.sessionCreditBytes / 2;
    this.assemblyBudget = new AssemblyBudget(limits.maxAssemblyBytes);
    this.resend = new ResendBuffer(limits);
    const flight = new FlightWindow(clock, limits.maxResendBytes);
    this.outbox = new Outbox(this.resend, flight, limits.maxQueuedFrames, {
      ready: () => this.pathSet.pump(),
      fail: (error) => this.#end(error, false),
    });
    this.#acknowledger = new Acknowledger(clock, () => this.pathSet.acknowledge());
    this.pathSet = new PathSet({
      outbox: this.outbox,
      resend: this.resend,
      clock,
      windowMs,
      expired: (error) => {
        if (windowMs === 0) this.#end(error, false, closedError(error));
        else this.#end(sessionExpiredError(error), false);
      },
    });
    this.#abuse = new AbuseMeter(clock, limits.abuseBurst, limits.abusePerSecond);
    this.#streams = new StreamTable(this.role);
    this.#goingAway = new GoingAway({
      clock,
      streams: this.#streams,
      outbox: this.outbox,
      end: (error) => this.#end(error, true),
    });
    const { promise, resolve } = Promise.withResolvers<FedError | undefined>();
    this.closed = promise;
    this.#resolveClosed = resolve;
  }

  get peer(): PeerIdentity {
    return this.#peer;
  }

  get transport(): string {
    return this.pathSet.transport;
  }

  get paths(): readonly SessionPath[] {
    return this.pathSet.all;
  }

  get over(): boolean {
    return this.#over;
  }

  /** Sequenced frames received, each once. */
  get received(): number {
    return this.#acknowledger.received;
  }

  use(...paths: readonly SessionPath[]): void {
    this.pathSet.use(paths);
  }

  /**
   * Goes on over one more connection, whose peer the caller has found to be the one of this session. The peer has received
   * so many frames, no more than it was sent; undefined: it has not said yet.
   */
  attach(connection: Connection, peer: PeerIdentity, received: number | undefined): LivePath {
    if (received !== undefined) this.met(received);
    const path = new LivePath(this, connection, this.#init.clock, this.#init.limits);
    this.#peer = peer;
    this.pathSet.add(path);
    return path;
  }

  /** The peer holds this session and has received so many frames. */
  met(received: number): void {
    this.acknowledged(received);
    this.isMet = true;
  }

  /** The peer has refused the connection that it was begun on, and met it on no other: none of its streams was taken. */
  refused(error: FedError): void {
    this.#end(error, false, goingAwayError(error));
  }

  open(header: Uint8Array, options: OpenOptions = {}): Stream {
    const { signal, priority = "call" } = options;
    if (this.#over) throw closedError(this.#error);
    const { refusal } = this.#goingAway;
    if (refusal) throw refusal;
    throwIfAborted(signal);
    if (header.length > frame.MAX_OPEN_BYTES) throw headerTooLargeError(header.length, frame.MAX_OPEN_BYTES);
    if (this.#streams.outgoing >= this.#init.greeting.limits.maxStreams) throw tooManyStreamsError();
    const stream = this.#add(this.#streams.takeId(), header, ranks[priority], false);
    this.outbox.send(frame.FRAME_OPEN, ranks[priority], stream.id, header);
    // That was the last id: the next stream needs a new session.
    if (this.#streams.exhausted) this.#goingAway.leave(goingAwayError(undefined));
    if (signal) {
      const abort = () => stream.reset(abortedError(signal));
      signal.addEventListener("abort", abort, { once: true });
      void stream.closed.then(() => signal.removeEventListener("abort", abort));
    }
    return stream;
  }

  ping(options: { readonly signal?: AbortSignal } = {}): Promise<number> {
    if (this.#over) return Promise.reject(closedError(this.#error));
    return this.pathSet.first?.ping(options) ?? Promise.reject(noPathError());
  }

  goAway(error: FedError): void {
    if (!this.#over) this.#goingAway.announce(error);
  }

  close(error?: FedError): void {
    this.#end(error, true);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }

  /** Ends it here with `error`; the peer is told another reason. */
  replace(error: FedError, told: FedError): void {
    this.#end(error, true, error, told);
  }

  take(reader: frame.FrameReader): void {
    this.#acknowledger.count(frame.HEADER_BYTES + reader.end - reader.start);
    const { type, flags, stream } = reader;
    if (type === frame.FRAME_DATA) this.#takeData(stream, flags, reader.body());
    else if (type === frame.FRAME_OPEN) this.#takeOpen(stream, flags, reader.body());
    else if (type === frame.FRAME_CREDIT) this.#takeCredit(stream, reader.u32(0));
    else if (type === frame.FRAME_CLOSE) this.#takeClose(stream);
    else if (type === frame.FRAME_RESET) this.#takeReset(stream, decodeReason(reader.body()));
    else if (type === frame.FRAME_STOP) this.#takeStop(stream, decodeReason(reader.body()));
    else this.#takeGoAway(reader.u32(0), decodeReason(reader.body().subarray(4)));
  }

  acknowledged(count: number): void {
    if (!this.resend.acknowledge(count)) return;
    this.outbox.flight.acknowledged(count, this.pathSet.first?.rttMs);
    if (this.outbox.blocked || this.outbox.waiting) this.pathSet.pump();
    else if (this.resend.empty) this.outbox.rest();
  }

  endedByPeer(reason: Uint8Array): void {
    const error = reason.length === 0 ? undefined : decodeReason(reason);
    this.#end(error, false, closedError(error));
  }

  breach(cause: unknown): void {
    this.#end(asSessionEnd(cause), true);
  }

  /** Bytes the peer may still send on the session. */
  get receiveRoom(): number {
    return this.#receiveCredit.allowed;
  }

  park(half: SendHalf): void {
    this.#parked.add(half);
  }

  consumed(cost: number): void {
    const increment = this.#receiveCredit.consume(cost);
    if (increment === 0) return;
    this.#relieveBelow = this.#receiveCredit.allowed / 2;
    const body = new Uint8Array(4);
    frame.writeU32(body, 0, increment);
    this.outbox.send(frame.FRAME_CREDIT, 0, 0, body);
  }

  touched(stream: SessionStream): void {
    this.#streams.touched(stream);
  }

  ended(stream: SessionStream, reset: FedError | undefined): void {
    this.#streams.remove(stream);
    this.#parked.delete(stream.sending);
    if (reset) this.outbox.send(frame.FRAME_RESET, 0, stream.id, encodeReason(reset));
    this.#goingAway.streamEnded();
  }

  #takeOpen(id: number, rank: number, body: Uint8Array): void {
    this.#streams.takePeerId(id);
    if (this.#goingAway.announced) {
      // Our GOAWAY tells the peer that this stream was never taken.
      this.charge();
      return;
    }
    const { limits, handler } = this.#init;
    if (this.#streams.incoming >= limits.maxStreams || this.#streams.untouched >= limits.maxUntouchedStreams) {
      this.outbox.send(frame.FRAME_RESET, 0, id, encodeReason(tooManyStreamsError()));
      this.charge();
      return;
    }
    const header = body.buffer.byteLength > 2 * body.length + HEADER_SLACK_BYTES ? body.slice() : body;
    const stream = this.#add(id, header, rank, true);
    const refuse = (cause: unknown) => stream.fail(toFedError(cause, "The receiver failed to take the stream."), true);
    try {
      handler.stream(stream)?.catch(refuse);
    } catch (cause) {
      refuse(cause);
    }
  }

  #takeData(id: number, flags: number, body: Uint8Array): void {
    const cost = costOf(body.length);
    this.#receiveCredit.receive(cost);
    if (this.#receiveCredit.allowed < this.#relieveBelow) this.#relieve();
    const stream = this.#streams.find(id);
    if (!stream) {
      this.consumed(cost);
      return;
    }
    const error = stream.receiving.data(body, flags);
    if (error) this.outbox.send(frame.FRAME_STOP, 0, id, encodeReason(error));
    if (flags & frame.FLAG_END_STREAM) stream.settle();
  }

  /** The room has halved: what is owed to streams and was little before may now be more than their share of it. */
  #relieve(): void {
    this.consumed(0);
    this.#relieveBelow = this.#receiveCredit.allowed / 2;
    for (const stream of this.#streams.all()) stream.receiving.relieve();
  }

  #takeCredit(id: number, bytes: number): void {
    if (bytes < CRUMB_BYTES) this.charge();
    if (id !== 0) {
      this.#streams.find(id)?.sending.grant(bytes);
      return;
    }
    this.sendCredit.grant(bytes);
    const parked = this.#parked;
    this.#parked = new Set();
    for (const half of parked) half.wake();
  }

  #takeClose(id: number): void {
    const stream = this.#streams.find(id);
    stream?.receiving.end();
    stream?.settle();
  }

  #takeReset(id: number, reason: FedError): void {
    const stream = this.#streams.find(id);
    if (!stream || stream.incoming) this.charge();
    stream?.fail(reason, false);
  }

  #takeStop(id: number, reason: FedError): void {
    this.charge();
    this.#streams.find(id)?.sending.stop(reason);
  }

  #takeGoAway(lastId: number, reason: FedError): void {
    if (!this.#goingAway.take(lastId, reason)) this.charge();
  }

  #add(id: number, header: Uint8Array, rank: number, incoming: boolean): SessionStream {
    const sendWindowBytes = this.#init.greeting.limits.streamCreditBytes;
    const receiveCredit = this.#tuning.stream;
    const stream = new SessionStream(this, { id, header, rank, incoming, sendWindowBytes, receiveCredit });
    this.#streams.add(stream);
    return stream;
  }

  charge(): void {
    const verdict = this.#abuse.charge();
    if (verdict === "fine") return;
    const error = floodError("The peer resets or opens streams faster than is useful.");
    if (verdict === "warn") this.#goingAway.leave(error);
    else this.#end(error, true);
  }

  /**
   * Ends everything with `error`. `tell`: the peer hears `told` if the transport takes it at once; else it finds out by
   * itself.
   */
  #end(error: FedError | undefined, tell: boolean, streamError = error ?? closedError(undefined), told = error): void {
    if (this.#over) return;
    if (tell) this.pathSet.pump();
    // Sending may have ended the last path, and with it the session.
    if (this.#over) return;
    this.#over = true;
    this.#error = error;
    this.#acknowledger.stop();
    this.#goingAway.stop();
    this.outbox.stop();
    this.resend.clear();
    for (const stream of this.#streams.all()) stream.abandon(streamError);
    this.pathSet.end(tell ? encodeReason(told) : undefined, error);
    this.#resolveClosed(error);
  }
}
