/** Sequence numbers and their acknowledgement: docs/spec/session.md §7. Frames are counted, not numbered on the wire. */
import type { Clock, Timer } from "@fed/core";
import { protocolError } from "./errors.js";
import { FRAME_ACK, readU64, writeU64 } from "./frame.js";
import type { Outbox } from "./outbox.js";

const ACK_AFTER_BYTES = 64 * 1024;
const ACK_AFTER_FRAMES = 256;
const ACK_AFTER_MS = 250;

/** Acknowledges what arrives and checks what the peer acknowledges. */
export class Acknowledger {
  readonly #outbox: Outbox;
  readonly #clock: Clock;
  #received = 0;
  #told = 0;
  #untoldBytes = 0;
  #acknowledged = 0;
  #timer: Timer | undefined;
  #stopped = false;

  constructor(outbox: Outbox, clock: Clock) {
    this.#outbox = outbox;
    this.#clock = clock;
  }

  /** A sequenced frame of `bytes` bytes has arrived. One timer serves all frames of its 250 ms. */
  received(bytes: number): void {
    this.#received++;
    this.#untoldBytes += bytes;
    if (this.#untoldBytes >= ACK_AFTER_BYTES || this.#received - this.#told >= ACK_AFTER_FRAMES) this.#tell();
    else if (!this.#timer && !this.#stopped) this.#timer = this.#clock.setTimer(ACK_AFTER_MS, () => this.#expire());
  }

  /**
   * The body of an ACK.
   * @returns whether it acknowledged anything new.
   * @throws {SessionError} PROTOCOL_ERROR when it goes back or beyond what was sent.
   */
  acknowledge(body: Uint8Array): boolean {
    const count = readU64(body, 0);
    if (count > this.#outbox.sequence) throw protocolError("The peer acknowledged more frames than it was sent.");
    if (count < this.#acknowledged) throw protocolError("The peer took an acknowledgement back.");
    const news = count > this.#acknowledged;
    this.#acknowledged = count;
    return news;
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  #expire(): void {
    this.#timer = undefined;
    if (!this.#stopped && this.#received > this.#told) this.#tell();
  }

  #tell(): void {
    this.#told = this.#received;
    this.#untoldBytes = 0;
    const body = new Uint8Array(8);
    writeU64(body, 0, this.#received);
    this.#outbox.send(FRAME_ACK, 0, 0, body);
  }
}
