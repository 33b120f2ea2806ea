/** A live session: what each frame does, docs/spec/session.md §4–§8. */
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
  type Stream,
  throwIfAborted,
  toFedError,
} from "@fed/core";
import { AbuseMeter } from "./abuse-meter.js";
import { Acknowledger } from "./acknowledger.js";
import { AssemblyBudget } from "./assembly.js";
import { CRUMB_BYTES, ReceiveCredit, SendCredit } from "./credit.js";
import {
  asSessionEnd,
  closedError,
  floodError,
  goingAwayError,
  messageTooLargeError,
  protocolError,
  tooManyStreamsError,
  unresponsiveError,
} from "./errors.js";
import * as frame from "./frame.js";
import type { SessionLimits } from "./limits.js";
import { Liveness } from "./liveness.js";
import { Outbox } from "./outbox.js";
import { decodeReason, encodeReason } from "./reason.js";
import type { Resume } from "./resume.js";
import type { SendHalf } from "./send-half.js";
import { SessionStream, type StreamHost } from "./stream.js";

const ranks: Readonly<Record<Priority, number>> = { control: 0, call: 1, event: 2, bulk: 3 };
/** A header may keep a transport message alive that is this much larger than twice itself. */
const HEADER_SLACK_BYTES = 4096;

/** What a live session is made from. */
export interface SessionInit {
  readonly connection: Connection;
  readonly peer: PeerIdentity;
  readonly handler: SessionHandler;
  readonly clock: Clock;
  readonly limits: SessionLimits;
  /** The peer's RESUME. */
  readonly resume: Resume;
}

/** A session after both sides have said RESUME. */
export class LiveSession implements Session, StreamHost {
  readonly peer: PeerIdentity;
  readonly transport: string;
  readonly role: "initiator" | "responder";
  readonly peerEpoch: string;
  readonly maxMessageBytes: number;
  readonly maxReceiveBytes: number;
  readonly closed: Promise<FedError | undefined>;
  readonly outbox: Outbox;
  readonly sendCredit: SendCredit;
  readonly assemblyBudget: AssemblyBudget;
  readonly #init: SessionInit;
  readonly #receiveCredit: ReceiveCredit;
  readonly #reader = new frame.FrameReader();
  readonly #acknowledger: Acknowledger;
  readonly #liveness: Liveness;
  readonly #abuse: AbuseMeter;
  readonly #streams = new Map<number, SessionStream>();
  readonly #untouched = new Set<SessionStream>();
  readonly #resolveClosed: (error: FedError | undefined) => void;
  #parked = new Set<SendHalf>();
  #outgoing = 0;
  #incoming = 0;
  #nextId: number;
  #lastPeerId: number;
  #goingAway = false;
  #peerGoingAway: FedError | undefined;
  #pongAfterMessage = -1;
  #relieveBelow: number;
  #over = false;
  #error: FedError | undefined;

