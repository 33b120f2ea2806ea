/**
 * The session contract in its plainest form, above any {@link Connection}: for tests of rooms that are handed sessions.
 * Both ends must be of this kind; what hubs speak to each other is `@fed/session`.
 */
import { encodeBase64Url, randomBytes } from "../bytes.js";
import { type Clock, systemClock } from "../clock.js";
import { abortedError, CoreError, type FedError, throwIfAborted, toFedError } from "../errors.js";
import type { PeerIdentity } from "../identity.js";
import type { OpenOptions, Session, SessionHandler, SessionPath, Stream } from "../session.js";
import type { Connection } from "../transport.js";
import { decodeError, decodeFrame, encodeError, encodeFrame, Frame, headerBytes } from "./session-frame.js";
import { MemoryStream, type StreamLink } from "./session-stream.js";

const maxStreamHeaderBytes = 64 * 1024;

/** Options of {@link openMemorySession}. */
export interface MemorySessionOptions {
  readonly handler: SessionHandler;
  /** My boot nonce, 16 bytes. Default random. */
  readonly epoch?: Uint8Array;
  /** For the round trip of `ping`. Default the machine's clock. */
  readonly clock?: Clock;
  /** Most streams of mine that may be open at once. Default 1024. */
  readonly maxStreams?: number;
}

/**
 * A session over `connection`, once the peer's first frame has arrived.
 * @throws {CoreError} GUEST_REFUSED when the connection's peer is a guest, CLOSED when it ends first.
 */
export function openMemorySession(connection: Connection, options: MemorySessionOptions): Promise<Session> {
  const peer = connection.peer;
  if (!peer) {
    const error = new CoreError({ code: "GUEST_REFUSED", message: "A guest cannot hold a session." });
    connection.close(error);
    return Promise.reject(error);
  }
  return new MemorySession(connection, peer, options).ready;
}

interface Ping {
  resolve(): void;
  reject(error: FedError): void;
}

class MemorySession implements Session, StreamLink {
  readonly peer: PeerIdentity;
  readonly transport: string;
  readonly role: "initiator" | "responder";
  readonly paths: readonly SessionPath[];
  readonly maxMessageBytes: number;
  readonly closed: Promise<FedError | undefined>;
  readonly ready: Promise<Session>;
  peerEpoch = "";

  readonly #connection: Connection;
  readonly #handler: SessionHandler;
  readonly #clock: Clock;
  readonly #maxStreams: number;
  readonly #streams = new Map<number, MemoryStream>();
  readonly #pings = new Map<number, Ping>();
  readonly #isReady = Promise.withResolvers<Session>();
  readonly #isClosed = Promise.withResolvers<FedError | undefined>();
  #nextId: number;
  #nextPing = 1;
  #mine = 0;
  /** The peer takes no new streams. */
  #peerLeaving: FedError | undefined;
  /** I take no new streams. */
  #leaving: FedError | undefined;
  #over = false;

  constructor(connection: Connection, peer: PeerIdentity, options: MemorySessionOptions) {
    this.peer = peer;
    this.transport = connection.transport;
    this.role = connection.role;
    this.maxMessageBytes = connection.maxMessageBytes - headerBytes;
    this.ready = this.#isReady.promise;
    this.closed = this.#isClosed.promise;
    // It lives and dies with its connection, so the one is the other.
    const { closed } = this;
    this.paths = [
      {
        id: connection.id,
        transport: connection.transport,
        role: connection.role,
        ping: ({ signal } = {}) => this.ping(signal ? { signal } : {}),
        close: (error) => this.close(error),
        closed,
      },
    ];
    this.#connection = connection;
    this.#handler = options.handler;
    this.#clock = options.clock ?? systemClock;
    this.#maxStreams = options.maxStreams ?? 1024;
    this.#nextId = connection.role === "initiator" ? 1 : 2;
    connection.start({
      message: (bytes) => this.#take(bytes),
      closed: (error) => this.#finish(error),
    });
    this.#send(Frame.hello, 0, options.epoch ?? randomBytes(16));
  }

