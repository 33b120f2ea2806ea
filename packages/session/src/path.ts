/**
 * One connection under a session: docs/spec/session.md §3, §7 and §8. It hands on each sequenced frame once, whichever
 * path brought it first, and sends the session's messages from the oldest that is not acknowledged on.
 */
import { type Clock, type Connection, type FedError, type SessionPath, toFedError } from "@fed/core";
import { closedError, protocolError, unresponsiveError } from "./errors.js";
import * as frame from "./frame.js";
import type { SessionLimits } from "./limits.js";
import { Liveness, MIN_PING_BYTES } from "./liveness.js";
import type { PathSet } from "./path-set.js";
import type { ResendBuffer } from "./resend-buffer.js";

/** What a path needs from its session. */
export interface PathHost {
  readonly resend: ResendBuffer;
  /** Sequenced frames received over any path. */
  readonly received: number;
  /** The session is over: nothing is taken any more. */
  readonly over: boolean;
  /** Takes a sequenced frame that came for the first time. */
  take(reader: frame.FrameReader): void;
  /** The peer has received so many frames. */
  acknowledged(count: number): void;
  /** The peer ends the session with this reason, which may be empty. */
  endedByPeer(reason: Uint8Array): void;
  /** A frame that costs this side more than the peer. */
  charge(): void;
  /** A message of the peer broke the rules. */
  breach(cause: unknown): void;
  readonly pathSet: PathSet;
}

/** No message of the session has been sent over it since it was last taken into use. */
const UNSET = -1;

/** A live connection of a session. */
export class LivePath implements SessionPath {
  readonly id: string;
  readonly transport: string;
  readonly role: "initiator" | "responder";
  readonly closed: Promise<FedError | undefined>;
  /** Whether the transport has asked to wait. */
  blocked = false;
  /** Monotonic, when a frame last came over it for the first time, or the peer said that it would. */
  heardAtMs = 0;
  /** Monotonic, when the peer last sent sequenced frames over it, whether they had come before or not. */
  arrivedAtMs = Number.NEGATIVE_INFINITY;
  readonly #connection: Connection;
  readonly #host: PathHost;
  readonly #clock: Clock;
  readonly #liveness: Liveness;
  readonly #reader = new frame.FrameReader();
  readonly #resolveClosed: (error: FedError | undefined) => void;
  /** Sequence of the next frame that arrives. */
  #arriving = 0;
  /** Ordinal of the next batch to send. */
  #next = UNSET;
  /** Sequence of the next frame that the peer expects here. */
  #position = 0;
  #used = false;
  #pong: Uint8Array | undefined;
  #ackDue = false;
  /** The highest count of the peer's acknowledgements here, and of this side's. Those of other paths come in between. */
  #acknowledged: number;
  #told = -1;
  #answering = false;
  #over = false;