  constructor(init: SessionInit) {
    const { connection, limits, resume } = init;
    this.#init = init;
    this.peer = init.peer;
    this.transport = connection.transport;
    this.role = connection.role;
    this.peerEpoch = encodeBase64Url(resume.epoch);
    this.maxMessageBytes = Math.min(limits.maxMessageBytes, resume.limits.maxMessageBytes);
    this.maxReceiveBytes = limits.maxMessageBytes;
    this.sendCredit = new SendCredit(resume.limits.sessionCreditBytes);
    this.#receiveCredit = new ReceiveCredit(limits.sessionCreditBytes);
    this.#relieveBelow = limits.sessionCreditBytes / 2;
    this.assemblyBudget = new AssemblyBudget(limits.maxAssemblyBytes);
    this.outbox = new Outbox(connection, limits.maxQueuedFrames, (error) => this.#end(error, false));
    this.#acknowledger = new Acknowledger(this.outbox, init.clock);
    this.#liveness = new Liveness(this.outbox, init.clock, limits, () => this.#end(unresponsiveError(), false));
    this.#abuse = new AbuseMeter(init.clock, limits.abuseBurst, limits.abusePerSecond);
    this.#nextId = this.role === "initiator" ? 1 : 2;
    this.#lastPeerId = 0;
    const { promise, resolve } = Promise.withResolvers<FedError | undefined>();
    this.closed = promise;
    this.#resolveClosed = resolve;
  }

  open(header: Uint8Array, options: OpenOptions = {}): Stream {
    const { signal, priority = "call" } = options;
    if (this.#over) throw closedError(this.#error);
    if (this.#peerGoingAway || this.#nextId > 0xffffffff) throw goingAwayError(this.#peerGoingAway);
    throwIfAborted(signal);
    const maxHeaderBytes = this.outbox.maxBatchBytes - frame.HEADER_BYTES;
    if (header.length > maxHeaderBytes) {
      throw messageTooLargeError(`A stream header of ${header.length} bytes; at most ${maxHeaderBytes} are sent.`);
    }
    if (this.#outgoing >= this.#init.resume.limits.maxStreams) throw tooManyStreamsError();
    const id = this.#nextId;
    this.#nextId += 2;
    this.#outgoing++;
    const stream = this.#add(id, header, ranks[priority], false);
    this.outbox.send(frame.FRAME_OPEN, ranks[priority], id, header);
    if (signal) {
      const abort = () => stream.reset(abortedError(signal));
      signal.addEventListener("abort", abort, { once: true });
      void stream.closed.then(() => signal.removeEventListener("abort", abort));
    }
    return stream;
  }

  ping(options: { readonly signal?: AbortSignal } = {}): Promise<number> {
    if (this.#over) return Promise.reject(closedError(this.#error));
    return this.#liveness.ping(options.signal);
  }

  goAway(error: FedError): void {
    if (this.#goingAway || this.#over) return;
    this.#goingAway = true;
    this.#sendGoAway(error, 0);
  }

  close(error?: FedError): void {
    this.#end(error, true);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }

  /** Takes one transport message; the session ends when a frame in it breaks a rule. */
  message(bytes: Uint8Array): void {
    if (this.#over) return;
    this.#liveness.heard();
    const reader = this.#reader;
    reader.load(bytes);
    try {
      while (!this.#over && reader.next()) {
        if (reader.type <= frame.LAST_SEQUENCED_TYPE) this.#acknowledger.received(reader.end - reader.start);
        this.#take(reader);
      }
    } catch (cause) {
      this.#end(asSessionEnd(cause), true);
    }
  }

  /** The connection is over. */
  transportClosed(error: FedError | undefined): void {
    this.#end(error, false, closedError(error));
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
    if (stream.incoming) this.#untouched.delete(stream);
  }

  ended(stream: SessionStream, reset: FedError | undefined): void {
    this.#streams.delete(stream.id);
    this.#untouched.delete(stream);
    this.#parked.delete(stream.sending);
    if (stream.incoming) this.#incoming--;
    else this.#outgoing--;
    if (reset) this.outbox.send(frame.FRAME_RESET, 0, stream.id, encodeReason(reset));
  }

  #take(reader: frame.FrameReader): void {
    const { type, flags, stream } = reader;
    if (type === frame.FRAME_DATA) this.#takeData(stream, flags, reader.body());
    else if (type === frame.FRAME_OPEN) this.#takeOpen(stream, flags, reader.body());
    else if (type === frame.FRAME_CREDIT) this.#takeCredit(stream, reader.u32(0));
    else if (type === frame.FRAME_CLOSE) this.#takeClose(stream);
    else if (type === frame.FRAME_RESET) this.#takeReset(stream, decodeReason(reader.body()));
    else if (type === frame.FRAME_STOP) this.#takeStop(stream, decodeReason(reader.body()));
    else if (type === frame.FRAME_PING) this.#takePing(reader.body());
    else if (type === frame.FRAME_PONG) this.#takePong(reader.body());
    else if (type === frame.FRAME_GOAWAY)
      this.#takeGoAway(flags, reader.u32(0), decodeReason(reader.body().subarray(4)));
    else if (type === frame.FRAME_ACK) this.#takeAck(reader.body());
    else throw protocolError("RESUME is allowed once, as the first frame.");
  }

  #takeOpen(id: number, rank: number, body: Uint8Array): void {
    if (this.#isMine(id) || id <= this.#lastPeerId) throw protocolError("The peer opened a stream under a used id.");
    this.#lastPeerId = id;
    if (this.#goingAway) {
      // Our GOAWAY tells the peer that this stream was never taken.
      this.#charge();
      return;
    }
    const { limits, handler } = this.#init;
    if (this.#incoming >= limits.maxStreams || this.#untouched.size >= limits.maxUntouchedStreams) {
      this.outbox.send(frame.FRAME_RESET, 0, id, encodeReason(tooManyStreamsError()));
      this.#charge();
      return;
    }
    const header = body.buffer.byteLength > 2 * body.length + HEADER_SLACK_BYTES ? body.slice() : body;
    this.#incoming++;
    const stream = this.#add(id, header, rank, true);
    try {
      handler.stream(stream);
    } catch (cause) {
      stream.fail(toFedError(cause, "The receiver failed to take the stream."), true);
    }
    if (stream.untouched && this.#streams.has(id)) this.#untouched.add(stream);
  }

  #takeData(id: number, flags: number, body: Uint8Array): void {
    const cost = frame.HEADER_BYTES + body.length;
    this.#receiveCredit.receive(cost);
    if (this.#receiveCredit.allowed < this.#relieveBelow) this.#relieve();
    const stream = this.#find(id);
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
    for (const stream of this.#streams.values()) stream.receiving.relieve();
  }

  #takeCredit(id: number, bytes: number): void {
    if (bytes < CRUMB_BYTES) this.#charge();
    if (id !== 0) {
      this.#find(id)?.sending.grant(bytes);
      return;
    }
    this.sendCredit.grant(bytes);
    const parked = this.#parked;
    this.#parked = new Set();
    for (const half of parked) half.wake();
  }

  #takeClose(id: number): void {
    const stream = this.#find(id);
    stream?.receiving.end();
    stream?.settle();
  }

  #takeReset(id: number, reason: FedError): void {
    const stream = this.#find(id);
    if (!stream || stream.incoming) this.#charge();
    stream?.fail(reason, false);
  }

  #takeStop(id: number, reason: FedError): void {
    this.#charge();
    this.#find(id)?.sending.stop(reason);
  }

  /** A PING before the last PONG has left is a flood: an honest peer waits for the answer. */
  #takePing(body: Uint8Array): void {
    if (this.#pongAfterMessage === this.outbox.messages) {
      throw protocolError("A PING came before the last one was answered.");
    }
    this.#pongAfterMessage = this.outbox.messages;
    this.outbox.send(frame.FRAME_PONG, 0, 0, body.slice());
  }

  #takePong(body: Uint8Array): void {
    if (!this.#liveness.pong(body)) throw protocolError("A PONG answers no PING.");
  }

  #takeGoAway(flags: number, lastId: number, reason: FedError): void {
    if (flags & frame.FLAG_CLOSE_SESSION) {
      this.#end(reason, false, closedError(reason));
      return;
    }
    if (this.#peerGoingAway) {
      this.#charge();
      return;
    }
    this.#peerGoingAway = reason;
    for (const stream of [...this.#streams.values()]) {
      if (!stream.incoming && stream.id > lastId) stream.fail(goingAwayError(reason), false);
    }
  }

  #takeAck(body: Uint8Array): void {
    if (!this.#acknowledger.acknowledge(body)) this.#charge();
  }

  #add(id: number, header: Uint8Array, rank: number, incoming: boolean): SessionStream {
    const sendWindowBytes = this.#init.resume.limits.streamCreditBytes;
    const receiveWindowBytes = this.#init.limits.streamCreditBytes;
    const stream = new SessionStream(this, { id, header, rank, incoming, sendWindowBytes, receiveWindowBytes });
    this.#streams.set(id, stream);
    return stream;
  }

  /** The stream, or undefined when it is over. */
  #find(id: number): SessionStream | undefined {
    const stream = this.#streams.get(id);
    if (!stream && (this.#isMine(id) ? id >= this.#nextId : id > this.#lastPeerId)) {
      throw protocolError("A frame names a stream that was never opened.");
    }
    return stream;
  }

  #isMine(id: number): boolean {
    return id % 2 === (this.role === "initiator" ? 1 : 0);
  }

  #charge(): void {
    const verdict = this.#abuse.charge();
    if (verdict === "fine") return;
    const error = floodError("The peer resets or opens streams faster than is useful.");
    if (verdict === "warn") this.goAway(error);
    else this.#end(error, true);
  }

  #sendGoAway(error: FedError, flags: number): void {
    const reason = encodeReason(error);
    const body = new Uint8Array(4 + reason.length);
    frame.writeU32(body, 0, this.#lastPeerId);
    body.set(reason, 4);
    this.outbox.send(frame.FRAME_GOAWAY, flags, 0, body);
  }

  /** Ends everything. `tell`: the peer hears the reason if the transport takes it at once. */
  #end(error: FedError | undefined, tell: boolean, streamError: FedError = error ?? closedError(undefined)): void {
    if (this.#over) return;
    this.#over = true;
    this.#error = error;
    this.#liveness.stop(streamError);
    this.#acknowledger.stop();
    if (tell && error) this.#sendGoAway(error, frame.FLAG_CLOSE_SESSION);
    if (tell) this.outbox.flush();
    const unsent = this.outbox.blocked;
    this.outbox.stop();
    for (const stream of [...this.#streams.values()]) stream.abandon(streamError);
    this.#init.connection.close(tell && !unsent ? undefined : error);
    this.#resolveClosed(error);
  }
}