  open(header: Uint8Array, { signal }: OpenOptions = {}): Stream {
    if (this.#over) throw closedError();
    throwIfAborted(signal);
    if (this.#peerLeaving) {
      const { code, message } = this.#peerLeaving;
      throw new CoreError({ code: "GOING_AWAY", message: `The peer takes no new streams: ${code}, ${message}` });
    }
    if (this.#mine >= this.#maxStreams) {
      throw new CoreError({
        code: "TOO_MANY_STREAMS",
        message: `${this.#maxStreams} streams are open already.`,
        hint: "Wait until one has ended.",
        retryable: true,
      });
    }
    if (header.length > maxStreamHeaderBytes) {
      throw new CoreError({
        code: "MESSAGE_TOO_LARGE",
        message: `A stream header of ${header.length} bytes; at most ${maxStreamHeaderBytes} can be sent.`,
      });
    }
    const stream = new MemoryStream(this, this.#nextId, header.slice(), signal);
    this.#nextId += 2;
    this.#mine++;
    this.#streams.set(stream.id, stream);
    this.#send(Frame.open, stream.id, header);
    return stream;
  }

  use(): void {}

  async ping({ signal }: { readonly signal?: AbortSignal } = {}): Promise<number> {
    if (this.#over) throw closedError();
    throwIfAborted(signal);
    const id = this.#nextPing++;
    const startedMs = this.#clock.monotonicMs();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const aborted = () => reject(abortedError(signal!));
    signal?.addEventListener("abort", aborted, { once: true });
    this.#pings.set(id, { resolve, reject });
    this.#send(Frame.ping, id);
    try {
      await promise;
      return this.#clock.monotonicMs() - startedMs;
    } finally {
      this.#pings.delete(id);
      signal?.removeEventListener("abort", aborted);
    }
  }

  goAway(error: FedError): void {
    if (this.#over || this.#leaving) return;
    this.#leaving = error;
    this.#send(Frame.goAway, 0, encodeError(error));
  }

  close(error?: FedError): void {
    if (this.#over) return;
    if (error) this.#send(Frame.close, 0, encodeError(error));
    this.#finish(error);
    this.#connection.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }

  data(id: number, message: Uint8Array, end: boolean): void {
    this.#send(Frame.data, id, message, end);
  }

  end(id: number): void {
    this.#send(Frame.end, id);
  }

  credit(id: number, cost: number): void {
    const body = new Uint8Array(4);
    new DataView(body.buffer).setUint32(0, cost);
    this.#send(Frame.credit, id, body);
  }

  reset(id: number, error: FedError): void {
    this.#send(Frame.reset, id, encodeError(error));
  }

  over(stream: MemoryStream): void {
    this.#streams.delete(stream.id);
    if (this.#isMine(stream.id)) this.#mine--;
  }

  #isMine(id: number): boolean {
    return id % 2 === (this.role === "initiator" ? 1 : 0);
  }

  #send(type: Frame, id: number, body?: Uint8Array, end?: boolean): void {
    if (this.#over) return;
    try {
      this.#connection.send(encodeFrame(type, id, body, end));
    } catch (cause) {
      // The connection ended, and its closed() is on its way: that is what ends the session.
      if (toFedError(cause).code !== "CLOSED") throw cause;
    }
  }

  #take(bytes: Uint8Array): void {
    if (this.#over) return;
    const { type, id, end, body } = decodeFrame(bytes);
    // Frames of streams that are no more are late, not wrong.
    const stream = this.#streams.get(id);
    if (type === Frame.data) stream?.takeMessage(body, end);
    else if (type === Frame.credit) stream?.takeCredit(new DataView(body.buffer, body.byteOffset).getUint32(0));
    else if (type === Frame.end) stream?.takeEnd();
    else if (type === Frame.reset) stream?.fail(decodeError(body));
    else if (type === Frame.open) this.#accept(id, body);
    else if (type === Frame.ping) this.#send(Frame.pong, id);
    else if (type === Frame.pong) this.#pings.get(id)?.resolve();
    else if (type === Frame.goAway) this.#peerLeaving = decodeError(body);
    else if (type === Frame.hello) this.#greet(body);
    else this.#closedByPeer(decodeError(body));
  }

  #greet(epoch: Uint8Array): void {
    this.peerEpoch = encodeBase64Url(epoch);
    this.#isReady.resolve(this);
  }

  #closedByPeer(error: FedError): void {
    this.#finish(error);
    this.#connection.close();
  }

  #accept(id: number, header: Uint8Array): void {
    if (this.#leaving) {
      this.reset(id, new CoreError({ code: "GOING_AWAY", message: "The peer takes no new streams." }));
      return;
    }
    const stream = new MemoryStream(this, id, header);
    this.#streams.set(id, stream);
    const refuse = (cause: unknown) => stream.reset(toFedError(cause, "The handler of a stream failed."));
    try {
      this.#handler.stream(stream)?.catch(refuse);
    } catch (cause) {
      refuse(cause);
    }
  }

  #finish(error: FedError | undefined): void {
    if (this.#over) return;
    this.#over = true;
    const failure = error ?? closedError();
    for (const stream of [...this.#streams.values()]) stream.fail(failure);
    for (const ping of this.#pings.values()) ping.reject(failure);
    this.#pings.clear();
    this.#isReady.promise.catch(() => {});
    this.#isReady.reject(failure);
    this.#isClosed.resolve(error);
  }
}

function closedError(): CoreError {
  return new CoreError({ code: "CLOSED", message: "The session is over." });
}
