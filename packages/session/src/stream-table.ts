/** The streams of a session: their ids, docs/spec/session.md §4, and how many each side has open. */
import { protocolError } from "./errors.js";
import type { SessionStream } from "./stream.js";

/** Largest stream id. */
const MAX_ID = 0xffffffff;

/** All streams that are not over. */
export class StreamTable {
  /** Streams opened by this side, and by the peer. */
  outgoing = 0;
  incoming = 0;
  /** Highest id the peer has used. */
  lastPeerId = 0;
  readonly #parity: number;
  readonly #streams = new Map<number, SessionStream>();
  /** Those of the peer that the application has neither read nor written. */
  readonly #untouched = new Set<SessionStream>();
  #nextId: number;

  constructor(role: "initiator" | "responder") {
    this.#parity = role === "initiator" ? 1 : 0;
    this.#nextId = role === "initiator" ? 1 : 2;
  }

  get untouched(): number {
    return this.#untouched.size;
  }

  /** Whether this side has used up its ids. */
  get exhausted(): boolean {
    return this.#nextId > MAX_ID;
  }

  /** All of them, as they are now. */
  all(): SessionStream[] {
    return [...this.#streams.values()];
  }

  /** The id of the next stream of this side. */
  takeId(): number {
    const id = this.#nextId;
    this.#nextId += 2;
    return id;
  }

  /** The peer opens a stream. @throws {SessionError} PROTOCOL_ERROR under an id that is not its own or not new. */
  takePeerId(id: number): void {
    if (this.#isMine(id) || id <= this.lastPeerId) throw protocolError("The peer opened a stream under a used id.");
    this.lastPeerId = id;
  }

  add(stream: SessionStream): void {
    this.#streams.set(stream.id, stream);
    if (stream.incoming) this.incoming++;
    else this.outgoing++;
  }

  /** The stream, or undefined when it is over. @throws {SessionError} PROTOCOL_ERROR when it never was. */
  find(id: number): SessionStream | undefined {
    const stream = this.#streams.get(id);
    if (!stream && (this.#isMine(id) ? id >= this.#nextId : id > this.lastPeerId)) {
      throw protocolError("A frame names a stream that was never opened.");
    }
    return stream;
  }

  /** The application has been handed a stream of the peer. */
  handedOut(stream: SessionStream): void {
    if (stream.untouched && this.#streams.has(stream.id)) this.#untouched.add(stream);
  }

  touched(stream: SessionStream): void {
    this.#untouched.delete(stream);
  }

  remove(stream: SessionStream): void {
    if (!this.#streams.delete(stream.id)) return;
    this.#untouched.delete(stream);
    if (stream.incoming) this.incoming--;
    else this.outgoing--;
  }

  #isMine(id: number): boolean {
    return id % 2 === this.#parity;
  }
}