  constructor(host: PathHost, connection: Connection, clock: Clock, limits: SessionLimits) {
    this.id = connection.id;
    this.transport = connection.transport;
    this.role = connection.role;
    this.#host = host;
    this.#connection = connection;
    this.#clock = clock;
    this.#acknowledged = host.resend.acknowledged;
    this.#liveness = new Liveness(clock, limits, {
      send: (body) => this.#transmit(frame.encodeFrame(frame.FRAME_PING, 0, 0, body)),
      dead: () => this.close(unresponsiveError()),
    });
    const { promise, resolve } = Promise.withResolvers<FedError | undefined>();
    this.closed = promise;
    this.#resolveClosed = resolve;
  }

  /** Whether it has sent all that was cut, and takes more. */
  get ready(): boolean {
    const { oldest } = this.#host.resend;
    return !this.blocked && !this.#over && this.#host.resend.at(Math.max(this.#next, oldest)) === undefined;
  }

  /** The last round trip that was measured. */
  get rttMs(): number | undefined {
    return this.#liveness.rttMs;
  }

  get over(): boolean {
    return this.#over;
  }

  ping(options: { readonly bytes?: number; readonly signal?: AbortSignal } = {}): Promise<number> {
    if (this.#over) return Promise.reject(closedError(undefined));
    const bytes = Math.min(Math.max(options.bytes ?? 0, MIN_PING_BYTES), frame.MAX_CHUNK_BYTES);
    return this.#liveness.ping(bytes, options.signal);
  }

  close(error?: FedError): void {
    if (this.#over) return;
    this.#finish(error);
    this.#connection.close(error);
    this.#host.pathSet.remove(this, error);
  }

  /** The session ends: `reason` tells the peer, undefined leaves it without a word. Its host is not told. */
  end(reason: Uint8Array | undefined, error: FedError | undefined): void {
    if (this.#over) return;
    if (reason) this.#transmit(frame.encodeFrame(frame.FRAME_END, 0, 0, reason));
    if (this.#over) return;
    this.#finish(error);
    this.#connection.close(reason && !this.blocked ? undefined : error);
  }

  /** It is used from now on, from the oldest message that is not acknowledged. The peer hears so, even if there is none. */
  begin(): void {
    if (this.#used || this.#over) return;
    this.#used = true;
    const { resend } = this.#host;
    if (resend.sequence > 0) this.#sendFrom(resend.at(resend.oldest)?.first ?? resend.sequence);
    // What was said before on another path may have been lost with it, and nothing new may come to be acknowledged.
    if (this.#host.received > 0) this.acknowledge();
  }

  /** It is preferred from now on, and was in use before: the peer hears so as well. */
  tell(): void {
    if (!this.#over) this.#sendFrom(this.#position);
  }

  /** It is used no more. */
  rest(): void {
    this.#used = false;
    this.#next = UNSET;
  }

  /** Sends what was cut and not yet sent over this path, as far as the transport takes it. */
  catchUp(): void {
    const { resend } = this.#host;
    while (!this.blocked && !this.#over) {
      const behind = this.#next < resend.oldest;
      const batch = resend.at(behind ? resend.oldest : this.#next);
      if (!batch) return;
      // What lies between came over another path, or has to come again.
      if (behind) this.#next = resend.oldest;
      if (batch.first !== this.#position) {
        this.#sendFrom(batch.first);
        continue;
      }
      this.#next++;
      this.#position = batch.next;
      this.#transmit(batch.bytes);
    }
  }

  /** Tells the peer what has been received, once this turn is over. */
  acknowledge(): void {
    this.#ackDue = true;
    this.#answer();
  }

  /** Takes one transport message; the session ends when a frame in it breaks a rule. */
  message(bytes: Uint8Array): void {
    const host = this.#host;
    const reader = this.#reader;
    this.#liveness.heard();
    reader.load(bytes);
    try {
      const { received } = host;
      const before = this.#arriving;
      while (!host.over && !this.#over && reader.next()) {
        if (reader.type > frame.LAST_SEQUENCED_TYPE) this.#takeOwn(reader);
        else if (this.#isNew()) host.take(reader);
      }
      if (this.#arriving !== before) this.arrivedAtMs = this.#clock.monotonicMs();
      if (host.received > received) this.#heard();
    } catch (cause) {
      host.breach(cause);
    }
  }

  /** The connection is over. */
  connectionClosed(error: FedError | undefined): void {
    if (this.#over) return;
    this.#finish(error);
    this.#host.pathSet.remove(this, error);
  }

  /** Whether the frame that arrives has not come before, over this or another path. */
  #isNew(): boolean {
    return this.#arriving++ === this.#host.received;
  }

  #takeOwn(reader: frame.FrameReader): void {
    const { type } = reader;
    if (type === frame.FRAME_ACK) this.#takeAck(reader.u64(0));
    else if (type === frame.FRAME_PING) this.#takePing(reader.body());
    else if (type === frame.FRAME_PONG) this.#takePong(reader.body());
    else if (type === frame.FRAME_FROM) this.#takeFrom(reader.u64(0));
    else if (type === frame.FRAME_END) this.#host.endedByPeer(reader.body());
    else throw protocolError("RESUME is allowed once, as the first frame.");
  }

  /** On several paths each brings its own; what is no news of one path alone costs more than it is worth. */
  #takeAck(count: number): void {
    if (count <= this.#acknowledged) this.#host.charge();
    else this.#acknowledged = count;
    this.#host.acknowledged(count);
  }

  #takeFrom(sequence: number): void {
    if (sequence > this.#host.received) throw protocolError("The peer has left out frames.");
    if (sequence <= this.#arriving) this.#host.charge();
    this.#arriving = sequence;
    // The peer sends again what it does not know to have arrived.
    this.acknowledge();
    this.heardAtMs = this.#clock.monotonicMs();
    if (!this.#used) this.#host.pathSet.follow(this);
  }

  #heard(): void {
    this.heardAtMs = this.#clock.monotonicMs();
    if (!this.#used && !this.#over && !this.#host.over) this.#host.pathSet.heard(this);
  }

  #sendFrom(sequence: number): void {
    this.#position = sequence;
    this.#transmit(frame.encodeCountFrame(frame.FRAME_FROM, sequence));
  }

  /** An honest peer waits for the answer, so a second PING while the first one's is due is a flood. */
  #takePing(body: Uint8Array): void {
    if (this.#pong) throw protocolError("A PING came before the last one was answered.");
    this.#pong = frame.encodeFrame(frame.FRAME_PONG, 0, 0, body);
    this.#answer();
  }

  #takePong(body: Uint8Array): void {
    if (!this.#liveness.pong(body)) throw protocolError("A PONG answers no PING.");
  }

  #answer(): void {
    if (this.#answering || this.blocked) return;
    this.#answering = true;
    queueMicrotask(() => {
      this.#answering = false;
      this.#sendAnswers();
    });
  }

  #sendAnswers(): void {
    if (this.#ackDue && !this.blocked) {
      this.#ackDue = false;
      const { received } = this.#host;
      // A connection loses nothing that was said on it.
      if (received > this.#told) this.#transmit(frame.encodeCountFrame(frame.FRAME_ACK, received));
      this.#told = received;
    }
    if (this.#pong && !this.blocked) {
      const pong = this.#pong;
      this.#pong = undefined;
      this.#transmit(pong);
    }
  }

  #transmit(bytes: Uint8Array): void {
    if (this.#over) return;
    try {
      if (this.#connection.send(bytes)) return;
    } catch (cause) {
      this.close(toFedError(cause));
      return;
    }
    if (this.blocked) return;
    this.blocked = true;
    // A connection that ends first says so to its handler too, so the rejection carries no news.
    this.#connection.drained().then(
      () => {
        this.blocked = false;
        this.#sendAnswers();
        this.#host.pathSet.pump();
      },
      () => undefined,
    );
  }

  #finish(error: FedError | undefined): void {
    this.#over = true;
    this.#liveness.stop(error ?? closedError(undefined));
    this.#resolveClosed(error);
  }
}
