/** The streams of a session: their ids, docs/spec/session.md §4, and how many each side has open. */
import { LiveMap } from "@fed/core";
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
  /** Streams of the peer that the application has neither read nor written. */
  untouched = 0;
  readonly #parity: number;
  /** By id. */
  readonly #streams = new LiveMap<number, SessionStream>();
  #nextId: number;

  constructor(role: "initiator" | "responder") {
    this.#parity = role === "initiator" ? 1 : 0;
    this.#nextId = role === "initiator" ? 1 : 2;
  }

  /** Whether this side has used up its ids. */
  get exhausted(): boolean {
    return this.#nextId > MAX_ID;
  }

  get empty(): boolean {
    return this.incoming + this.outgoing === 0;
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
    if (stream.incoming) {
      this.incoming++;
      this.untouched++;
    } else this.outgoing++;
  }

  /** The stream, or undefined when it is over. @throws {SessionError} PROTOCOL_ERROR when it never was. */
  find(id: number): SessionStream | undefined {
    const stream = this.#streams.get(id);
    if (!stream && (this.#isMine(id) ? id >= this.#nextId : id > this.lastPeerId)) {
      throw protocolError("A frame names a stream that was never opened.");
    }
    return stream;
  }

  /** The application uses the stream for the first time. */
  touched(stream: SessionStream): void {
    if (stream.incoming && this.#streams.get(stream.id) === stream) this.untouched--;
  }

  remove(stream: SessionStream): void {
    if (!this.#streams.delete(stream.id)) return;
    if (stream.incoming) {
      this.incoming--;
      if (stream.untouched) this.untouched--;
    } else this.outgoing--;
  }

  #isMine(id: number): boolean {
    return id % 2 === this.#parity;
  }
}
